"""Runs of several processes, which are forked from one process that has torch and one thread, instead of torchrun's.

Used by tests/distributed as a process of its own: OPENBLAS_NUM_THREADS=1 python -m helpers.ranks DIRECTORY SCENE ...
"""

import contextlib
import errno
import itertools
import json
import os
import random
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import torch

from helpers.command_line import composed_config
from helpers.forms import FORMS, make_model
from helpers.killing import TEXT, differences, outcome, state_problems, warm_up
from lstmlm.checkpoints import checkpoint
from lstmlm.distributed.group import Group
from lstmlm.distributed.place import find_place
from lstmlm.distributed.ranks import ONE_PROCESS
from lstmlm.runs import launch, several
from lstmlm.system import durable
from lstmlm.text.batches import SequentialStreams
from lstmlm.text.lanes import Share
from lstmlm.training.evaluator import Evaluator
from lstmlm.training.follower import Follower
from lstmlm.training.learner import Learner
from lstmlm.training.lr_range_test import iterate_batches
from lstmlm.training.optim import build_optimizer
from lstmlm.training.plan import Recipe
from lstmlm.training.step import train_step
from lstmlm.training.trainer import Trainer

STEPS = 44
SETTINGS = [
    "backend=nn",
    "data=file",
    "data.path=text.txt",
    "model.num_hiddens=8",
    "model.num_layers=2",
    "model.dropout=0.3",
    "train.lr=0.02",
]
SETTINGS += ["data.batch_size=4", "data.num_steps=8", "data.split=[0.6,0.2,0.2]", f"train.max_steps={STEPS}", "seed=3"]
SETTINGS += [
    "train.max_epochs=null",
    "train.log_every=4",
    "train.eval_every=13",
    "train.save_every=7",
    "sample.length=20",
    "threads=1",
]
SETTINGS += ["train.portrait_share=0", "train.baselines=false"]


def find_port() -> int:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return free.getsockname()[1]


def start(
    size: int,
    words: Sequence[str],
    folder: Path,
    before: Callable[[int], None] = lambda rank: None,
    work: Callable[[list[str]], int] = launch.train,
) -> list[int]:
    """Fork `size` processes of `python train.py WORDS`, or of other `work`, which stand in the folder; their ids.

    What rank k prints goes to the files k.out and k.err there, after what is in them. `before` is called in each.
    """
    port, pids = find_port(), []
    for rank in range(size):
        if pid := os.fork():
            pids.append(pid)
            continue
        os.chdir(folder)
        for number, kind in ((1, "out"), (2, "err")):
            os.dup2(os.open(f"{rank}.{kind}", os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
        if size > 1:
            os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(size)}
            os.environ |= {"MASTER_ADDR": "localhost", "MASTER_PORT": str(port)}
        code = 99
        with contextlib.suppress(SystemExit):
            before(rank)
            code = work(list(words))
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return pids


def wait(pids: Sequence[int], seconds: float = 60.0) -> list[int | None]:
    """The exit codes of processes, negative for a signal, None for one that does not end in time."""
    codes: dict[int, int | None] = dict.fromkeys(pids)
    deadline = time.monotonic() + seconds
    while None in codes.values() and time.monotonic() < deadline:
        for pid in (pid for pid, code in codes.items() if code is None):
            if (ended := os.waitpid(pid, os.WNOHANG))[0]:
                codes[pid] = os.waitstatus_to_exitcode(ended[1])
        time.sleep(0.005)
    for pid in (pid for pid, code in codes.items() if code is None):
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return list(codes.values())


def run(size: int, *words: str, folder: Path) -> list[int | None]:
    return wait(start(size, words, folder))


def read(folder: Path, kind: str, ranks: int) -> str:
    """What the ranks printed."""
    return "".join((folder / f"{rank}.{kind}").read_text() for rank in range(ranks))


def losses(directory: Path) -> list[float]:
    rows = map(json.loads, (directory / "metrics.jsonl").read_text().splitlines())
    return [row[key] for row in rows if "loss/train" in row for key in ("loss/train", "loss/val")]


# Scenes: each gives what a test looks at


def sizes(folder: Path) -> dict:
    """The same run by 1, 2 and 4 processes, by 2 again, and by 1, 2, 4 and 1 in turn."""
    words = [*SETTINGS, "train.ema=0.9", "train.schedule=constant", "train.warmup=0"]
    found = {"codes": [run(size, *words, f"hydra.run.dir=of{size}", folder=folder) for size in (1, 2, 4)]}
    found["codes"].append(run(2, *words, "hydra.run.dir=again", folder=folder))
    for size, steps in ((1, 13), (2, 26), (4, 39), (1, STEPS)):
        limit = f"train.max_steps={steps}"
        found["codes"].append(run(size, *words, "resume=auto", "hydra.run.dir=mixed", limit, folder=folder))
    found["losses"] = {name: losses(folder / name) for name in ("of1", "of2", "of4", "mixed")}
    found["different"] = differences(outcome(folder / "of2"), outcome(folder / "again"))
    found["shapes"] = [describe_tensors(folder / f"of{size}") for size in (1, 4)]
    found["directories"] = sorted(path.name for path in folder.iterdir() if path.is_dir())
    found["log"] = (folder / "mixed" / "train.log").read_text()
    found["quiet"] = read(folder, "err", 4) + "".join((folder / f"{rank}.out").read_text() for rank in (1, 2, 3))
    found["finished"] = run(2, *words, "resume=auto", "hydra.run.dir=of2", folder=folder)
    return found


def make_steps(words: list[str]) -> int:
    """Steps in float64 of the LSTM on every backend, and 20 of the other cells, with all dropout; rank 0 writes the
    losses to a file. The words are its name and the number of steps.
    """
    place, losses_by_form = find_place(), {}
    group = None if place is None else Group(place)
    share = Share(*(() if place is None else (place.rank, place.size)))
    for cell, backend in FORMS:
        kinds = {"dropout": 0.2, "locked_input": 0.1, "locked_output": 0.2, "weight_drop": 0.2}
        model = make_model(backend, cell=cell, num_hiddens=4, **kinds)
        model.share, model.dropout_generator = share, torch.Generator().manual_seed(5)
        recipe = Recipe(0.05, "constant", 0.0, grad_clip=0.3, ema=None, micro_batches=1, precision="float32")
        learner = Learner(model, build_optimizer(model, "adamw", recipe.lr, 0.01))
        ids = torch.randint(7, (150,), generator=torch.Generator().manual_seed(6))
        streams = SequentialStreams(ids, 4, 3, share=share)
        batches, state = iterate_batches(streams, torch.Generator().manual_seed(7)), ()
        if group is not None:
            group.buffer = None
        found = losses_by_form[f"{cell} {backend}"] = []
        for X, Y, fresh in itertools.islice(batches, int(words[1]) if cell == "lstm" else 20):
            state = model.begin_state(len(X), "cpu") if fresh else state
            loss, norm, state, _ = train_step(learner, X, Y, state, recipe, group or ONE_PROCESS)
            found += [loss.item(), norm.item()]
    if share.index == 0:
        Path(words[0]).write_text(json.dumps(losses_by_form))
    if group is not None:
        group.close()
    return 0


def steps(folder: Path, of_four: int = 20) -> dict:
    """Losses and norms of gradients of `make_steps` by 1, 2 and 4 processes: how many, and the largest differences.

    200 steps, by 4 processes, which wait for each other a lot, fewer.
    """
    found = {}
    for size, count in ((1, 200), (2, 200), (4, of_four)):
        codes = wait(start(size, [f"steps{size}", str(count)], folder, work=make_steps), 240)
        assert codes == [0] * size, (codes, read(folder, "err", size))
        found[size] = json.loads((folder / f"steps{size}").read_text())
    return {
        "counts": {size: {form: len(values) // 2 for form, values in found[size].items()} for size in (2, 4)},
        "differences": {
            size: max(abs(a - b) for form in found[1] for a, b in zip(found[1][form], found[size][form], strict=False))
            for size in (2, 4)
        },
    }


def describe_tensors(directory: Path) -> dict:
    tensors = checkpoint.load_checkpoint(directory / "last.safetensors").tensors
    return {name: [str(tensor.dtype), *tensor.shape] for name, tensor in tensors.items()}


def options(folder: Path) -> dict:
    """Other settings by 1 and 2 processes: the largest difference of their losses."""
    kinds = {
        "windows": [
            "data.sampling=random",
            "model.locked_output=0.3",
            "model.locked_input=0.2",
            "model.weight_drop=0.3",
        ],
        "parts": ["train.micro_batches=2", "model.dropout=0", "train.patience=1", "train.lr=0.3"],
        "bf16": ["train.precision=bf16", "init_from=windows1"],
    }
    (folder / "lines.txt").write_text(make_lines())
    found = {}
    for name, words in kinds.items():
        for size in (1, 2):
            where = f"hydra.run.dir={name.split()[0]}{size}"
            code = run(size, *SETTINGS, "train.max_steps=26", *words, where, folder=folder)
            assert code == [0] * size, (name, code, read(folder, "err", size))
        one, two = (losses(folder / f"{name.split()[0]}{size}") for size in (1, 2))
        found[name] = max(abs(a - b) for a, b in zip(one, two, strict=True))
    # 3 lanes of 4 processes: the last one only fills up
    words = [*SETTINGS, "data.path=lines.txt", "data.documents=line", "model.dropout=0", "data.batch_size=3"]
    words += ["data.split=[0.9,0.05,0.05]", "train.schedule=constant", "train.warmup=0", "resume=auto"]
    for name, parts in (("whole", ((1, 39),)), ("mixed", ((2, 13), (4, 26), (1, 39)))):
        for size, steps in parts:
            where = [f"train.max_steps={steps}", f"hydra.run.dir=documents_{name}"]
            code = run(size, *words, *where, folder=folder)
            assert code == [0] * size, (name, code, read(folder, "err", size))
            found[f"lanes of {size}"] = describe_tensors(folder / f"documents_{name}").get("run.carried.0")
    whole, mixed = (losses(folder / f"documents_{name}") for name in ("whole", "mixed"))
    found["documents"] = max(abs(a - b) for a, b in zip(whole, mixed, strict=True))
    limits = ["train.max_steps=null", "train.max_seconds=0.3", "seed=1,2", "hydra.sweep.dir=sweep"]
    found["codes of a sweep"] = run(
        2, "-m", *(word for word in SETTINGS if word[:5] != "seed="), *limits, folder=folder
    )
    rows = [path.read_text().splitlines()[-1] for path in sorted((folder / "sweep").glob("*/metrics.jsonl"))]
    found["ends of a sweep"] = [json.loads(row)["state"] for row in rows]
    return found


def make_lines() -> str:
    """60 lines of 1 to 40 characters: documents that fit into a window of 8, and others that do not."""
    chance = random.Random(4)
    return "".join(f"{''.join(chance.choices(TEXT, k=chance.randint(1, 40)))}.\n" for _ in range(60))


def mistakes(folder: Path) -> dict:
    """Exit codes and errors of runs that cannot begin."""

    def other_text(rank: int) -> None:
        if rank == 1:
            (folder / "other").mkdir(exist_ok=True)
            (folder / "other" / "text.txt").write_text(TEXT + "more")
            prepare = several.prepare
            several.prepare = lambda config, size: prepare(
                replace(config, data=replace(config.data, path=str(folder / "other" / "text.txt"))), size
            )

    def other_version(rank: int) -> None:
        if rank == 1:
            several.collect_versions = lambda: {"lstmlm": "0.0", "torch": "0.0"}

    def full_disk(rank: int) -> None:
        def refuse(*_: object) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        durable.os = SimpleNamespace(**{**vars(os), "replace": refuse})

    def bug(rank: int) -> None:
        if rank == 1:
            Follower.begin = lambda self, start: 1 / 0

    scenes = {
        "setting": (["model.num_hidens=3"], None),
        "division": (["data.batch_size=5"], None),
        "text": ([], other_text),
        "version": ([], other_version),
        "disk": ([], full_disk),
        "bug": ([], bug),
        "diverged": (["train.lr=1e30", "train.optimizer=sgd", "train.grad_clip=null"], None),
        "help": (["--help"], None),
    }
    found = {}
    for name, (words, before) in scenes.items():
        place = folder / name
        place.mkdir()
        where = [] if name == "help" else [*SETTINGS, "data.path=../text.txt"]
        pids = start(2, [*where, *words], place, before or (lambda rank: None))
        found[name] = [wait(pids, 30), read(place, "err", 2)]
    return found


def signals(folder: Path) -> dict:
    """Signals to one rank or to both: how each run ends, and whether it is then that of no signal."""
    expected, found = outcome(folder / "of2"), {}

    def strike(number: int, ranks: Sequence[int], at: int) -> Callable[[int], None]:
        def before(rank: int) -> None:
            make_step, count = Follower.train_on_batch if rank else Trainer.train_on_batch, itertools.count(1)

            def struck(self, *arguments):
                make_step(self, *arguments)
                if next(count) == at and rank in ranks:
                    os.kill(os.getpid(), number)

            (Follower if rank else Trainer).train_on_batch = struck

        return before

    def interrupted(rank: int) -> None:
        """Both ranks as at a Ctrl-C before they have met."""
        if rank == 1:
            os._exit(130)
        launch.check_words = lambda words: signal.raise_signal(signal.SIGINT)

    place = folder / "early"
    place.mkdir()
    found["early"] = [wait(start(2, [], place, interrupted), 10), read(place, "err", 2)]
    words = [*SETTINGS, "train.ema=0.9", "train.schedule=constant", "train.warmup=0", "resume=auto"]
    for name, number, ranks in (
        ("SIGTERM to rank 1", signal.SIGTERM, [1]),
        ("SIGINT to both", signal.SIGINT, [0, 1]),
        ("SIGHUP to rank 0", signal.SIGHUP, [0]),
    ):
        place = folder / name
        place.mkdir()
        (place / "text.txt").write_text(TEXT)
        codes = wait(start(2, [*words, "hydra.run.dir=run"], place, strike(number, ranks, 20)), 30)
        step = checkpoint.load_checkpoint(place / "run" / "last.safetensors").record["step"]
        lines = read(place, "err", 2)
        assert run(2, *words, "hydra.run.dir=run", folder=place) == [0, 0], read(place, "err", 2)
        found[name] = [codes, step, lines, differences(expected, outcome(place / "run"))]
    return found


def silences(folder: Path) -> dict:
    """A rank that is stopped is found; an evaluation longer than the timeout is not taken for it."""

    def stop_itself(rank: int) -> None:
        if rank == 1:
            make_step = Follower.train_on_batch

            def stopped(self, *arguments):
                make_step(self, *arguments)
                os.kill(os.getpid(), signal.SIGSTOP)

            Follower.train_on_batch = stopped

    def slow(rank: int) -> None:
        evaluate = Evaluator.evaluate

        def evaluate_slowly(self, *arguments):
            time.sleep(4.0)
            return evaluate(self, *arguments)

        Evaluator.evaluate = evaluate_slowly

    words, found = [*SETTINGS, "rank_timeout=3", "train.eval_every=8", "train.max_steps=8"], {}
    for name, before in (("stopped", stop_itself), ("slow", slow)):
        place = folder / name
        place.mkdir()
        pids = start(2, [*words, "data.path=../text.txt", "hydra.run.dir=run"], place, before)
        code = wait(pids[:1], 25)
        found[name] = [code + wait(pids[1:], 5), read(place, "err", 2)]
    return found


def kills(folder: Path, count: int = 5, size: int = 2) -> dict:
    """SIGKILL of a random rank at a random moment, again and again, each time resumed, as torchrun --max-restarts does.

    Runs that reach their end are compared with one that was never killed.
    """
    words = [*SETTINGS, "resume=auto"]
    (folder / "reference").mkdir()
    (folder / "reference" / "text.txt").write_text(TEXT)
    began = time.perf_counter()
    assert run(size, *words, "hydra.run.dir=run", folder=folder / "reference") == [0] * size
    length, expected, chance = time.perf_counter() - began, outcome(folder / "reference" / "run"), random.Random(2)
    done, runs, bad, kinds, slowest = 0, 0, [], set(), 0.0
    while done < count:
        runs += 1
        place = folder / f"kills{runs}"
        place.mkdir()
        (place / "text.txt").write_text(TEXT)
        while True:
            pids = start(size, [*words, "hydra.run.dir=run"], place)
            patience = chance.uniform(0.1, 1.0) * length if done < count else 60.0
            if ended := wait_until(pids, patience):
                break
            victim = chance.randrange(size)
            os.kill(pids[victim], signal.SIGKILL)
            began = time.perf_counter()
            for other in (pid for pid in pids if pid != pids[victim]):
                os.kill(other, signal.SIGTERM)  # as torchrun does, which is slower to notice
            codes = wait(pids, 30)
            slowest = max(slowest, time.perf_counter() - began)
            done += 1
            kinds.add(victim)
            bad += [f"kill {done}: {codes}"] if None in codes else []
            bad += [f"kill {done}: {problem}" for problem in state_problems(place / "run")]
        bad += [f"run {runs}: {ended}"] if any(ended) else []
        bad += [f"run {runs}: {each}" for each in differences(expected, outcome(place / "run"))]
    return {"kills": done, "runs": runs, "bad": bad, "victims": sorted(kinds), "slowest": slowest}


def wait_until(pids: Sequence[int], seconds: float) -> list[int] | None:
    """The exit codes of the processes if all end in this time, else None."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if all(os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) for pid in pids):
            return [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
        time.sleep(0.005)
    return None


SCENES = {scene.__name__: scene for scene in (steps, sizes, options, mistakes, signals, silences, kills)}

if __name__ == "__main__":
    torch.set_num_threads(1)
    composed_config(*SETTINGS)  # imports Hydra
    warm_up()
    place, *names = sys.argv[1:]
    Path(place).mkdir(exist_ok=True)
    (Path(place) / "text.txt").write_text(TEXT)
    os.environ["LSTMLM_CACHE"] = os.devnull
    results = {}
    for name in names:
        scene, _, count = name.partition("=")
        results[scene] = SCENES[scene](Path(place), *([int(count)] if count else []))
    print(json.dumps(results))
