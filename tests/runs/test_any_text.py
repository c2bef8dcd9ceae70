"""Texts and names as people have them: any letters, any bytes in names, moved files, doubtful validation texts."""

import json
import os
import re
import shlex
import shutil
import subprocess

import pytest
from helpers.command_line import ROOT
from hypothesis import given
from hypothesis import strategies as st
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lstmlm import load
from lstmlm.evaluation import baselines
from lstmlm.evaluation.baselines import compute_compressor_baselines
from lstmlm.runs import execute
from lstmlm.runs.verdict import Finding
from lstmlm.system.escape import escape_controls
from lstmlm.system.shell_words import quote_word

TEXT = "The tide comes in \u00e9, and the lamp goes out.\n" * 40
TINY = ["data=file", "backend=nn", "model.num_hiddens=4", "train.max_steps=2", "train.eval_every=1", "sample.length=5"]
TINY += ["data.batch_size=2", "data.num_steps=8", "train.baselines=false", "data.split=[0.8,0.1,0.1]"]


@pytest.fixture
def odd(tmp_path):
    """The word on a command line for a name that is not UTF-8."""
    name = b"caf\xe9.txt"
    try:
        (tmp_path / os.fsdecode(name)).write_text(TEXT, encoding="utf-8")
    except OSError:
        pytest.skip("this file system has no such names")
    return os.fsdecode(name)


def test_a_text_may_have_a_name_of_any_bytes(train, command, tmp_path, odd, monkeypatch):
    monkeypatch.setattr(execute, "find_verdict", lambda evidence: Finding("overfits", "so that a command is advised"))
    run, missing = os.fsdecode(b"r\xffn"), os.fsdecode(b"no\xe9")
    code, out, err = train(*TINY, f"data.path={odd}", f"hydra.run.dir={run}")
    assert (code, err) == (0, "") and "caf" in out
    code, _, err = train(f"resume={run}", "train.max_steps=3")
    assert (code, err) == (0, "")
    assert command("evaluate", run)[::2] == (0, "") and command("compare", run)[::2] == (0, "")
    assert "caf" in (tmp_path / run / "train.log").read_text(encoding="utf-8")
    shutil.copytree(tmp_path / run, tmp_path / "copy")  # TensorBoard itself reads no such directory
    assert EventAccumulator(str(tmp_path / "copy")).Reload().Tags()["scalars"]
    final = json.loads((tmp_path / run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()[-1])
    assert final["state"] == "finished"
    code, _, err = train(*TINY, f"data.path={missing}")
    assert code == 2 and re.fullmatch(r"error: data\.path: no such file: no.*\n", err)
    words = next(line for line in out.splitlines() if line.startswith("to try:"))
    assert subprocess.run(["bash", "-c", f"printf '%s\\n' {words}"], stdout=-1).stdout.count(b"caf\xe9") == 1


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]) | st.sampled_from("\udcff'\\\n")))
def test_a_word_of_any_characters_can_be_typed_again(word):
    quoted = quote_word(word)
    assert quoted == shlex.quote(word) or (quoted.startswith("$'") and escape_controls(quoted) == quoted)


def test_a_quoted_word_is_the_word_for_the_shell():
    words = ["caf\udce9 x", "it's\n\x1b[2J", "a b", "\\ '\udcff", "\u00e9\u202e\x85"]
    shown = subprocess.run(["bash", "-c", f"printf '%s\\0' {' '.join(map(quote_word, words))}"], stdout=-1).stdout
    assert shown == b"".join(os.fsencode(word) + b"\0" for word in words)


# Every door reads a text as the run read its own


@pytest.fixture
def nfc(train, tmp_path):
    """A run in run/ on a text with decomposed letters, read with normalize=nfc."""
    (tmp_path / "a.txt").write_text(TEXT.replace("\u00e9", "e\u0301"), encoding="utf-8")
    assert train(*TINY, "data.path=a.txt", "data.normalize=nfc", "hydra.run.dir=run")[0] == 0
    return tmp_path


def test_prompts_stops_and_scored_texts_get_the_line_ends_and_the_nfc_of_the_run(nfc, command, train):
    typed, read = "in e\u0301,\r\nThe", "in \u00e9,\nThe"
    (nfc / "p.txt").write_bytes(b"\xef\xbb\xbf" + typed.encode())
    expected = command("generate", "run", "--prompt", read, "--length", "9")[1]
    assert expected.startswith(read)
    for words in (["--prompt-file", "p.txt"], ["--prompt", typed]):
        assert command("generate", "run", *words, "--length", "9") == (0, expected, "")
    ended = [command("generate", "run", "--length", "300", "--stop", stop) for stop in ("e\u0301", "\u00e9")]
    assert ended[0] == ended[1] and ended[0][0] == 0
    model = load("run")
    assert model.generate(typed, 9) == expected and model.score(typed) == model.score(read)
    assert list(model.stream("", 20, stop="e\u0301")) == list(model.stream("", 20, stop="\u00e9"))
    whole = json.loads(command("score", "run", "p.txt", "--json")[1])
    assert whole["num_chars"] == len(read) - 1 and whole["num_unknown"] == 0
    assert command("trace", "run", "--text", typed)[0] == 0
    assert train("resume=run", "sample.prompt=e\u0301", "train.max_steps=3")[0] == 0
    assert train(*TINY, "data.path=a.txt", "data.normalize=nfc", "sample.prompt=e\u0301")[0] == 0


def test_a_folder_is_scored_as_it_would_be_read(nfc, command):
    (nfc / "texts").mkdir()
    for name, text in (("2.txt", "out."), ("10.txt", "The"), ("2.txt~", "goes")):
        (nfc / "texts" / name).write_text(text, encoding="utf-8")
    (nfc / "one.txt").write_text("out.\nThe", encoding="utf-8")
    assert command("score", "run", "texts", "--json")[1] == command("score", "run", "one.txt", "--json")[1]


def test_a_line_end_typed_as_a_backslash_and_a_letter_is_explained(nfc, command):
    code, _, err = command("generate", "run", "--stop", r"\n", "--length", "5")
    assert code == 2 and r"type $'\n' in bash" in err
    code, _, err = command("generate", "run", "--prompt", r"a\nb", "--length", "5")
    assert code == 2 and r"type $'a\nb' in bash" in err


# Moved and doubtful texts


def test_a_text_that_has_moved_is_found_as_the_hint_says(nfc, train, command):
    (nfc / "a.txt").rename(nfc / "b.txt")
    code, _, err = train("resume=run", "train.max_steps=3")
    assert code == 2 and re.search(r"resume: the text of the run is not at \S+a\.txt: say .* data\.path=FILE\n", err)
    code, _, err = command("evaluate", "run")
    assert code == 2 and "give it with --file FILE --split val" in err
    assert command("evaluate", "run", "--file", "b.txt", "--split", "val")[0] == 0
    assert train("resume=run", "train.max_steps=3", "data.path=b.txt")[0] == 0


def test_the_hint_for_a_text_of_its_own_is_the_file_of_the_part(train, command, tmp_path):
    (tmp_path / "a.txt").write_text(TEXT, encoding="utf-8")
    (tmp_path / "v.txt").write_text("The lamp comes in. " * 9, encoding="utf-8")
    assert train(*TINY, "data.path=a.txt", "data.val_path=v.txt", "hydra.run.dir=run")[0] == 0
    hashes = json.loads(command("evaluate", "run", "--json")[1])["split_hash"]
    (tmp_path / "v.txt").rename(tmp_path / "w.txt")
    code, _, err = command("evaluate", "run")
    assert code == 2 and "give its file with --file FILE, or" in err
    assert json.loads(command("evaluate", "run", "--file", "w.txt", "--json")[1])["split_hash"] == hashes
    code, _, err = train("resume=run", "train.max_steps=3")
    assert code == 2 and "v.txt: say where it is with data.val_path=FILE" in err
    assert train("resume=run", "train.max_steps=3", "data.val_path=w.txt")[0] == 0
    (tmp_path / "s.txt").write_text("ab")
    code, _, err = command("evaluate", "run", "--file", "s.txt", "--split", "val")
    assert code == 2 and re.match(r"error: --file: s\.txt cannot be split as the run's text: .*--split out", err)


def test_a_validation_text_that_says_nothing_is_warned_of(train, command, tmp_path):
    (tmp_path / "a.txt").write_text(TEXT, encoding="utf-8")
    (tmp_path / "v.txt").write_text("\u0412\u0441\u0435 \u0441\u0435\u043c\u044c\u0438 " * 20, encoding="utf-8")
    out = train(*TINY, "data.path=a.txt", "data.val_path=v.txt", "hydra.run.dir=run")[1]
    assert re.search(r"warning: \d\d% of the characters of val are unknown to the model", out)
    for words in (["evaluate", "run"], ["score", "run", "v.txt"], ["baselines", "data=file", "data.path=a.txt"]):
        words += ["data.val_path=v.txt"] if words[0] == "baselines" else []
        assert re.match(r"warning: \d\d% of the characters of .* are unknown", command(*words)[2])
    (tmp_path / "v.txt").write_text(TEXT, encoding="utf-8")
    out = train(*TINY, "data.path=a.txt", "data.val_path=v.txt", "hydra.run.dir=same")[1]
    assert "warning: val is the training part itself" in out
    assert "file is the text that the model was trained on" in command("evaluate", "same", "--file", "a.txt")[2]
    (tmp_path / "v.txt").write_text("new " + TEXT[:900], encoding="utf-8")
    out = train(*TINY, "data.path=a.txt", "data.val_path=v.txt", "hydra.run.dir=part")[1]
    assert re.search(r"warning: \d+% of val \(in samples of 40 characters\) stand word for word in train", out)


# Numbers that count bytes or characters


def test_bits_per_byte_and_per_character_differ_where_characters_have_several_bytes(train, command, tmp_path):
    text = "".join(f"\u4e2d\u00e9 {k} \u6587\U0001f600a\n" for k in range(60))
    (tmp_path / "a.txt").write_text(text, encoding="utf-8")
    assert train(*TINY, "data.path=a.txt", "hydra.run.dir=run", "train.baselines=true")[0] == 0
    val = text[int(0.8 * len(text)) : int(0.9 * len(text))]
    share = len(val.encode()) / len(val)
    row = json.loads(command("evaluate", "run", "--json")[1])
    *evaluations, final = map(json.loads, (tmp_path / "run" / "metrics.jsonl").read_text().splitlines())
    assert share > 1.5 and row["num_chars"] == len(val) - 1
    assert row["bits_per_byte"] == pytest.approx(row["bits_per_char"] / share)
    assert all(each["bpb/val"] == pytest.approx(each["bpc/val"] / share) for each in evaluations)
    assert final["bpb/val_best"] == pytest.approx(final["bpc/val_best"] / share)
    (tmp_path / "v.txt").write_text(val, encoding="utf-8")
    for words in (["evaluate", "run", "--file", "v.txt"], ["score", "run", "v.txt"]):
        row = json.loads(command(*words, "--json")[1])
        assert row["bits_per_byte"] == pytest.approx(row["bits_per_char"] / share)


def test_compressors_compress_the_whole_held_out_part(command, tmp_path, monkeypatch):
    """Also where it is longer than the part of the training text that is read."""
    pytest.importorskip("lzma")
    text = (ROOT / "data" / "tide_clock.txt").read_text(encoding="utf-8")[:7000].replace("e", "\u00e9")
    text = "".join(char for char in text if char in text[:3000])[:6000]  # without unknown characters
    (tmp_path / "a.txt").write_text(text, encoding="utf-8")
    monkeypatch.setattr(baselines, "LIMIT", 2000)
    words = ("baselines", "data=file", f"data.path={tmp_path / 'a.txt'}", "data.split=[0.5,0.5,0]", "--json")
    rows = {row["name"]: row["nats_per_char"] for row in json.loads(command(*words)[1])["rows"]}
    before, after = text[1000:3000].encode(), text[3000:].encode()
    for baseline in compute_compressor_baselines([before], [after], 3000):
        assert rows[baseline.name] == pytest.approx(baseline.nats_per_char) and rows[baseline.name] > 1
