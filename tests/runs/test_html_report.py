"""Each run ends with a report.html of its own figures, and `lstmlm report` writes it again, for old runs too."""

import html
import json
import shutil

import pytest
from helpers.command_line import ROOT


@pytest.fixture
def copied(run_directory, tmp_path, monkeypatch):
    shutil.copytree(run_directory, tmp_path / "run")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "run"


def test_the_report_of_a_run_has_its_figures_samples_settings_and_commands(copied):
    page = html.unescape((copied / "report.html").read_text(encoding="utf-8"))
    rows = [json.loads(line) for line in (copied / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    final = rows[-1]
    for shown in (final["ppl/val_best"], final["ppl/test_best"], rows[0]["baseline/ngram"]):
        assert f"{shown:.3f}" in page or f"{shown:.4f}" in page
    assert "best n-gram, val" in page and "model.num_hiddens" in page and "Copied from the training text" in page
    assert all(f"step {row['step']}, val perplexity" in page for row in rows[:-1])
    assert "report.html" in (copied / "screen.txt").read_text()


def test_report_writes_it_again_and_needs_no_training_text(copied, command):
    (copied / "report.html").unlink()
    code, out, err = command("report", "run")
    assert (code, out) == (0, "run/report.html: open it in a browser\n"), err
    assert "Copied from the training text" in (copied / "report.html").read_text(encoding="utf-8")


def test_a_run_of_before_has_a_report(tmp_path, command):
    shutil.copytree(ROOT / "tests" / "fixtures" / "format2_run", tmp_path / "old")
    code, _, err = command("report", str(tmp_path / "old"))
    assert code == 0, err
    assert (tmp_path / "old" / "report.html").stat().st_size > 5000


def test_a_directory_that_is_no_run_and_a_damaged_one_are_named(copied, command, tmp_path):
    (tmp_path / "empty").mkdir()
    code, _, err = command("report", "empty")
    assert code == 2 and err.startswith("error: report: empty is not a run directory")
    (copied / "metrics.jsonl").write_text("not a row\nnor this\n")
    code, _, err = command("report", "run")
    assert code == 2 and err.count("\n") == 1 and "metrics.jsonl" in err
