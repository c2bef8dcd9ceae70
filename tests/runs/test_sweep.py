"""A sweep: every job alone in its directory, as if it were run alone; a job that fails stops no other."""

import json
import logging
import os
import pickle
import random
import re
import signal
import sys
import warnings

import numpy as np
import pytest
import torch
from helpers.command_line import TINY

from lstmlm.checkpoints import checkpoint
from lstmlm.runs.sweep import Outcome, Sweep, explain_lost_job, format_outcomes
from lstmlm.settings.overrides import count_jobs
from lstmlm.system.errors import EnvironmentFault


@pytest.mark.parametrize("code", [130, 143])
def test_a_sweep_that_was_stopped_says_how_to_go_on(code):
    said = format_outcomes([Outcome("job 0", "my sweep", 0), Outcome("job 1 (seed=2)", "my sweep", code)])
    first, second = said.splitlines()
    assert first == (
        "sweep: 1 finished; stopped in job 1 (seed=2): "
        "resume with the same command and resume=auto hydra.sweep.dir='my sweep'"
    )
    assert second == "next:  python -m lstmlm compare 'my sweep'"


DIVERGES = "train.optimizer=sgd", "train.grad_clip=null"


def state_of_the_process() -> dict:
    """What a job could leave behind, and another be changed by."""
    log = logging.getLogger("lstmlm")
    return {
        "signals": [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)],
        "log": (list(log.handlers), log.propagate, list(logging.getLogger().handlers)),
        "generators": (str(np.random.get_state()), random.getstate()),
        "torch": (torch.get_default_dtype(), torch.is_grad_enabled(), torch.are_deterministic_algorithms_enabled()),
        "kernels": (torch.backends.mkldnn.enabled, torch.get_float32_matmul_precision(), torch.get_default_device()),
        "attention": (torch.backends.cuda.flash_sdp_enabled(), torch.backends.cuda.math_sdp_enabled()),
        "anomalies": (torch.is_anomaly_enabled(), torch.is_inference_mode_enabled(), sys.getrecursionlimit()),
        "warnings": list(warnings.filters),
        "place": (os.getcwd(), dict(os.environ), list(sys.argv)),
        "hooks": (sys.gettrace(), sys.excepthook, list(sys.path)),
    }


def bits(directory) -> dict:
    return {
        name: t.numpy().tobytes()
        for name, t in checkpoint.load_checkpoint(directory / "last.safetensors").tensors.items()
    }


def test_a_job_that_fails_is_named_and_stops_no_other_and_the_worst_code_is_kept(train, tmp_path):
    rates = "train.lr=0.01,-1,1e30,0.02"
    code, out, err = train(*TINY, *DIVERGES, "-m", rates, "train.schedule=constant", "hydra.sweep.dir=sweep")
    refused, diverged, end, _ = err.splitlines()
    assert code == 3
    assert refused == "error: job 2 (train.lr=-1): train.lr: must be finite and more than 0, got -1.0"
    assert diverged.startswith("error: job 3 (train.lr=1e+30): training diverged at step ")
    assert end.startswith("sweep: 2 finished; 2 failed: job 2 (train.lr=-1) with exit code 2, job 3 ")
    assert [len(list((tmp_path / "sweep").glob(f"{k}_*/best.safetensors"))) for k in range(4)] == [1, 0, 0, 1]
    told = [line for line in out.splitlines() if line.startswith("job ")]
    assert told == [f"job {k} of 4: train.lr={rate}" for k, rate in enumerate(("0.01", "-1", "1e+30", "0.02"), 1)]


def test_a_sweep_ends_with_the_ranking_of_its_runs(train, command):
    code, out, err = train(*TINY, "-m", "seed=1,2", "train.lr=0.01,0.02", "hydra.sweep.dir=sweep")
    assert code == 0, err
    ranking = out[out.rindex("\nval of split ") : out.rindex("\nsweep: ")].strip().splitlines()
    rows = json.loads(command("compare", "sweep", "--json")[1])["runs"]
    assert [f"sweep/{line.split()[0]}" for line in ranking[2:6]] == [row["name"] for row in rows]
    for line, row in zip(ranking[2:6], rows, strict=True):
        assert f"{row['perplexity']:.3f}" in line and line.endswith(
            f"seed={row['seed']} lr={row['settings']['train.lr']}"
        )
    assert [line.startswith("mean over seeds 1, 2: ") for line in ranking[6:]] == [True, True]


@pytest.mark.parametrize(
    "words, total",
    [
        (["seed=1,2,3", "backend=nn"], 3),
        (["seed=range(1,5)", "backend=nn,scratch", "-m"], 8),
        (["seed=1"], 1),
        (["experiment=glob(*)"], None),
        (["train.lr=interval(0,1)"], None),
    ],
)
def test_the_jobs_of_a_sweep_are_counted_where_the_words_tell(words, total):
    assert count_jobs(words) == total


def test_a_job_is_the_same_run_alone_and_behind_jobs_of_every_other_kind(train, tmp_path):
    before = train(*TINY, "seed=7", "hydra.run.dir=alone")
    others = "seed=7", "-m", "backend=scratch,nn", "model.dropout=0.5,0.2", "hydra.sweep.dir=sweep"
    after = train(*TINY[1:], *others)
    assert (before[0], after[0]) == (0, 0)
    *_, last = sorted((tmp_path / "sweep").glob("*_nn_*"))
    assert last.name == "3_nn_s7" and bits(last) == bits(tmp_path / "alone")
    assert bits(last.with_name("2_nn_s7")) != bits(last)  # of another dropout


def test_torchs_own_generator_decides_nothing(train, tmp_path):
    """Layers draw weights from it when they are made, which are then replaced; so a job leaves it changed."""
    for k in range(2):
        torch.manual_seed(k)
        assert train(*TINY, "model.dropout=0.5", f"hydra.run.dir={k}")[0] == 0
    assert bits(tmp_path / "0") == bits(tmp_path / "1")


def test_no_job_leaves_anything_behind_in_the_process(train):
    train(*TINY, "hydra.run.dir=first")  # what is imported and registered once
    before = state_of_the_process()
    code, _, _ = train(*TINY, *DIVERGES, "-m", "train.lr=0.01,-1,1e30,0.02", "backend=nn,scratch")
    assert code == 3 and state_of_the_process() == before


def test_a_job_computes_with_the_threads_that_it_names_whatever_the_one_before_did(train, monkeypatch):
    seen, before = [], torch.get_num_threads()
    monkeypatch.setattr("lstmlm.runs.execute.log_report", lambda *_: seen.append(torch.get_num_threads()))
    assert train(*TINY, "-m", "threads=2,1")[0] == 0
    torch.set_num_threads(before)
    assert seen == [2, 1]


def test_a_value_of_the_wrong_type_is_refused_before_any_job_runs(train, tmp_path):
    code, out, err = train(*TINY, "-m", "seed=1,x,2", "hydra.sweep.dir=sweep")
    assert (code, out) == (2, "") and re.fullmatch(r"error: seed: value 'x' of type 'str' .*\n", err)
    assert not list(tmp_path.rglob("*.safetensors"))


def test_a_sweep_that_came_to_nothing_leaves_nothing(train, tmp_path):
    code, _, err = train(*TINY, "-m", "train.lr=-1,-2", "hydra.sweep.dir=sweep")
    assert code == 2 and err.endswith(
        "\nsweep: 0 finished; 2 failed: job 1 (train.lr=-1) with exit code 2, job 2 (train.lr=-2) with exit code 2\n"
    )
    assert not list(tmp_path.iterdir())


def test_the_jobs_of_a_sweep_do_not_share_the_directory_of_a_run_that_they_go_on_with(train, tmp_path):
    assert train(*TINY, "hydra.run.dir=run")[0] == 0
    before = bits(tmp_path / "run")
    further = "-m", "train.max_steps=6,8", "hydra.sweep.dir=sweep"
    code, _, err = train("resume=run", *further)
    assert code == 2 and err.startswith("error: job 1 (train.max_steps=6): resume: run: the jobs of a sweep have ")
    assert bits(tmp_path / "run") == before
    assert train("resume=run/last.safetensors", *further)[0] == 0
    steps = [
        checkpoint.load_checkpoint(path).record["step"]
        for path in sorted((tmp_path / "sweep").glob("*/last.safetensors"))
    ]
    assert steps == [6, 8] and bits(tmp_path / "run") == before


def test_a_sweep_that_hydra_is_told_of_in_its_own_words_is_one_too(train):
    code, out, _ = train(*TINY, "hydra.mode=MULTIRUN", "seed=1,2")
    assert code == 0 and re.search(r"^sweep: 2 finished\nnext:  python -m lstmlm compare runs/sweep_", out, re.M)


def test_a_launcher_that_is_not_installed_is_one_line(train):
    code, out, err = train(*TINY, "-m", "hydra/launcher=nosuch", "seed=1,2")
    assert (code, out) == (2, "")
    assert err == (
        "error: hydra/launcher=nosuch: is not installed: pip install hydra-nosuch-launcher, or leave it out\n"
    )


def test_the_outcome_of_a_job_in_another_process_is_counted(tmp_path, capsys):
    sweep = Sweep()
    elsewhere = pickle.loads(pickle.dumps(sweep))
    assert elsewhere.is_elsewhere() and not sweep.is_elsewhere()
    assert elsewhere.run(lambda: 1 / 0, 3, ["seed=4"], tmp_path) == 1
    assert sweep.run(lambda: None, 12, [], tmp_path) == 0
    assert sweep.close() == [1, 0]
    assert "sweep: 1 finished; 1 failed: job 4 (seed=4) with exit code 1\n" in capsys.readouterr().err


def test_the_jobs_of_a_launcher_leave_their_outcomes_where_other_machines_see_them(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    sweep = Sweep()
    sweep.share_outcomes()
    elsewhere = pickle.loads(pickle.dumps(sweep))
    assert elsewhere.outcomes.is_relative_to(tmp_path)
    elsewhere.run(lambda: None, 0, [], tmp_path)
    assert sweep.close() == [0]
    assert list(tmp_path.iterdir()) == []
    assert elsewhere.run(lambda: None, 1, [], tmp_path) == 0  # after the command that started the sweep


def test_a_job_of_submitit_without_a_result_is_one_line():
    class UncompletedJobError(RuntimeError):
        pass

    UncompletedJobError.__module__ = "submitit.core.utils"
    said = explain_lost_job(UncompletedJobError("Job 4747 (task: 0) with path /x\nhas not produced any output"))
    assert isinstance(said, EnvironmentFault)
    assert str(said).startswith("sweep: job 4747 of submitit ended without a result, as one does that is killed: ")
    bug = RuntimeError("Job 1")
    assert explain_lost_job(bug) is bug
