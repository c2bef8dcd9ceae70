"""benchmarks/quality.py: its tables say what the runs' own files say, and keep apart what cannot be compared."""

import importlib
import json
import math
import sys
from pathlib import Path

import pytest
from helpers.command_line import ROOT, TINY

SWEEP = [*TINY, "-m", "seed=1,2", "hydra.sweep.dir=sweep"]


@pytest.fixture
def quality(monkeypatch, capsys):
    """Call `python benchmarks/quality.py` in this process -> (stdout, stderr); SystemExit with what it refuses."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    script = importlib.import_module("quality")

    def call(*words: str) -> tuple[str, str]:
        monkeypatch.setattr(sys, "argv", ["quality.py", *words])
        monkeypatch.setenv("PYTHONPATH", str(ROOT))
        capsys.readouterr()
        script.main()
        return capsys.readouterr()

    return call


def rewrite_final(directory: Path, **figures: float) -> None:
    """Give a finished run other final figures."""
    *lines, final = (directory / "metrics.jsonl").read_text().splitlines()
    lines.append(json.dumps(json.loads(final) | figures))
    (directory / "metrics.jsonl").write_text("\n".join(lines) + "\n")


def cells(page: str, *has: str) -> list[list[str]]:
    """Of the lines of tables that have all of these words."""
    lines = [line for line in page.splitlines() if line.startswith("| ") and all(word in line for word in has)]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def test_a_row_is_the_mean_of_the_last_weights_not_of_the_best(train, quality):
    assert train(*SWEEP)[0] == 0
    for k, (best, last) in enumerate(((1.0, 2.0), (1.5, 2.5))):
        figures = {
            "loss/val_best": best,
            "loss/val_last": last,
            "loss/val_ema": last + 1,
            "cpu_seconds": 10.0 * (k + 1),
        }
        rewrite_final(Path(f"sweep/{k}_nn_s{k + 1}"), **figures)
    rows = json.loads(quality("sweep", "--json")[0])
    ours = {row["system"].rpartition(", ")[2]: row for row in rows}
    assert (
        ours["last weights"]["nats"] == "2.2500 [2.0000, 2.5000]"
        and ours["last weights"]["CPU-seconds"] == "15 [10, 20]"
    )
    assert ours["EMA None"]["value"] == 3.25
    assert "seeds 1, 2: 2 of 3 seeds, not yet a result" in ours["last weights"]["source"]
    page, _ = quality("sweep")
    (row,) = cells(page, "last weights", "one stream")
    assert row[5:7] == ["2.2500 [2.0000, 2.5000]", f"{2.25 / math.log(2):.3f}"] and row[3] == "2,871"
    assert row[7] == f"{math.sqrt(0.125):.4f}"  # of 2.0 and 2.5
    (made,) = cells(page, "`python train.py ")
    assert "model.num_hiddens=8" in made[1] and "seed=" not in made[1] and made[2] == "not said"


def test_windows_are_scored_once_for_each_checkpoint_and_kept_beside_the_run(train, quality, command, monkeypatch):
    assert train(*TINY, "hydra.run.dir=run")[0] == 0
    page, _ = quality("run", "--evaluate")
    said = json.loads(command("evaluate", "run/last.safetensors", "--windows", "64", "--json")[1])
    (stream,), (windows,) = cells(page, "one stream", "ours"), cells(page, "windows of 64", "ours")
    long = json.loads(command("evaluate", "run/last.safetensors", "--windows", "256", "--json")[1])
    assert stream[8] == f"{long['windowed_nats_per_char']:.4f}" != windows[5] and windows[8] == ""
    assert stream[5] == f"{said['nats_per_char']:.4f}" and windows[5] == f"{said['windowed_nats_per_char']:.4f}"
    monkeypatch.setattr("subprocess.run", lambda *_, **__: pytest.fail("asked again"))
    assert quality("run", "--evaluate") == quality("run") == (page, "")
    (digest,) = json.loads(Path("run/evaluated.json").read_text())
    Path("run/evaluated.json").write_text(json.dumps({digest[::-1]: {}}))
    with pytest.raises(pytest.fail.Exception, match="asked again"):
        quality("run", "--evaluate")


def test_adaptive_and_frozen_figures_are_in_tables_of_their_own(train, quality):
    assert train(*TINY, "hydra.run.dir=run")[0] == 0
    rewrite_final(Path("run"), **{"loss/val_last": 3.0})
    quality("run", "--evaluate")
    (digest, answers) = json.loads(Path("run/evaluated.json").read_text()).popitem()
    answers["--adaptive"] = {"nats_per_char": 3.0, "adaptive": {"nats_per_char": 2.0}}
    Path("run/evaluated.json").write_text(json.dumps({digest: answers}))
    page, _ = quality("run")
    frozen, adaptive = page.partition("Adaptive: ")[::2]
    assert "3.0000" in frozen and "2.0000" not in frozen and "2.0000" in adaptive and "3.0000" not in adaptive


def test_a_recipe_is_known_by_its_settings(train, quality, tmp_path, monkeypatch):
    assert train(*TINY, "seed=1", "hydra.run.dir=run")[0] == 0
    rewrite_final(Path("run"), **{"loss/val_last": 3.0})
    script = importlib.import_module("quality")
    recipe = {"system": "tiny", "command": " ".join(["python train.py", *TINY, "backend=scratch"]), "tried": 7}
    for name, content in (("others.json", []), ("recipes.json", [recipe])):
        (tmp_path / name).write_text(json.dumps(content))
    monkeypatch.setattr(script, "HERE", tmp_path)
    assert cells(quality("run")[0], "tiny")[0][2] == "7" and cells(quality("run")[0], "tiny, nn, last weights")
    recipe["command"] += " train.lr=0.5"
    (tmp_path / "recipes.json").write_text(json.dumps([recipe]))
    assert not cells(quality("run")[0], "tiny")


def test_runs_of_another_precision_are_shown_where_they_are_asked_for_and_say_so(train, quality):
    assert train(*TINY, "-m", "train.precision=float32,bf16", "hydra.sweep.dir=sweep")[0] == 0
    for directory in Path("sweep").glob("*_nn_*"):
        rewrite_final(directory, **{"loss/val_last": 3.0})
    shown, noted = quality("sweep", "--json")
    assert {row["precision"] for row in json.loads(shown) if "precision" in row} == {"float32"}
    assert "left out: --precision bf16 shows it" in noted
    shown, noted = quality("sweep", "--json", "--precision", "float32,bf16")
    assert noted == ""
    found = {row["precision"]: row["system"] for row in json.loads(shown) if "precision" in row}
    assert ", nn, last weights" in found["float32"] and ", nn, bf16, last weights" in found["bf16"]
    with pytest.raises(SystemExit, match="--precision: no run of fp16"):
        quality("sweep", "--precision", "fp16")


def test_a_run_that_has_not_finished_is_refused(train, quality):
    assert train(*TINY, "hydra.run.dir=run")[0] == 0
    rows = Path("run/metrics.jsonl").read_text().splitlines(keepends=True)
    Path("run/metrics.jsonl").write_text("".join(rows[:-1]))
    with pytest.raises(SystemExit, match="error: run: unfinished"):
        quality("run")


def test_every_figure_of_others_says_where_it_is_from_and_whether_it_was_measured():
    others = json.loads((ROOT / "benchmarks" / "others.json").read_text())
    for other in others:
        assert other["status"] in ("claimed", "re-run") and other["kind"] in ("frozen", "adaptive"), other
        assert other["source"] and other["split"] and other["protocol"] and other["system"], other
        assert ("nats" in other) != ("bits" in other), other


def test_every_recipe_can_be_composed():
    from helpers.command_line import composed_config

    for recipe in json.loads((ROOT / "benchmarks" / "recipes.json").read_text()):
        assert recipe["command"].startswith("python train.py") and recipe["tried"] >= 0
        composed_config(*recipe["command"].split()[2:])
