"""RUN is easy to say: `latest`, nothing at all, a name in runs/; a wrong name lists the nearest."""

import os

import pytest

from lstmlm.checkpoints.shipped import list_shipped
from lstmlm.runs.find import find_resumed, find_run, find_weights
from lstmlm.system.errors import BadInput

NAMES = ["2026-01-01_scratch_s0", "2026-01-02_nn_s0", "sweep_a/0_nn_s1"]


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """Three runs in runs/, written in this order; the last one is of a sweep, and has no best weights yet."""
    monkeypatch.chdir(tmp_path)
    for time, name in enumerate(NAMES):
        directory = tmp_path / "runs" / name
        directory.mkdir(parents=True)
        for file in ("config.yaml", "last.safetensors", "best.safetensors")[: 2 if time == 2 else 3]:
            (directory / file).write_text("")
            os.utime(directory / file, (1e9 + time, 1e9 + time))
    return tmp_path / "runs"


@pytest.mark.parametrize("given", [None, "latest"])
def test_the_latest_run_is_the_one_that_was_written_to_last_and_has_the_file(runs, given):
    assert str(find_weights(given, "last.safetensors")) == f"runs/{NAMES[2]}/last.safetensors"
    assert str(find_weights(given)) == f"runs/{NAMES[1]}/best.safetensors"
    os.utime(runs / NAMES[0] / "last.safetensors", (2e9, 2e9))  # it was resumed
    assert str(find_run(given)) == f"runs/{NAMES[0]}"


def test_a_path_comes_first_and_then_a_name_in_runs(runs, tmp_path):
    assert str(find_run(NAMES[0])) == f"runs/{NAMES[0]}"
    (tmp_path / "latest").mkdir()
    assert str(find_run("latest")) == "latest"


def test_a_model_that_ships_comes_last(runs, tmp_path):
    assert find_weights("tide_clock") == list_shipped()["tide_clock"]
    (runs / NAMES[0]).rename(runs / "tide_clock")
    assert str(find_weights("tide_clock")) == "runs/tide_clock/best.safetensors"
    (tmp_path / "tide_clock").write_text("")
    assert str(find_weights("tide_clock")) == "tide_clock"


def test_a_run_is_resumed_by_latest_and_a_model_that_ships_is_not(runs, train):
    code, _, err = train("resume=latest")
    assert code == 2 and f"runs/{NAMES[2]}" in err  # whose checkpoint is empty
    code, _, err = train("resume=tide_clock")
    assert code == 2 and err.endswith("start from it: init_from=tide_clock\n") and err.count("\n") == 1
    code, _, err = train("resume=latst")
    assert code == 2 and "did you mean latest?" in err


def test_a_wrong_name_lists_the_nearest(runs):
    with pytest.raises(BadInput, match=r"no such file: tide_clok: did you mean tide_clock\?$"):
        find_run("tide_clok")
    with pytest.raises(BadInput, match=r"no such file: 2026-01-01_scrach_s0: did you mean runs/2026-01-01_scratch_s0"):
        find_run("2026-01-01_scrach_s0")
    with pytest.raises(BadInput, match=r"no such file: nn_s0: did you mean runs/2026-01-02_nn_s0\?$"):
        find_run("nn_s0")
    with pytest.raises(BadInput, match=r"no such file: latset: did you mean latest\?$"):
        find_run("latset")
    with pytest.raises(BadInput, match=r"no such file: qqqq: latest is the latest run, and lstmlm runs lists all$"):
        find_run("qqqq")


def test_without_runs_latest_says_where_it_looked(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInput, match=r"^latest: there is no run with a best\.safetensors below runs/ here"):
        find_run(None)


def test_resume_takes_the_same_names_but_no_model_that_ships(runs, tmp_path):
    assert str(find_resumed("latest")) == f"runs/{NAMES[2]}"
    assert str(find_resumed(NAMES[0])) == f"runs/{NAMES[0]}"
    for given in ("shakespeare", str(list_shipped()["shakespeare"])):
        with pytest.raises(BadInput, match=rf"^resume: {given} is a model that ships, .*: init_from={given}$"):
            find_resumed(given)
    with pytest.raises(BadInput, match=r"^resume: no such file: tide_clok: did you mean tide_clock\?$"):
        find_resumed("tide_clok")
    with pytest.raises(BadInput, match=r"^resume: is empty"):
        find_resumed("")
