"""What the log says at the start of a run about matrix tiles."""

import logging

import pytest
from helpers.command_line import composed_config

from lstmlm.layers import fused_bf16
from lstmlm.runs.announcement import LONG_RUN, announce_tiles


@pytest.mark.parametrize(
    ("words", "seconds", "tiles", "says"),
    [
        (["backend=fused"], LONG_RUN, True, True),
        (["backend=fused"], LONG_RUN - 1, True, False),
        (["backend=fused"], LONG_RUN, False, False),
        (["backend=nn"], LONG_RUN, True, False),
        (["backend=fused", "train.precision=bf16"], LONG_RUN, True, False),
    ],
)
def test_a_long_run_in_float32_is_told_what_tiles_would_gain(caplog, monkeypatch, words, seconds, tiles, says):
    monkeypatch.setattr(fused_bf16, "has_tile_flags", lambda: tiles)
    caplog.set_level(logging.INFO, "lstmlm")
    announce_tiles(composed_config(*words), "cpu", seconds)
    assert ["train.precision=bf16 is expected" in line for line in caplog.messages] == [True] * says
