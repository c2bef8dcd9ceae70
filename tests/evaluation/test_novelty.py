"""Copied runs are found whole and in their place, and all other runs are new; the index is built once."""

import json
import random
import re

import numpy as np
import pytest
from helpers.command_line import SMALL_RUN
from hypothesis import given
from hypothesis import strategies as st

from lstmlm.evaluation import novelty
from lstmlm.evaluation.novelty import Index, build_index, build_suffix_array

few_symbols = st.text("ab\n", min_size=1, max_size=60)


def indexed(text: str) -> Index:
    return Index(text, build_suffix_array(text))


@given(few_symbols | st.text(min_size=1))
def test_the_suffix_array_is_the_order_of_the_suffixes(text):
    assert build_suffix_array(text).tolist() == sorted(range(len(text)), key=lambda at: text[at:])


@given(st.text("ab", min_size=1, max_size=5), st.integers(1, 300), st.text("ab", max_size=3))
def test_the_suffix_array_of_a_text_that_repeats_itself(text, times, end):
    text = text * times + end
    assert build_suffix_array(text).tolist() == sorted(range(len(text)), key=lambda at: text[at:])


@given(few_symbols, st.text("abc\n", max_size=100))
def test_the_longest_copied_run_is_found_with_its_place(text, other):
    found = indexed(text).measure(other)
    runs = {other[a:b] for a in range(len(other)) for b in range(a, len(other) + 1)}
    assert found.longest == len(found.run) == max((len(run) for run in runs if run in text), default=0)
    assert found.run in other and text[found.source :].startswith(found.run)
    assert found.line == len(text[: found.source].split("\n"))


@given(few_symbols, st.text("ab\n", max_size=100))
def test_a_run_is_new_if_the_text_lacks_it(text, other):
    for k, share in indexed(text).measure(other).new.items():
        runs = [other[at : at + k] for at in range(len(other) - k + 1)]
        assert share == (sum(run not in text for run in runs) / len(runs) if runs else None)


@pytest.mark.parametrize("length", [63, 64, 65, 200])
def test_a_long_copy_is_found_whole(length):
    text = "".join(random.Random(0).choices("abcd \n", k=3000))
    found = indexed(text).measure("#" + text[1000 : 1000 + length] + "#")
    assert (found.longest, found.source) == (length, 1000)


def test_the_lines_for_a_text_all_copied_and_for_a_text_all_new():
    text = "the tide\ncomes in and the tide goes out"
    copied, new = indexed(text).measure(text[9:29]), indexed(text).measure("z" * 50)
    assert copied.format_lines() == [
        "longest copied run: 20 of 20 characters, from character 9 (line 2) of the training text: "
        "'comes in and the tid'",
        "new runs: 0.0% of 10, 0.0% of 20 characters",
    ]
    assert new.format_lines() == [
        "longest copied run: 0 of 50 characters",
        "new runs: 100.0% of 10, 100.0% of 20, 100.0% of 40 characters",
    ]
    run = "in and the tide goes out, and in again, and out"
    (shown, _) = indexed(run).measure(run[:41]).format_lines()
    assert shown.endswith(": 'in and the tide goes out, and in agai...'")
    assert indexed(run).measure(run[:40]).format_lines()[0].endswith(f": {run[:40]!r}")
    assert indexed(text).measure("").format_lines()[1] == "new runs: none of 10 characters or more"


@pytest.fixture
def built(monkeypatch, tmp_path) -> list[str]:
    """The texts that an index was built of, with an empty cache."""
    texts = []
    monkeypatch.setenv("LSTMLM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(novelty, "build_suffix_array", lambda text: texts.append(text) or build_suffix_array(text))
    return texts


def test_an_index_is_built_once_for_each_content(built):
    first, again = build_index("the tide"), build_index("the tide")
    assert built == ["the tide"] and np.array_equal(first.order, again.order)
    build_index("the tides")
    assert built == ["the tide", "the tides"]


@pytest.mark.parametrize("damage", [lambda d: b"", lambda d: d[:-4], lambda d: d[:-1] + b"\xff", lambda d: d + d[-4:]])
def test_a_damaged_cache_is_built_again(built, tmp_path, damage):
    build_index("the tide")
    (file,) = (tmp_path / "cache").iterdir()
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    assert np.array_equal(build_index("the tide").order, build_suffix_array("the tide"))
    assert len(built) == 2 and file.read_bytes() == whole


def test_an_index_is_built_where_the_cache_cannot_be_written(built, tmp_path):
    (tmp_path / "cache").write_text("in the way")
    assert build_index("the tide").measure("tide").longest == 4


# Through the doors


def test_a_finished_run_reports_how_new_its_sample_is(run_directory):
    screen = (run_directory / "screen.txt").read_text()
    assert re.search(r"^copied from the training text: nothing longer than \d+ characters$", screen, re.M)
    assert re.search(r"longest copied run: \d+ of 400 characters", (run_directory / "train.log").read_text())


def test_a_text_is_compared_with_the_training_part_alone(train, command, tmp_path):
    text = "".join(random.Random(0).choices("the id", k=600))
    (tmp_path / "my.txt").write_text(text)
    sizes = ("data.split=[[50,350],[350,450],[450,550]]", "data.batch_size=2", "data.num_steps=16", "train.max_steps=1")
    assert train("data=file", "data.path=my.txt", *SMALL_RUN, *sizes, "hydra.run.dir=run")[0] == 0
    words = ("generate", "run", "--prompt", text[50:60], "--length", "30", "--novelty")
    expected = indexed(text[50:350])
    code, out, err = command(*words, "--json")
    row = json.loads(out)
    found = expected.measure(row["text"][10:])  # what the user gave is not counted
    assert (code, err, row["novelty"]["longest"], row["novelty"]["run"]) == (0, "", found.longest, found.run)
    assert command(*words)[1] == "\n".join([row["text"], *found.format_lines(), ""])
    (tmp_path / "my.txt").write_text(text + "more")
    code, out, err = command(*words)
    assert (code, out) == (2, "") and re.fullmatch(r"error: --novelty: .*my.txt has changed since the run: .*\n", err)
    (tmp_path / "my.txt").unlink()
    code, out, err = command(*words)
    assert (code, out) == (2, "") and re.fullmatch(r"error: --novelty: needs the training text: .*\n", err)
