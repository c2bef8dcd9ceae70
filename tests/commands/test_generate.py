"""`generate` from the outside: what it writes, where, and that it says what it left out."""

import io
import json
import math
import re
import signal
import subprocess
import sys

import pytest
import torch
from helpers.command_line import ROOT

from lstmlm.checkpoints import checkpoint
from lstmlm.checkpoints.files import find_checkpoint
from lstmlm.commands.shading import SHADES, shade_text
from lstmlm.evaluation.scoring import evaluate

PROMPT = "The time keeper"
AS_USED = ("--temperature", "0.8", "--seed", "5", "--length", "60")


@pytest.fixture
def generate(command, run_directory):
    """Call `generate` on the run -> stdout; the command must end well, and say nothing but `notes` on stderr."""

    def call(*words: str, notes: str = "") -> str:
        code, out, err = command("generate", str(run_directory), *words)
        assert code == 0 and re.fullmatch(notes, err), err
        return out

    return call


def give_input(monkeypatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), encoding="utf-8"))


# What it writes


def test_the_text_is_the_prompt_and_what_follows_and_nothing_else(generate):
    out = generate("--prompt", PROMPT, *AS_USED)
    assert out.startswith(PROMPT) and len(out) == len(PROMPT) + 60
    assert generate("--prompt", PROMPT, "--length", "0") == PROMPT


def test_samples_drawn_together_are_single_runs_with_the_seeds_in_a_row(generate):
    words = ("--prompt", PROMPT, "--top-p", "0.9", "--repetition-penalty", "1.2")
    single = [generate(*words, "--length", "60", "--seed", str(seed)) for seed in (5, 6, 7)]
    assert len(set(single)) == 3
    seeds = r"note: seed 5\nnote: seed 6\nnote: seed 7\n"
    assert generate(*words, *AS_USED[2:], "--samples", "3", notes=seeds) == "\n".join(single)
    rows = [json.loads(line) for line in generate(*words, *AS_USED[2:], "--samples", "3", "--jsonl").splitlines()]
    assert [(row["seed"], row["text"]) for row in rows] == list(zip((5, 6, 7), single, strict=True))
    whole = json.loads(generate(*words, *AS_USED[2:], "--samples", "3", "--json"))
    assert whole["samples"] == rows and rows[0].items() <= whole.items()


def test_json_has_the_settings_and_the_log_probability_that_score_gives(generate, run_directory):
    words = ("--prompt", PROMPT, *AS_USED, "--top-k", "20", "--top-p", "0.9", "--min-p", "0.01", "--stop", "zz")
    row = json.loads(generate(*words, "--json"))
    told = {"prompt": PROMPT, "seed": 5, "temperature": 0.8, "top_k": 20, "top_p": 0.9, "min_p": 0.01}
    assert told.items() <= row.items() and row["stop"] == ["zz"] and row["length"] == 60
    assert row["text"] == generate(*words)
    model, vocab = checkpoint.load_checkpoint(find_checkpoint(run_directory)).build()
    whole, prompt = (evaluate(model, torch.from_numpy(vocab.encode(text))).nats for text in (row["text"], PROMPT))
    assert math.isclose(row["log_probability"], prompt - whole, rel_tol=1e-5)


def test_every_filter_at_its_idle_value_leaves_the_text_unchanged(generate):
    plain = generate("--prompt", PROMPT, *AS_USED)
    idle = ("--top-k", "5000", "--top-p", "1", "--min-p", "0", "--repetition-penalty", "1")
    assert (
        generate("--prompt", PROMPT, *AS_USED, *idle, notes=r"note: --top-k 5000 keeps all characters: .*\n") == plain
    )
    greedy = generate("--prompt", PROMPT, "--temperature", "0", "--length", "60")
    assert generate("--prompt", PROMPT, "--top-k", "1", "--length", "60") == greedy != plain


def test_the_text_ends_with_the_stop_string(generate):
    whole = generate("--prompt", PROMPT, *AS_USED)[len(PROMPT) :]
    stop = whole[20:23]
    cut = generate("--prompt", PROMPT, *AS_USED, "--stop", stop, "--stop", "zzzz")
    assert cut == PROMPT + whole[: whole.index(stop) + 3]
    assert generate("--prompt", PROMPT, *AS_USED[:4], "--length", "inf", "--stop", stop) == cut


def test_a_sample_that_has_ended_waits_for_the_others(generate):
    words = ("--prompt", PROMPT, "--length", "60", "--stop", "e", "--jsonl")
    single = [json.loads(generate(*words, "--seed", seed)) for seed in "567"]
    together = [json.loads(line) for line in generate(*words, "--seed", "5", "--samples", "3").splitlines()]
    assert [row["text"] for row in together] == [row["text"] for row in single]
    assert len({len(row["text"]) for row in single}) > 1
    for one, other in zip(together, single, strict=True):
        assert math.isclose(one["log_probability"], other["log_probability"], rel_tol=1e-5)


def test_out_writes_the_same_text_to_a_file(generate, tmp_path):
    assert generate("--prompt", PROMPT, *AS_USED, "--out", str(tmp_path / "out.txt")) == ""
    assert (tmp_path / "out.txt").read_text() == generate("--prompt", PROMPT, *AS_USED)
    generate("--prompt", PROMPT, *AS_USED, "--jsonl", "--out", str(tmp_path / "rows"))
    assert (tmp_path / "rows").read_text() == generate("--prompt", PROMPT, *AS_USED, "--jsonl")


def test_a_mistake_leaves_the_file_as_it_was(command, run_directory, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    assert command("generate", str(run_directory), "--prompt", "ñ", "--out", str(tmp_path / "mine.txt"))[0] == 2
    assert (tmp_path / "mine.txt").read_text() == "mine"


# The prompt


def test_a_prompt_comes_from_a_file_or_standard_input_as_it_stands(generate, tmp_path, monkeypatch):
    prompt = "The tide\ncame in. \n"
    expected = generate("--prompt", prompt, *AS_USED)
    (tmp_path / "prompt.txt").write_text("\ufeff" + prompt, encoding="utf-8")
    assert generate("--prompt-file", str(tmp_path / "prompt.txt"), *AS_USED) == expected
    give_input(monkeypatch, prompt.encode())
    assert generate("--prompt-file", "-", *AS_USED) == expected


def test_unknown_characters_are_left_out_or_read_as_unk_and_named(generate):
    odd, named = (
        f"{PROMPT[:3]}\u2019{PROMPT[3:]}",
        r"character '\\u2019' \(U\+2019\) at position 3 \(nearest: \"'\"\)\n",
    )
    plain = generate("--prompt", PROMPT, *AS_USED)
    assert generate("--prompt", odd, *AS_USED, "--oov", "skip", notes=f"note: left out: {named}") == plain
    as_unk = generate("--prompt", odd, *AS_USED, "--oov", "unk", notes=f"note: read as <unk>: {named}")
    assert as_unk.startswith(odd) and len(as_unk) == len(odd) + 60


# (words, what the line says)
MISTAKES = [
    (["--prompt", "a\u2019b\u201c"], r"--prompt: characters '\\u2019' \(U\+2019\) at position 1 \(nearest: \"'\"\), "),
    (["--top-k", "0"], r"--top-k: must be a whole number, 1 or more, got 0"),
    (["--top-k", "-2"], r"--top-k: must be a whole number, 1 or more, got -2"),
    (["--top-p", "0"], r"--top-p: must be more than 0 and at most 1, got 0"),
    (["--top-p", "1.01"], r"--top-p: "),
    (["--min-p", "1"], r"--min-p: must be 0 or more and less than 1, got 1"),
    (["--min-p", "-0.1"], r"--min-p: "),
    (["--repetition-penalty", "0"], r"--repetition-penalty: must be more than 0, got 0"),
    (["--penalty-window", "0"], r"--penalty-window: must be a whole number, 1 or more, got 0"),
    (["--samples", "0"], r"--samples: must be 1 or more, got 0"),
    (["--stop", ""], r"--stop: is empty"),
    (["--stop", "ñ"], r"--stop: character '\\xf1' .* is not in the vocabulary: no text can end there"),
    (["--length", "inf", "--json"], r"--length: inf never ends, and --json waits for the end"),
    (["--length", "inf", "--interactive"], r"--length: inf never ends"),
    (["--interactive", "--json"], r"--interactive: cannot be had together with --json"),
    (["--interactive", "--samples", "2"], r"--interactive: cannot be had together with --samples"),
    (["--interactive", "--novelty"], r"--interactive: cannot be had together with --novelty"),
    (["--prompt", "a", "--prompt-file", "b"], r"--prompt: cannot be had together with --prompt-file"),
    (["--prompt-file", "nothere"], r"--prompt-file: no such file: nothere"),
    (["--oov", "drop"], r"lstmlm generate: argument --oov: invalid choice: 'drop'"),
]


@pytest.mark.parametrize(("words", "says"), MISTAKES, ids=lambda value: " ".join(value) if type(value) is list else "")
def test_a_mistake_is_one_line(run_directory, command, words, says):
    code, out, err = command("generate", str(run_directory), *words)
    assert (code, out) == (2, "") and re.fullmatch(rf"error: {says}.*\n", err), err


def test_a_prompt_file_that_is_not_utf_8_is_named_with_the_byte(run_directory, command, tmp_path):
    (tmp_path / "odd").write_bytes(b"The \xff tide")
    code, out, err = command("generate", str(run_directory), "--prompt-file", str(tmp_path / "odd"))
    assert (code, out) == (2, "") and re.fullmatch(
        r"error: --prompt-file: .* is not UTF-8 at byte 4 \(0xFF\): .*\n", err
    )


def test_a_setting_without_effect_is_noted(generate):
    notes = r"note: --top-p has no effect with these settings\n"
    assert generate("--prompt", "", "--temperature", "0", "--top-p", "0.5", "--length", "3", notes=notes)
    notes = r"note: --penalty-window has no effect with these settings\n"
    assert generate("--prompt", "", "--penalty-window", "5", "--length", "3", notes=notes)


# The terminal


def test_shades_follow_the_surprisal_and_line_ends_are_left_alone():
    assert shade_text("ab", [0.0, 0.9]) == "ab"
    assert shade_text("abc\nd", [0.1, 1.5, 1.9, 9, 9]) == (
        f"a\x1b[30;48;5;{SHADES[1]}mbc\x1b[0m\n\x1b[30;48;5;{SHADES[5]}md\x1b[0m"
    )
    assert shade_text("\x1b", [9.0]) == f"\x1b[30;48;5;{SHADES[5]}m\\x1b\x1b[0m"


def test_color_is_for_a_terminal_alone_and_does_not_change_the_text(generate, monkeypatch):
    words = ("--prompt", PROMPT, *AS_USED)
    plain = generate(*words)
    assert generate(*words, "--color") == plain
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    colored = generate(*words, "--color")
    assert colored.startswith(PROMPT) and "\x1b[30;48;5;" in colored
    assert re.sub(r"\x1b\[[\d;]+m", "", colored) == plain + "\n" == generate(*words)


def test_a_text_without_end_comes_as_it_is_drawn_and_ctrl_c_ends_it(run_directory):
    words = [sys.executable, "-m", "lstmlm", "generate", str(run_directory), "--prompt", "", "--length", "1000000000"]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert len(process.stdout.read(200)) == 200
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, b"stopped\n")


def test_a_list_of_names_is_one_a_line(run_directory, command):
    code, out, _ = command("generate", str(run_directory), "--samples", "4", "--stop", "\n", "--length", "400")
    assert code == 0 and "\n\n" not in out.strip("\n")
    assert len(out.strip("\n").split("\n")) <= 4
