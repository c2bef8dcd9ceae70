"""How good the models are, beside others: python benchmarks/quality.py RUN ... > benchmarks/quality.md

RUN: directories of finished runs, or folders of them. Runs that differ in the seed alone are one row: mean, and range
over the seeds in brackets. What is shown is the loss of the last weights, or of their average, on the whole validation
text: never that of the best ones, which the same text has chosen. The rows of other programs are in others.json, with
where they are from; which command makes our rows, and how many settings were tried before, is in recipes.json.

  --precision  which runs are shown, by train.precision: a list (default: float32)
  --evaluate   also score the last weights in windows of 64 and of 256, as transformers are scored
  --adaptive   also let them go on learning from what they have been scored on
               (the answers are kept beside the run, in evaluated.json, and found there without these options)
"""

import argparse
import json
import math
import shlex
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from statistics import fmean, stdev

from machine import machine

from lstmlm.runs.comparison import (
    Group,
    find_differing_settings,
    format_label,
    group_seeds,
    rank_runs,
)
from lstmlm.runs.summary import Run, find_runs, read_header, read_run
from lstmlm.settings.check import config_from_flat
from lstmlm.settings.config import SETTINGS, matters
from lstmlm.settings.hydra_yaml import to_words
from lstmlm.settings.overrides import compose_settings
from lstmlm.system.dotted import flatten
from lstmlm.system.durable import write_durably
from lstmlm.system.errors import LstmlmError

HERE = Path(__file__).resolve().parent
WINDOW, LONG_WINDOW, SEEDS = 64, 256, 3  # characters; fewer seeds are no result
NAMES = {"tiny_shakespeare": "Tiny Shakespeare", "time_machine": "The Time Machine", "tide_clock": "The Tide Clock"}
NAMES |= {"ptb_char": "Penn Treebank by characters", "text8": "text8", "enwik8": "enwik8"}
LONG = f"windows of {LONG_WINDOW}"
COLUMNS = ["system", "split", "protocol", "parameters", "CPU-seconds", "nats", "bits", "sd", LONG, "source"]
KINDS = {
    "frozen": "Frozen: the weights, or counts, stay as they were after training.",
    "adaptive": "Adaptive: each character is scored first, and then learnt from. Not comparable with the table above.",
}


# What is known of a run


def finished(given: list[Path]) -> list[Run]:
    runs = rank_runs(map(read_run, find_runs(given)))
    for run in runs:
        if not run.is_finished:
            raise SystemExit(f"error: {run.name}: {run.state}: give finished runs alone")
    return runs


def of_precision(runs: list[Run], precisions: list[str]) -> list[Run]:
    """Those of the runs that are asked for; the others are named."""
    for run in runs:
        if (own := run.settings["train.precision"]) not in precisions:
            print(f"note: {run.name}: left out: --precision {own} shows it", file=sys.stderr)
    return [run for run in runs if run.settings["train.precision"] in precisions]


def record_of(run: Run) -> dict:
    """What the run's last checkpoint says of itself."""
    return json.loads(read_header(Path(run.name) / "last.safetensors")["__metadata__"]["lstmlm"])


class Evaluated:
    """What `lstmlm evaluate` says of a run's last weights, kept beside the run under the checkpoint's SHA-256."""

    def __init__(self, run: Run) -> None:
        self.path, self.checkpoint = Path(run.name) / "evaluated.json", Path(run.name) / "last.safetensors"
        self.digest = record_of(run)["sha256"]
        kept = json.loads(self.path.read_text()) if self.path.exists() else {}
        self.answers = kept.get(self.digest, {})

    def ask(self, *options: str) -> None:
        """Unless it was asked before."""
        key = " ".join(options)
        if key in self.answers:
            return
        words = [sys.executable, "-m", "lstmlm", "evaluate", str(self.checkpoint), *options, "--json"]
        done = subprocess.run(words, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{done.stderr.strip() or 'error'}: in {shlex.join(words[1:])}")
        self.answers[key] = json.loads(done.stdout)
        write_durably(self.path, json.dumps({self.digest: self.answers}).encode())

    def figure(self, ema: bool, option: str, *path: str) -> float | None:
        """One of the answers to this option: of the last weights, or of their average."""
        for key, answer in self.answers.items():
            if option in key and ("--ema" in key) == ema:
                for name in path:
                    answer = answer[name]
                return float(answer)
        return None


# Rows


def own_rows(group: Group, system: str, evaluated: dict[str, Evaluated]) -> Iterable[dict]:
    """A row for each kind of weights, protocol, and way of learning that is known of all runs of the group."""
    run = group.runs[0]
    answers = [evaluated[one.name] for one in group.runs]
    last = [one.val_last for one in group.runs]
    if None in last:
        last = [answer.figure(False, "--windows", "nats_per_char") for answer in answers]
    averaged, precision = run.settings.get("train.ema"), run.settings["train.precision"]
    figures = {("frozen", "one stream", "last weights"): last}
    figures["frozen", "one stream", f"EMA {averaged}"] = [one.val_ema for one in group.runs]
    for ema, weights in ((False, "last weights"), (True, f"EMA {averaged}")):
        in_windows = [answer.figure(ema, f"--windows {WINDOW}", "windowed_nats_per_char") for answer in answers]
        adaptive = [answer.figure(ema, "--adaptive", "adaptive", "nats_per_char") for answer in answers]
        figures["frozen", f"windows of {WINDOW}", weights] = in_windows
        figures["adaptive", "one stream", weights] = adaptive
    if None in last:
        print(f"note: {run.name}: nothing is known of its last weights: --evaluate scores them", file=sys.stderr)
    count, backend = len(group.runs), run.settings["backend"]
    backend += f", {precision}" * (precision != "float32")
    source = f"ours, seeds {', '.join(str(one.seed) for one in group.runs)}"
    for (kind, protocol, weights), nats in figures.items():
        if None not in nats:
            yield {
                "text": run.settings["data.name"],
                "kind": kind,
                "system": ", ".join([system, backend, weights]),
                "precision": precision,
                "split": f"{run.split} ({run.split_hash[:8]})",
                "protocol": protocol,
                "parameters": run.params,
                "CPU-seconds": spread([one.cpu_seconds for one in group.runs], 0),
                "value": fmean(nats),
                "nats": spread(nats, 4),
                "sd": f"{stdev(nats):.4f}" if count > 1 else "",
                LONG: in_long_windows(answers, weights) if protocol == "one stream" else "",
                "source": source if count >= SEEDS else f"{source}: {count} of {SEEDS} seeds, not yet a result",
            }


def in_long_windows(answers: list[Evaluated], weights: str) -> str:
    """The loss of these weights in long windows, as far as it is known."""
    option, ema = f"--windows {LONG_WINDOW}", weights != "last weights"
    return spread([answer.figure(ema, option, "windowed_nats_per_char") for answer in answers], 4)


def systems(groups: list[Group], recipes: list[dict]) -> list[dict]:
    """For each group its recipe, known by its settings, or the name of its model and the command with all it sets."""
    apart = {name for name in SETTINGS if not matters(name)} | {"seed", "backend", "threads", "device"}
    apart |= {"train.precision"}
    known = [(recipe, settings_of(recipe["command"])) for recipe in recipes]
    firsts = [group.runs[0] for group in groups]
    found = []
    for run in firsts:
        own = [recipe for recipe, settings in known if equal(run.settings, settings, apart)]
        keys = [key for key in find_differing_settings(firsts) if key not in apart]
        model = run.settings["model.cell"].upper() + " {} x {}".format(
            *(run.settings[f"model.{key}"] for key in ("num_layers", "num_hiddens"))
        )
        words = [word for word in to_words(config_from_flat(run.settings)) if word.partition("=")[0] not in apart]
        unknown = {
            "system": f"{model} {format_label(run, keys)}".strip(),
            "command": shlex.join(["python", "train.py", *words]),
        }
        found.append(own[0] if own else unknown | {"tried": None})
    return found


def settings_of(command: str) -> dict:
    """Of python train.py ..."""
    return flatten(compose_settings(shlex.split(command)[2:]))


def equal(settings: dict, others: dict, apart: set[str]) -> bool:
    return all(settings.get(key) == value for key, value in others.items() if key not in apart)


def others_rows(others: list[dict]) -> Iterable[dict]:
    for other in others:
        nats = other["nats"] if "nats" in other else other["bits"] * math.log(2)
        source = f"[{other['source']}]({other['url']})" if "url" in other else other["source"]
        yield {
            "text": other["text"],
            "kind": other["kind"],
            "system": other["system"],
            "split": other["split"],
            "protocol": other["protocol"],
            "parameters": other.get("parameters"),
            "CPU-seconds": other.get("cost", ""),
            "value": nats,
            "sd": "",
            LONG: "",
            "nats": f"{nats:.{3 if 'bits' in other else len(str(other['nats']).partition('.')[2])}f}",
            "source": f"{source}, {other['status']}",
        }


def spread(values: list[float | None], digits: int) -> str:
    """Mean and range, as far as they are known."""
    if None in values:
        return ""
    mean, smallest, largest = (f"{value:,.{digits}f}" for value in (fmean(values), min(values), max(values)))
    return mean if smallest == largest else f"{mean} [{smallest}, {largest}]"


# The page


def page(groups: list[Group], rows: list[dict], recipes: list[dict]) -> str:
    """`recipes` has one for each group."""
    texts = sorted({row["text"] for row in rows}, key=lambda text: [*NAMES, text].index(text))
    return "\n\n".join([HEAD, made(groups), commands(recipes), *(section(text, rows) for text in texts)])


HEAD = """# Quality

Made by `python benchmarks/quality.py RUN ...` from the directories of finished runs. Nats and bits per
character of the validation text, whole: the mean, and in brackets the range over the seeds. Our rows are of the last
weights, or of their average at the end (EMA), never of those that were best on this very text. *One stream*: the state
is carried from the first character to the last. *Windows*: from an empty state each, as transformers are scored. sd:
the standard deviation over the seeds. Only rows of one split and one protocol can be compared. *Claimed*: as the source
says; *re-run*: measured here."""


def made(groups: list[Group]) -> str:
    """When, and on what."""
    runs = [run for group in groups for run in group.runs]
    days = sorted({day_of(run) for run in runs})
    versions = [record_of(run)["versions"] for run in runs]
    on = sorted({f"{one['cpu']}, torch {one['torch']}, Python {one['python']}" for one in versions})
    when = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    return f"The runs ended {when}, on {'; '.join(on)}. This page was made on {machine()}."


def day_of(run: Run) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime((Path(run.name) / "metrics.jsonl").stat().st_mtime))


def commands(recipes: list[dict]) -> str:
    """The command behind each of our rows, and what was tried before it was found."""
    made_by = "made by, with `backend=... seed=... train.precision=...`"
    lines = [f"| system | {made_by} | settings tried before |", "|---|---|---|"]
    for recipe in recipes:
        tried = "not said" if recipe["tried"] is None else recipe["tried"]
        lines.append(f"| {recipe['system']} | `{recipe['command']}` | {tried} |")
    return "\n".join(dict.fromkeys(lines))


def section(text: str, rows: list[dict]) -> str:
    parts = [f"## {NAMES.get(text, text)}"]
    for kind, what in KINDS.items():
        chosen = [row for row in rows if (row["text"], row["kind"]) == (text, kind)]
        if chosen:
            lines = [f"| {' | '.join(COLUMNS)} |", "|" + "---|" * len(COLUMNS)]
            ordered = sorted(chosen, key=lambda row: (row["split"].partition(" (")[0], row["protocol"], row["value"]))
            parts += [what, "\n".join(lines + [line(row) for row in ordered])]
    return "\n\n".join(parts)


def line(row: dict) -> str:
    shown = {**row, "bits": f"{row['value'] / math.log(2):.3f}"}
    if row["parameters"] is None:
        shown["parameters"] = ""
    elif not isinstance(row["parameters"], str):
        shown["parameters"] = f"{row['parameters']:,}"
    return "| " + " | ".join(shown[column] for column in COLUMNS) + " |"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    options.add_argument("--precision", default="float32", metavar="LIST")
    options.add_argument("--evaluate", action="store_true")
    options.add_argument("--adaptive", action="store_true")
    options.add_argument("--json", action="store_true", help="the rows, as JSON")
    options = options.parse_args()
    others, recipes = (json.loads((HERE / name).read_text()) for name in ("others.json", "recipes.json"))
    try:
        runs = of_precision(finished(options.runs), options.precision.split(","))
        if not runs:
            raise SystemExit(f"error: --precision: no run of {options.precision} is among them")
        evaluated = {run.name: Evaluated(run) for run in runs}
        for run in runs:
            for weights in ([], ["--ema"])[: 1 + (run.settings.get("train.ema") is not None)]:
                if options.evaluate:
                    for window in (WINDOW, LONG_WINDOW):
                        evaluated[run.name].ask(*weights, "--windows", str(window))
                if options.adaptive:
                    evaluated[run.name].ask(*weights, "--adaptive")
        groups = group_seeds(runs)
        recipes = systems(groups, recipes)
        pairs = zip(groups, recipes, strict=True)
        rows = [row for group, recipe in pairs for row in own_rows(group, recipe["system"], evaluated)]
    except LstmlmError as error:
        raise SystemExit(f"error: {error}") from None
    texts = {run.settings["data.name"] for run in runs}
    rows += others_rows(other for other in others if other["text"] in texts)
    print(json.dumps(rows) if options.json else page(groups, rows, recipes))


if __name__ == "__main__":
    main()
