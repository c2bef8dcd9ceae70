"""Which process this is."""

import pytest
from helpers.command_line import TINY, shell

import lstmlm
from lstmlm.distributed.place import find_place
from lstmlm.system.errors import BadInput

TORCHRUN = {"RANK": "3", "LOCAL_RANK": "1", "WORLD_SIZE": "4", "MASTER_ADDR": "node0", "MASTER_PORT": "29500"}
TORCHRUN |= {"GROUP_WORLD_SIZE": "2", "TORCHELASTIC_RESTART_COUNT": "2", "TORCHELASTIC_USE_AGENT_STORE": "True"}


def test_torchrun_says_which_process_it_is():
    place = find_place(TORCHRUN)
    assert place is not None
    assert (place.rank, place.local_rank, place.size, place.host, place.port) == (3, 1, 4, "node0", 29500)


@pytest.mark.parametrize("changed", [{"WORLD_SIZE": "1"}, {"WORLD_SIZE": "x"}, {"RANK": ""}, {"MASTER_PORT": ""}])
def test_one_process_or_a_part_of_the_variables_is_a_run_of_one_process(changed):
    assert find_place(TORCHRUN | changed) is None
    assert find_place({}) is None


@pytest.mark.parametrize(("rank", "code"), [("0", 2), ("1", 0)])
def test_other_commands_are_refused_once_in_several_processes(command, monkeypatch, rank, code):
    for name, value in (TORCHRUN | {"RANK": rank}).items():
        monkeypatch.setenv(name, value)
    refusal = (
        "error: torchrun: lstmlm lr_find works in one process, only train.py in several: start it without torchrun"
    )
    assert command("lr_find", "backend=nn") == (code, "", f"{refusal}\n" if code else "")


def test_lstmlm_train_in_python_is_refused_in_several_processes(monkeypatch):
    for name, value in TORCHRUN.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(BadInput, match=r"lstmlm\.train works in one process"):
        lstmlm.train("backend=nn")


def test_a_run_of_one_process_imports_nothing_of_several(tmp_path):
    look = "import sys; from lstmlm.runs.launch import train; code = train(sys.argv[1:])\n"
    look += "print([name for name in sys.modules if name.startswith('lstmlm.distributed')])"
    done = shell("-c", look, *TINY, "hydra.run.dir=run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == str(
        ["lstmlm.distributed", "lstmlm.distributed.place", "lstmlm.distributed.ranks"]
    )
