"""Several processes follow one: the same losses, one directory, one line for a fault, and no kill changes anything.

The processes are forked by helpers/ranks.py instead of torchrun, which test_torchrun.py starts.
"""

import json
import sys

import pytest
from helpers.command_line import shell
from helpers.forms import FORMS

from lstmlm.runs.prepare import check_division
from lstmlm.system.errors import BadInput

ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs fork and gloo")


def play(folder, *scenes: str, timeout: int = 600) -> dict:
    done = shell("-m", "helpers.ranks", str(folder / "scenes"), *scenes, env=ONE_THREAD, timeout=timeout)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def played(tmp_path_factory) -> dict:
    """What the scenes of helpers/ranks.py found, in one process that has imported torch."""
    return play(tmp_path_factory.mktemp("ranks"), "steps", "sizes", "options", "mistakes", "signals", "silences")


def largest_difference(a: list[float], b: list[float]) -> float:
    return max(abs(x - y) for x, y in zip(a, b, strict=True))


def test_200_steps_of_2_processes_and_20_of_4_are_those_of_one_on_every_cell_and_backend_with_dropout(played):
    check_steps(played["steps"], 20)


def check_steps(steps: dict, of_four: int) -> None:
    forms = {f"{cell} {backend}" for cell, backend in FORMS}
    for size, count in (("2", 200), ("4", of_four)):
        assert {
            form for form, each in steps["counts"][size].items() if each == (count if "lstm" in form else 20)
        } == forms
        assert steps["differences"][size] < 1e-9


@pytest.mark.slow
def test_200_steps_of_4_processes_are_those_of_one(tmp_path):
    check_steps(play(tmp_path, "steps=200")["steps"], 200)


def test_runs_of_1_2_and_4_processes_have_the_same_losses(played):
    sizes = played["sizes"]
    assert all(code == 0 for codes in sizes["codes"] for code in codes)
    for size in ("of2", "of4"):
        assert largest_difference(sizes["losses"]["of1"], sizes["losses"][size]) < 1e-5


def test_a_run_resumed_with_1_2_4_and_1_processes_is_that_of_one_and_says_so(played):
    sizes = played["sizes"]
    assert largest_difference(sizes["losses"]["of1"], sizes["losses"]["mixed"]) < 1e-5
    for now, before in ((2, 1), (4, 2), (1, 4)):
        assert f"from here on not bit for bit: processes is {now}, was {before}" in sizes["log"]


def test_the_same_number_of_processes_gives_the_same_bits(played):
    assert played["sizes"]["different"] == []


def test_a_checkpoint_of_four_processes_has_the_form_of_one_processes(played):
    one, four = played["sizes"]["shapes"]
    assert one == four and one["run.carried.0"][2] == 4


def test_rank_0_alone_makes_a_directory_and_prints(played):
    assert played["sizes"]["directories"] == ["again", "mixed", "of1", "of2", "of4"]
    assert played["sizes"]["quiet"] == ""


def test_resume_auto_of_a_finished_run_ends_with_0(played):
    assert played["sizes"]["finished"] == [0, 0]


@pytest.mark.parametrize("kind", ["windows", "parts", "bf16"])
def test_other_settings_have_the_losses_of_one_process_too(played, kind):
    assert played["options"][kind] < (1e-2 if kind == "bf16" else 1e-5)


def test_a_sweep_and_a_limit_of_seconds_which_rank_0_decides_work_in_several_processes(played):
    assert played["options"]["codes of a sweep"] == [0, 0]
    assert played["options"]["ends of a sweep"] == ["out of time"] * 2


def test_a_run_on_documents_with_2_4_and_1_processes_is_that_of_one_though_its_lanes_cannot_be_divided(played):
    assert played["options"]["documents"] < 1e-5
    assert [played["options"][f"lanes of {size}"][2] for size in (1, 2, 4)] == [3, 3, 3]


@pytest.mark.parametrize(
    ("kind", "codes", "line"),
    [
        ("setting", [2, 2], "error: model.num_hidens: no such setting: did you mean model.num_hiddens?"),
        ("division", [2, 2], "5 lanes of a batch cannot be divided among 2 processes: give 4 or 6"),
        ("text", [4, 4], "error: rank 1: "),
        ("version", [4, 4], "error: rank 1: lstmlm is 0.0 here, "),
        ("disk", [4, 4], "No space left on device: free space there"),
        ("bug", [4, 1], "error: a bug in lstmlm: ZeroDivisionError"),
        ("diverged", [3, 3], "error: training diverged at step"),
    ],
)
def test_a_mistake_or_a_fault_is_one_line_and_ends_all_processes(played, kind, codes, line):
    found, errors = played["mistakes"][kind]
    assert found == codes
    assert len(errors.splitlines()) == 1 and line in errors


def test_a_batch_that_micro_batches_do_not_divide_is_refused_with_those_that_do():
    for batch_size, processes, micro_batches in ((4, 2, 3), (12, 4, 2), (7, 7, 2)):
        with pytest.raises(
            BadInput, match=f"among {processes} processes, of {micro_batches} micro-batches each: give "
        ):
            check_division(batch_size, processes, micro_batches)
    check_division(24, 4, 3)


def test_help_is_printed_once_and_ends_with_0(played):
    assert played["mistakes"]["help"] == [[0, 0], ""]


@pytest.mark.parametrize(
    ("name", "code"), [("SIGTERM to rank 1", 143), ("SIGINT to both", 130), ("SIGHUP to rank 0", 143)]
)
def test_a_signal_to_any_process_saves_once_and_the_resumed_run_is_that_of_no_signal(played, name, code):
    codes, step, errors, different = played["signals"][name]
    assert codes == [code, code]
    assert errors == f"stopped at step {step}: saved run/last.safetensors: resume the run with resume=run\n"
    assert different == []


def test_ctrl_c_before_the_processes_have_met_ends_them_at_once(played):
    assert played["signals"]["early"] == [[130, 130], "stopped\n"]


def test_a_process_that_hangs_is_found_after_rank_timeout(played):
    codes, errors = played["silences"]["stopped"]
    assert codes == [4, None]  # None: it was stopped until the test killed it
    assert errors.startswith("error: rank_timeout: a process has not answered rank 0 for 3 s: ")
    assert len(errors.splitlines()) == 1


def test_an_evaluation_that_takes_longer_than_rank_timeout_ends_nothing(played):
    assert played["silences"]["slow"] == [[0, 0], ""]


def test_five_kills_of_a_random_process_change_nothing(tmp_path):
    kills = play(tmp_path, "kills")["kills"]
    assert kills["kills"] >= 5 and kills["bad"] == []
    assert kills["slowest"] < 30


@pytest.mark.slow
@pytest.mark.parametrize("count", [20, 200])
def test_many_kills_of_a_random_process_change_nothing(tmp_path, count):
    kills = play(tmp_path, f"kills={count}", timeout=60 * count)["kills"]
    assert kills["kills"] >= count and kills["bad"] == []
