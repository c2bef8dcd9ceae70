"""Every command that README.md, docs/ and the recipes print is run, or this file names why it is not.

Commands that train are composed, so their settings are checked; those in TRAINED also train, with small limits added.
All others run as they stand, in this process, in a folder that has the files that the pages speak of.
"""

import glob
import io
import itertools
import re
import shlex
import shutil
import sys
from pathlib import Path

import pytest
import torch
from helpers.command_line import ROOT, TINY, shared_text
from helpers.markdown import find_blocks, find_commands, find_header_commands, list_pages
from torch import nn

from lstmlm.checkpoints.torch_file import OLDEST_TORCH
from lstmlm.runs.launch import train as call_train
from lstmlm.scratch.lstm import get_lstm_params, init_lstm_state, lstm_layer
from lstmlm.settings.overrides import compose_settings
from lstmlm.system.paths import find_cache

PAGES = list_pages("README.md", "docs/*.md")
RECIPES = list_pages("conf/experiment/*.yaml")
COMMANDS = sorted(
    {command for page in PAGES for command in find_commands(page)}
    | {command for recipe in RECIPES for command in find_header_commands(recipe)}
)

# Commands that are not run here, and why
NOT_RUN = {
    r"python3 -m venv .*": "makes an environment, as .ci/run does",
    r"\. \.venv/bin/activate": "changes the shell",
    r"pip install .*": "installs from the net, as .ci/run does",
    r"python -m pytest -n 2": "is what runs this test",
    r"tensorboard .*": "is a server that runs until it is stopped",
    r"python benchmarks/.*": "measures for minutes",
}
# Commands that also train
TRAINED = [
    "python train.py backend=scratch",
    "python train.py backend=fused data=file data.path=my.txt",
    "python train.py data=file data.path=my.txt data.val_path=other.txt",
    "python train.py data=file data.path=my.txt data.vocab=byte",
    "python train.py data=file 'data.path=texts/*.txt' data.encoding=latin-1",
    "python train.py init_from=runs/RUN data=file data.path=other.txt backend=fused",
    "python train.py data=file data.path=names.txt data.documents=line backend=fused",
    "python train.py data=file data.path=table.csv data.documents=line data.column=title",
    "python train.py data=file data.path=table.csv data.documents=line data.column=title data.label=kind",
    "python train.py resume=runs/RUN",
    "python train.py resume=runs/RUN train.max_epochs=20",
    "python train.py resume=auto hydra.run.dir=runs/mine",
    "python train.py resume=model.safetensors backend=nn",
    "python train.py -m resume=auto hydra.sweep.dir=sweeps/a seed=1,2,3",
    "python train.py train.schedule=linear train.ema=0.999 train.patience=5",
    "python train.py data.batch_size=256 train.micro_batches=8",
]
# Appended where the command says nothing of the setting
SPLIT = "data.split=[0.2,0.005,0.005]"  # the rest of the text is left out
SMALL = [word for word in TINY if not word.startswith(("backend=", "data.split="))] + [SPLIT]
MORE_STEPS = ["train.max_steps=6"]  # than the run that is resumed

# Appended to a command that would take long, or never end
SHORT = {"generate": ["--length", "30"], "lr_find": ["--steps", "100", "model.num_hiddens=8", "data.num_steps=8"]}
SLOW = {"check": "takes half a minute: tests/inspection/test_equality.py runs it"}


def find_reason(command: str) -> str | None:
    """Why a command is not run; None if it is."""
    return next((reason for pattern, reason in NOT_RUN.items() if re.fullmatch(pattern, command)), None)


@pytest.fixture(scope="module")
def template(tmp_path_factory) -> Path:
    """A folder with the files and runs that the pages speak of."""
    folder = tmp_path_factory.mktemp("docs")
    text = (ROOT / "data" / "tide_clock.txt").read_text()
    (folder / "texts").mkdir()
    files = {"my.txt": text[:20_000], "other.txt": text[20_000:22_000], "start.txt": "The time keeper"}
    files |= {"texts/a.txt": text[:9_000], "texts/b.txt": text[9_000:18_000], "chars.txt": "\n abcde"}
    for name, content in files.items():
        (folder / name).write_text(content)
    words = "\n".join(re.findall(r"\w+", text)[:1000])
    table = "title,kind\n" + "".join(f"{word},{'poem' if len(word) > 3 else 'joke'}\n" for word in words.split())
    for name, content in {"names.txt": words, "table.csv": table}.items():
        (folder / name).write_text(content)
    rnn, head = nn.LSTM(7, 5), nn.Linear(5, 7)
    state = {f"rnn.{name}": value for name, value in rnn.state_dict().items()}
    torch.save(state | {f"head.{name}": value for name, value in head.state_dict().items()}, folder / "FILE.pt")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["train.py"])
        assert call_train([*TINY, SPLIT, "hydra.run.dir=runs/RUN"]) == 0
        names = ["data=file", "data.path=names.txt", "data.documents=line"]
        assert call_train([*TINY, SPLIT, *names, "hydra.run.dir=runs/NAMES"]) == 0
        rows = ["data=file", "data.path=table.csv", "data.documents=line", "data.column=title", "data.label=kind"]
        assert call_train([*TINY, SPLIT, *rows, "hydra.run.dir=runs/TITLES"]) == 0
    for copy in ("runs/RUN1", "runs/RUN2", "runs/RUN3", "runs/sweep_a/0_nn_s0", "runs/sweep_a/1_nn_s0"):
        shutil.copytree(folder / "runs/RUN", folder / copy)
    shutil.copy(folder / "runs/RUN/last.safetensors", folder / "model.safetensors")
    return folder


@pytest.fixture
def folder(template, tmp_path, monkeypatch, capsys) -> Path:
    """A copy of the template, for one command, that stands in it."""
    shutil.copytree(template, tmp_path / "docs")
    monkeypatch.chdir(tmp_path / "docs")
    monkeypatch.setattr(sys, "argv", ["train.py"])
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"The tide\n/quit\n")))
    capsys.readouterr()
    return tmp_path / "docs"


def find_training_words(command: str) -> list[str] | None:
    """The overrides and flags of a command that trains, or None for another."""
    words = shlex.split(command)
    if words[:1] == ["torchrun"]:  # its own options, and then as without it
        words = ["python", *words[words.index("train.py") :]]
    if words[:2] == ["python", "train.py"]:
        return words[2:]
    for start in (["lstmlm", "train"], ["python", "-m", "lstmlm", "train"]):
        if words[: len(start)] == start:
            return words[len(start) :]
    return None


def find_lstmlm_words(command: str) -> list[str] | None:
    """The words after `lstmlm` of a command, globs expanded; None for another program."""
    words = shlex.split(command)
    words = words[2:] if words[:2] == ["python", "-m"] else words
    if words[:1] != ["lstmlm"]:
        return None
    return list(itertools.chain.from_iterable(sorted(glob.glob(word)) or [word] for word in words[1:]))


def list_jobs(words: list[str]) -> list[list[str]]:
    """The overrides of each job of a sweep: those of a comma list, one after the other."""
    choices = []
    for word in words:
        key, equals, value = word.partition("=")
        listed = equals and "," in value and value[0] not in "[{'\""
        choices.append([f"{key}={one}" for one in value.split(",")] if listed else [word])
    return [list(job) for job in itertools.product(*choices)]


def append_small_limits(words: list[str]) -> list[str]:
    if any(word.startswith("resume=") and word != "resume=auto" for word in words):
        return [*words, *MORE_STEPS]
    given = {word.partition("=")[0] for word in words}
    return [*words, *(limit for limit in SMALL if limit.partition("=")[0] not in given)]


ORDINARY = [command for command in COMMANDS if find_reason(command) is None]
TRAINING = [command for command in ORDINARY if find_training_words(command) is not None]
OTHERS = [command for command in ORDINARY if command not in TRAINING]
INFORMING = {"--help", "--cfg", "-sc"}  # flags of train.py that train nothing


@pytest.mark.parametrize("command", [c for c in TRAINING if not INFORMING & set(shlex.split(c))])
def test_a_command_that_trains_has_settings_that_compose(command, folder):
    for job in list_jobs(find_training_words(command)):
        settings = [word for word in job if not re.match(r"-m$|(resume|hydra[./][^=]*)=", word)]
        compose_settings(settings)


@pytest.mark.parametrize("command", [c for c in TRAINING if INFORMING & set(shlex.split(c))])
def test_a_command_that_informs_of_settings_runs(command, folder, capsys):
    assert call_train(find_training_words(command)) == 0
    assert capsys.readouterr().out.strip()


@pytest.mark.parametrize("command", TRAINED)
def test_a_command_that_trains_runs_with_small_limits(command, folder, capsys):
    assert command in TRAINING, "no page prints this command any more"
    code = call_train(append_small_limits(find_training_words(command)))
    assert (code, capsys.readouterr().err) == (0, "")


@pytest.mark.parametrize("command", OTHERS)
def test_a_command_runs(command, folder, capsys):
    from lstmlm import cli

    words = find_lstmlm_words(command)
    assert words, f"neither run nor named in NOT_RUN: {command}"
    if words[0] in SLOW:
        pytest.skip(SLOW[words[0]])
    if words[0] == "convert" and tuple(int(part) for part in torch.__version__.split(".")[:2]) < OLDEST_TORCH:
        pytest.skip("lstmlm convert asks for torch 2.10 or later")
    if "--png" in words:
        pytest.importorskip("matplotlib")
    code = cli.main([*words, *SHORT.get(words[0], [])])
    out, err = capsys.readouterr()
    assert code == 0, err
    assert out.strip()


@pytest.mark.parametrize("pattern", NOT_RUN)
def test_what_is_not_run_is_printed_somewhere(pattern):
    assert any(re.fullmatch(pattern, command) for command in COMMANDS)


SMALLER = {r"\b[15]00\b(?=, 1\b|$)": "10", r"\b256\b": "16"}  # epochs and units of the book's programs


@pytest.mark.parametrize("page", [page for page in PAGES if find_blocks(page, "python")], ids=lambda page: page.name)
def test_python_code_runs(page, folder, capsys):
    names = name_tensors() if page.name == "equations.md" else {}
    if any("time_machine" in code for code in find_blocks(page, "python")):
        find_cache().mkdir(parents=True, exist_ok=True)
        shutil.copy(shared_text("time_machine.txt"), find_cache())
    if any(".plot()" in code for code in find_blocks(page, "python")):
        pytest.importorskip("matplotlib").use("Agg")
    for code in find_blocks(page, "python"):
        for pattern, number in SMALLER.items():
            code = re.sub(pattern, number, code, flags=re.MULTILINE)
        exec(compile(code, str(page), "exec"), names)
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")
    if page.name == "equations.md":  # shows the lines of lstm_layer
        *_, (H, C) = lstm_layer(names["X"][None], names["before"], names["params"])
        assert torch.equal(names["H"], H) and torch.equal(names["C"], C)


def name_tensors() -> dict:
    """The tensors of one step under the names of the page."""
    V, H, B = 5, 4, 3
    params = [torch.randn_like(param) for param in get_lstm_params(V, H, "cpu")][:12]
    names = [f"{kind}{gate}" for gate in "ifoc" for kind in ("W_x", "W_h", "b_")]
    before = tuple(torch.randn_like(part) for part in init_lstm_state(B, H, "cpu"))
    state = dict(zip("HC", before, strict=True))
    given = {"torch": torch, "X": torch.randn(B, V), "params": params, "before": before}
    return given | state | dict(zip(names, params, strict=True))
