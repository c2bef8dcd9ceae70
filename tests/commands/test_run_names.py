"""RUN and the prompt may be left out, misspelt words get the nearest, and TAB completes."""

import json
import re
import shutil
import subprocess

import pytest

from lstmlm.checkpoints.checkpoint import load_checkpoint, save_checkpoint
from lstmlm.commands.runs import format_age

SHORT = ("--length", "20")


@pytest.fixture
def here(run_directory, tmp_path, monkeypatch):
    """A folder whose runs/ has one run, runs/mine, in which the user stands."""
    shutil.copytree(run_directory, tmp_path / "runs" / "mine")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_run_left_out_is_the_latest_run_which_stderr_says(here, command):
    code, named, _ = command("generate", "runs/mine", "--prompt", "The", *SHORT)
    assert code == 0
    for words in ([], ["latest"]):
        assert command("generate", *words, "--prompt", "The", *SHORT) == (0, named, "note: the latest run: runs/mine\n")
    for words in (["evaluate"], ["score", "runs/mine/train.log"], ["trace", "latest"]):
        code, out, err = command(*words)
        assert code == 0 and out and "note: the latest run: runs/mine\n" in err


def test_without_a_prompt_the_text_reads_on_from_the_beginning_of_the_runs_samples(here, command):
    sample = json.loads((here / "runs/mine/metrics.jsonl").read_text().splitlines()[0])["sample"]
    code, out, err = command("generate", "runs/mine", *SHORT)
    prompt = re.search(r'reading on from "(.+?)"', err)[1]
    assert code == 0 and out.startswith(prompt) and sample.startswith(prompt) and len(out.rstrip("\n")) >= len(prompt)
    assert command("generate", "runs/mine", "--prompt", prompt, *SHORT)[:2] == (0, out)


def test_the_prompt_is_in_the_checkpoint_and_a_checkpoint_without_it_is_read(here, command):
    loaded = load_checkpoint(here / "runs/mine/best.safetensors")
    assert loaded.record["prompt"] == loaded.prompt != ""
    older = {key: value for key, value in loaded.record.items() if key != "prompt"}
    save_checkpoint(here / "old.safetensors", loaded.tensors, older)
    assert load_checkpoint(here / "old.safetensors").prompt == ""
    code, out, err = command("generate", "old.safetensors", *SHORT)
    assert (code, err) == (0, "") and len(out) >= 20


def test_text_after_run_is_the_prompt(here, command):
    named = command("generate", "runs/mine", "--prompt", "The tide", *SHORT)
    assert named[0] == 0
    assert command("generate", "runs/mine", "The tide", *SHORT) == named
    assert command("generate", "runs/mine", *SHORT, "The", "tide") == named
    code, _, err = command("generate", "runs/mine", "The", "--prompt", "The")
    assert code == 2 and err.startswith("error: PROMPT: cannot be had together with --prompt")


@pytest.mark.parametrize(
    "words, says",
    [
        (["genrate"], "lstmlm: no such command: genrate: did you mean generate?"),
        (["qqq"], "lstmlm: no such command: qqq: lstmlm --help lists them"),
        (["generate", "runs/mine", "--lenght", "5"], "--lenght: did you mean --length?: lstmlm generate --help lists"),
        (["evaluate", "--splt=test"], "--splt: did you mean --split?: lstmlm evaluate --help lists"),
        (["generate", "runs/mien"], "no such file: runs/mien: did you mean runs/mine?"),
    ],
)
def test_a_misspelt_word_gets_the_nearest(here, command, words, says):
    code, out, err = command(*words)
    assert (code, out) == (2, "") and says in err and err.count("\n") == 1


def test_runs_lists_the_runs_with_what_tells_them_apart(here, command):
    settings = (here / "runs/mine/config.yaml").read_text()
    code, out, _ = command("runs")
    *_, name, text, backend, size, steps, perplexity = out.splitlines()[1].split()  # before them the age, maybe "1 min"
    assert code == 0 and (name, text, size, steps) == ("mine", "tide_clock", "24", "40")
    assert f"backend: {backend}" in settings
    assert all(len(line) <= 80 for line in out.splitlines())
    (listed,) = json.loads(command("runs", "--json")[1])
    assert listed["name"] == "runs/mine" and f"{listed['perplexity']:.3f}" == perplexity
    shutil.rmtree(here / "runs")
    assert command("runs")[:2] == (0, "no runs in runs/: python train.py makes one\n")
    assert command("runs", "nowhere")[0] == 2


@pytest.mark.parametrize("seconds, age", [(5, "now"), (60, "1 min"), (7300, "2 h"), (90000, "1 d")])
def test_an_age_is_told_in_its_largest_unit(seconds, age):
    assert format_age(seconds) == age


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize(
    "typed, completed",
    [
        (["gen"], ["generate"]),
        (["generate", "--temp"], ["--temperature"]),
        (["generate", "--backend", "sc"], ["scratch"]),
        (["evaluate", "lat"], ["latest"]),
        (["evaluate", "runs/m"], ["runs/mine"]),
        (["train", "model.num_h"], ["model.num_hiddens="]),
        (["train", "backend", "=", "fu"], ["fused"]),
        (["train", "experiment", "=", "tide"], ["tide_clock_5min"]),
        (["baselines", "data.pa"], ["data.path="]),
    ],
)
def test_tab_completes_commands_options_choices_settings_and_runs(here, command, typed, completed):
    code, script, _ = command("completion")
    assert code == 0
    words = " ".join(f"'{word}'" for word in ["lstmlm", *typed])
    ask = f"COMP_WORDS=({words}); COMP_CWORD={len(typed)}; _lstmlm; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    done = subprocess.run(["bash", "-c", f"{script}\n{ask}"], capture_output=True, text=True, cwd=here)
    assert done.stdout.split() == completed, done.stderr
