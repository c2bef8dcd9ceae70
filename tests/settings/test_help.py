"""`train --help` explains every setting, with the values of the command, on a terminal of 80 columns."""

from lstmlm.settings.config import SETTINGS
from lstmlm.settings.help import format_help


def test_every_setting_has_a_value_and_a_text_on_80_columns():
    text = format_help([])
    words = " ".join(text.split())
    assert all(f" {name}=" in words and facts.help in words for name, facts in SETTINGS.items())
    assert max(map(len, text.splitlines())) <= 80


def test_the_values_are_those_of_the_command():
    text = format_help(["experiment=d2l", "seed=4"])
    assert "  seed=4 " in text and "  data.batch_size=32 " in text and "  train.grad_clip=1.0 " in text


def test_help_of_a_misspelt_setting_is_one_line(train):
    code, out, err = train("--help", "train.lrr=1")
    assert (code, out) == (2, "") and err.startswith("error: train.lrr: no such setting: did you mean train.lr?")
    assert train("-h")[::2] == (0, "")
