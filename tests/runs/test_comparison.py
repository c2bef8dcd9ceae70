"""Runs beside each other: ranked by what their own files say, and only where they were judged on the same."""

import json
import math
import re
from pathlib import Path

import pytest
from helpers.command_line import TINY, composed_config

from lstmlm.runs.comparison import find_differing_settings, format_label, group_seeds, rank_runs
from lstmlm.runs.comparison_picture import combine_curves, draw_curves, group_curves
from lstmlm.runs.summary import Run, find_runs, read_run
from lstmlm.settings.hydra_yaml import to_yaml
from lstmlm.training import metrics

HASH, OTHER = "a" * 64, "b" * 64


def made(
    directory: Path, losses: list[float], *words: str, split_hash: str = HASH, finished: bool = True, **final
) -> Path:
    """A run directory as a run with these validation losses leaves it."""
    directory.mkdir(parents=True)
    (directory / "config.yaml").write_text(to_yaml(composed_config(*words)))
    judged = {"split": "thirds", "split_hash": split_hash}
    rows = [{"step": 10 * k, "loss/val": loss, **judged} for k, loss in enumerate(losses, 1)]
    if finished:
        figures = {"final": True, "step": 10 * len(losses), "loss/val_best": min(losses), "seconds": 61.5, **final}
        rows.append(figures | {"split": "thirds", "hashes": {"val": split_hash}})
    (directory / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return directory


@pytest.fixture
def standing(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return Path()


def names(text: str) -> list[str]:
    return re.findall(r"^(\w\S*)  +\d", text, re.M)


def test_a_real_sweep_is_ranked_with_its_own_figures(train, command, tmp_path):
    assert train(*TINY, "-m", "seed=1,2,3", "hydra.sweep.dir=sweep")[0] == 0
    code, out, err = command("compare", "sweep", "--json", "--png", "curves.png")
    assert (code, err) == (0, "")
    rows = json.loads(out)["runs"]
    finals = {str(p.parent): json.loads(p.read_text().splitlines()[-1]) for p in Path("sweep").glob("*/metrics.jsonl")}
    assert [row["name"] for row in rows] == sorted(finals, key=lambda name: finals[name]["loss/val_best"])
    for row in rows:
        final = finals[row["name"]]
        assert row["nats_per_char"] == final["loss/val_best"] and row["seconds"] == final["seconds"]
        assert row["perplexity"] == pytest.approx(final["ppl/val_best"])
        assert row["bits_per_char"] == pytest.approx(final["bpc/val_best"])
        assert row["split_hash"] == final["hashes"]["val"] and row["split_name"] == "0.98/0.01/0.01"
        assert row["num_params"] == 4 * (63 * 8 + 8 * 8 + 8) + 8 * 63 + 63
        assert (row["steps"], row["state"], row["seed"]) == (4, "finished", int(row["name"][-1]))
    assert (tmp_path / "curves.png").read_bytes()[:4] == b"\x89PNG"


def test_the_lowest_loss_is_first_and_what_differs_stands_beside_it(command, standing):
    made(standing / "runs/high", [3.0, 2.5], "train.lr=0.02")
    made(standing / "runs/low", [3.0, 2.0], "train.lr=0.01")
    made(standing / "runs/deep/below/middle", [3.0, 2.25], "train.lr=0.01", "model.num_layers=2")
    code, out, err = command("compare", "runs")
    assert (code, err) == (0, "")
    assert names(out) == ["runs/low", "runs/deep/below/middle", "runs/high"]
    assert out.startswith(f"val of split thirds, hash {HASH[:12]}: ")
    assert out.splitlines()[2].endswith("num_layers=1 lr=0.01") and "num_hiddens" not in out


def test_runs_of_different_texts_have_a_table_each(command, standing):
    made(standing / "runs/here", [2.0])
    made(standing / "runs/there", [1.0], split_hash=OTHER)
    made(standing / "runs/better", [1.5])
    code, out, err = command("compare", "runs", "--png", "x.png")
    assert (code, err) == (0, "")
    there, here = sorted(out.split("\n\n"), key=lambda table: HASH[:12] in table)
    assert names(here) == ["runs/better", "runs/here"] and HASH[:12] in here
    assert names(there) == ["runs/there"] and OTHER[:12] in there
    assert Path("x.png").exists()


def test_runs_that_count_other_characters_of_the_same_text_have_a_table_each(command, standing):
    made(standing / "runs/chars", [2.0])
    made(standing / "runs/bytes", [1.0], "data.vocab=byte")
    tables = command("compare", "runs")[1].split("\n\n")
    assert [re.search(r"data.vocab=(\w+)", table)[1] for table in tables] == ["byte", "char"]
    assert [names(table) for table in tables] == [["runs/bytes"], ["runs/chars"]]


def test_without_runs_named_those_in_runs_are_compared(command, standing):
    made(standing / "runs/a", [2.0])
    assert names(command("compare")[1]) == ["runs/a"]
    assert names(command("compare", "latest")[1]) == ["runs/a"]


def test_seeds_are_drawn_as_their_mean_and_a_band_at_the_steps_that_all_have(standing):
    for seed, losses in ((1, [3.0, 2.0]), (2, [4.0, 2.5, 1.0])):
        made(standing / f"{seed}", losses, f"seed={seed}")
    made(standing / "other", [5.0], "train.lr=0.5")
    runs = rank_runs(map(read_run, find_runs([standing])))
    seeds, other = sorted(group_curves(runs), key=len, reverse=True)
    assert [run.seed for run in seeds] == [2, 1] and len(other) == 1
    assert combine_curves(seeds, "steps") == ([10.0, 20.0], [3.5, 2.25], [3.0, 2.0], [4.0, 2.5])


def test_curves_are_drawn_against_seconds_of_training_where_the_rows_tell_them(command, standing):
    run = made(standing / "a", [2.0, 1.0])
    assert command("compare", "a", "--png", "x.png", "--x", "seconds")[0] == 2
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    for row in rows[:-1]:
        row |= {"progress/chars": 100 * row["step"], "speed/chars_per_s": 50.0, "baseline/ngram": 1.5}
    (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert combine_curves([read_run(run)], "seconds")[0] == [20.0, 40.0] and read_run(run).baseline == 1.5
    assert command("compare", "a", "--png", "x.png", "--x", "seconds")[0] == 0
    code, _, err = command("compare", "a", "--x", "seconds")
    assert code == 2 and "--x: has no effect without --png" in err


def test_runs_that_differ_in_the_seed_alone_get_mean_and_spread(command, standing):
    for seed, loss in ((1, 2.0), (2, 2.2), (3, 2.4)):
        made(standing / f"runs/{seed}", [loss], f"seed={seed}", f"train.log_every={seed}")
    made(standing / "runs/4", [1.0], "seed=4", "train.lr=0.5")
    code, out, _ = command("compare", "runs")
    assert code == 0 and out.count("mean over") == 1
    assert "mean over seeds 1, 2, 3: 2.2000 [2.0000, 2.4000], sd 0.2000 nats" in out
    groups = json.loads(command("compare", "runs", "--json")[1])["groups"]
    assert [group["seeds"] for group in groups] == [[4], [1, 2, 3]] and groups[0]["nats_per_char_sd"] is None


def test_a_seed_that_was_run_twice_counts_once(standing):
    for k, seed in enumerate((1, 1, 2)):
        made(standing / f"{k}", [2.0 + k], f"seed={seed}")
    (group,) = group_seeds(rank_runs(map(read_run, find_runs([standing]))))
    assert [run.seed for run in group.runs] == [1, 2] and group.losses == [3.0, 4.0]


def test_how_a_run_ended_is_told_by_its_rows(command, standing):
    made(standing / "runs/done", [3.0, 2.0])
    killed = made(standing / "runs/killed", [3.0, 2.5, 2.6], finished=False)
    with open(killed / "metrics.jsonl", "a") as file:
        file.write('{"step": 40, "loss/va')
    begun = made(standing / "runs/begun", [], finished=False)
    metrics.append_state(begun / metrics.NAME, "diverged", 4)
    late = made(standing / "runs/late", [2.0, 2.1], state="out of time")
    stopped = made(standing / "runs/stopped", [3.0, 2.75], finished=False)
    metrics.append_state(stopped / metrics.NAME, "stopped", 25)
    part = made(standing / "runs/part", [1.0], "train.eval_chars=500", finished=False)
    rows = json.loads(command("compare", "runs", "--json")[1])["runs"]
    assert [(row["name"], row["state"]) for row in rows] == [
        ("runs/done", "finished"),
        (str(late), "out of time"),
        (str(killed), "unfinished"),
        (str(stopped), "stopped"),
        (str(part), "unfinished"),
        (str(begun), "diverged"),
    ]
    assert [(row["nats_per_char"], row["steps"]) for row in rows[2:5]] == [(2.5, 30), (2.75, 20), (1.0, 10)]
    out = command("compare", "runs")[1]
    assert re.search(r"^runs/part .* unfinished, judged on 500 characters", out, re.M)
    (group,) = group_seeds(map(read_run, find_runs([standing / "runs"])))
    assert [run.name for run in group.runs] == [str(late)]


def test_the_prose_of_a_log_does_not_tell_the_state(standing):
    run = made(standing / "run", [2.0], finished=False)
    (run / "train.log").write_text("2026-01-01 00:00:00 ended: training diverged at step 4: the loss\n")
    assert read_run(run).state == "unfinished"


BROKEN = {
    "config.yaml": ["", "[1, 2]", "a: [", "seed: ${x", "\x00", None],
    "metrics.jsonl": [
        "nonsense\n{}\n",
        "[1]\n",
        '{"final": true}\n',
        '{"step": "x", "loss/val": 1}\n',
        "[" * 10**5 + "\n{}",
    ],
}


@pytest.mark.parametrize(("file", "content"), [(file, content) for file in BROKEN for content in BROKEN[file]])
def test_a_broken_run_is_listed_and_stops_no_other(command, standing, file, content):
    made(standing / "runs/good", [2.0])
    bad = made(standing / "runs/bad", [1.0]) / file
    (bad.parent / "last.safetensors").write_bytes(b"\xff" * 100)
    bad.write_text(content) if content is not None else bad.unlink()
    code, out, err = command("compare", "runs/good", "runs/bad")
    assert (code, err) == (0, "") and names(out)[0] == "runs/good"
    assert re.search(r"^runs/bad: broken: ", out, re.M)


def test_bytes_that_are_no_text_are_a_broken_run(command, standing):
    (made(standing / "bad", [1.0]) / "metrics.jsonl").write_bytes(b"\xff\xfe")
    code, out, err = command("compare", "bad")
    assert (code, err) == (0, "") and out.startswith("bad: broken: ")


def test_losses_that_are_no_numbers_are_last_and_json_stays_json(command, standing):
    made(standing / "a", [math.inf, 5.0], finished=False)
    made(standing / "b", [4.0], finished=False)
    path = made(standing / "c", [4.0], finished=False) / "metrics.jsonl"
    path.write_text(path.read_text().replace("4.0", '"nan"'))
    rows = json.loads(command("compare", "a", "b", "c", "--json")[1], parse_constant=pytest.fail)["runs"]
    assert [(row["name"], row["nats_per_char"]) for row in rows] == [("b", 4.0), ("a", 5.0), ("c", None)]


def test_last_weights_and_processor_seconds_are_shown_where_a_run_has_them(command, standing):
    assert "cpu s" not in command("compare", str(made(standing / "old", [2.0])))[1]
    new = made(standing / "new", [2.0], cpu_seconds=1234.0, **{"loss/val_last": 2.125, "loss/val_ema": 2.0625})
    head, row = command("compare", str(new))[1].splitlines()[1:]
    assert "last" in head and "ema" in head and "cpu s" in head
    assert "2.1250" in row and "2.0625" in row and "1,234" in row


@pytest.mark.parametrize("words", [["nothere"], ["."], ["file"]])
def test_what_is_no_run_is_one_line(command, standing, words):
    (standing / "file").write_text("")
    code, out, err = command("compare", *words)
    assert (code, out) == (2, "") and re.fullmatch(rf"error: compare: {re.escape(words[0])}: .* folders of them\n", err)


def test_a_run_that_is_named_twice_is_listed_once(command, standing):
    made(standing / "runs/a", [2.0])
    assert names(command("compare", "runs/a", "runs", "runs/a/")[1]) == ["runs/a"]


def test_settings_that_older_runs_did_not_have_are_known(standing):
    old = made(standing / "old", [2.0])
    text = (old / "config.yaml").read_text()
    (old / "config.yaml").write_text(text.replace("  vocab: char\n", ""))
    made(standing / "new", [2.0])
    runs = rank_runs(map(read_run, find_runs([standing])))
    assert (
        (old / "config.yaml").read_text() != text
        and find_differing_settings(runs) == []
        and len(group_seeds(runs)) == 1
    )


def test_a_setting_goes_by_its_last_part_where_that_is_enough(standing):
    run = read_run(made(standing / "a", [2.0], "train.lr=0.5", "data.split=[0.8,0.1,0.1]"))
    assert format_label(run, ["train.lr", "data.split"]) == "lr=0.5 split=[0.8,0.1,0.1]"
    long = read_run(made(standing / "b", [2.0], f"sample.prompt='{'to be ' * 50}'"))
    assert format_label(long, ["sample.prompt"]) == "prompt=" + ("to be " * 7)[:37] + "..."
    assert format_label(run, ["data.path", "sample.path"]).startswith("data.path=None sample.path=")


def test_a_name_with_dollars_or_in_another_script_is_no_formula(tmp_path):
    pytest.importorskip("matplotlib")
    runs = [Run(name, curve=((1, 3.0), (2, 2.0))) for name in ("runs/a$\\frac$", "runs/\u6f6e")]
    for run in runs:
        draw_curves([[run]], tmp_path / "curves.png")
        assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_a_picture_of_runs_without_a_curve_is_drawn_too(command, standing):
    made(standing / "a", [], finished=False)
    assert command("compare", "a", "--png", "x.png")[0] == 0 and Path("x.png").exists()
    code, _, err = command("compare", "a", "--png", "no/x.png")
    assert code == 4 and err.count("\n") == 1


def test_comparing_needs_no_torch(standing):
    from helpers.command_line import shell

    directory = made(standing / "a", [2.0]).resolve()
    script = (
        "import sys; from lstmlm.cli import main; main(['compare', sys.argv[1]]); assert 'torch' not in sys.modules"
    )
    done = shell("-c", script, str(directory))
    assert (done.returncode, done.stderr) == (0, "")
