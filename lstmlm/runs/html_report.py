"""report.html in the directory of a run: what its settings, its metrics.jsonl and its end say of it."""

import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lstmlm.evaluation.novelty import Novelty
from lstmlm.evaluation.units import compute_perplexity, convert_to_bits
from lstmlm.inspection.report_page import Chart, Figure, Report, Sample, make_report
from lstmlm.runs.advice import Advice, advise
from lstmlm.runs.summary import Run, read_run
from lstmlm.runs.verdict import Finding, collect_evidence, find_verdict
from lstmlm.settings.check import config_from_flat
from lstmlm.settings.config import SETTINGS, Config
from lstmlm.settings.hydra_yaml import to_words
from lstmlm.system.durable import write_durably
from lstmlm.system.duration import format_duration
from lstmlm.system.errors import BadInput, EnvironmentFault
from lstmlm.system.program import name_command
from lstmlm.system.shell_words import join_words, quote_word
from lstmlm.system.version import __version__
from lstmlm.training import metrics
from lstmlm.training.metrics import Row

log = logging.getLogger("lstmlm")

NAME = "report.html"
SAMPLES = 6  # of the evaluations, evenly spaced
GATE_NAMES = {"I": "input", "F": "forget", "O": "output", "Z": "update", "R": "reset"}


def write_report(
    directory: Path,
    judged: tuple[Finding, Advice] | None = None,
    prompt: str = "",
    sample: str = "",
    novelty: Novelty | None = None,
) -> Path:
    """Write report.html into a run directory and return its path.

    `judged` is the verdict on the run, None: that of its metrics.jsonl alone. `prompt` is what its samples begin
    with. `sample` is a text by its best weights, `novelty` what of it stands in the training text; both may be missing.
    BadInput where the files cannot be read.
    """
    run = read_run(directory)
    if run.is_broken:
        raise BadInput(f"report: {directory}: {run.state}")
    rows = metrics.read_rows(directory / metrics.NAME)
    samples = list_samples(metrics.list_evaluations(rows), prompt, sample)
    report = collect_report(run, rows, judged or judge_from_rows(run, rows), samples, novelty)
    path = directory / NAME
    write_durably(path, make_report(report).encode())
    return path


def try_to_write_report(directory: Path, *contents: Any) -> None:
    """`write_report` at the end of a run, which has its results already: where it fails a warning says so."""
    try:
        log.info("report:  %s", write_report(directory, *contents))
    except (BadInput, EnvironmentFault) as error:
        log.warning("warning: no %s: %s", NAME, error)


def judge_from_rows(run: Run, rows: list[Row]) -> tuple[Finding, Advice]:
    evidence = collect_evidence(metrics.list_evaluations(rows), metrics.find_final(rows), unigram=None)
    finding = find_verdict(evidence)
    return finding, advise(finding, read_config(run), evidence.limit, None)


def read_config(run: Run) -> Config:
    """The settings, with the number of threads left to be measured."""
    return config_from_flat(run.settings | {"threads": "auto"})


def collect_report(
    run: Run, rows: list[Row], judged: tuple[Finding, Advice], samples: list[Sample], novelty: Novelty | None
) -> Report:
    evaluations, final = metrics.list_evaluations(rows), metrics.find_final(rows) or {}
    finding, advice = judged
    verdict = [f"{finding.sentence[:1].upper()}{finding.sentence[1:]}."] if evaluations else []
    return Report(
        title=f"{name_text(run)}, {describe_model(run)}",
        about=f"{run.name}: {run.state}",
        figures=list_figures(run, evaluations, final),
        verdict=verdict,
        charts=list_charts(evaluations),
        samples=samples,
        memory=describe_memory(final, novelty),
        settings=list_settings(read_config(run)),
        commands=list_commands(run, advice),
        foot=f"lstmlm {__version__}; split {run.split}, hash of the validation text {(run.split_hash or '?')[:12]}",
    )


def name_text(run: Run) -> str:
    name = str(run.settings.get("data.name"))
    return Path(str(run.settings.get("data.path"))).name if name == "file" else name


def describe_model(run: Run) -> str:
    layers, width = run.settings["model.num_layers"], run.settings["model.num_hiddens"]
    return f"{run.settings['model.cell'].upper()} of {layers} x {width}"


# Its parts


def list_figures(run: Run, evaluations: Sequence[Row], final: Row) -> list[Figure]:
    figures = []
    if run.val is not None:
        figures.append(show_loss("val perplexity", run.val))
    if "loss/test_best" in final:
        figures.append(show_loss("test perplexity", float(final["loss/test_best"])))
    if evaluations and "baseline/ngram" in evaluations[-1]:
        figures.append(show_loss("best n-gram, val", float(evaluations[-1]["baseline/ngram"])))
    if run.steps is not None:
        best = f"best at step {final['best_step']:,}" if "best_step" in final else ""
        figures.append(Figure("steps", f"{run.steps:,}", best))
    speed = final.get("chars_per_s") or (evaluations[-1].get("speed/chars_per_s") if evaluations else None)
    if run.seconds is not None:
        figures.append(Figure("time", format_duration(run.seconds), f"backend {run.settings['backend']}"))
    if speed:
        figures.append(Figure("speed", f"{float(speed):,.0f}", "characters per second of training"))
    if run.params is not None:
        figures.append(Figure("parameters", f"{run.params:,}", describe_model(run)))
    return figures


def show_loss(name: str, nats: float) -> Figure:
    return Figure(name, f"{compute_perplexity(nats):.3f}", f"{nats:.4f} nats, {convert_to_bits(nats):.3f} bits/char")


def list_charts(evaluations: Sequence[Row]) -> list[Chart]:
    """The charts for which there are figures."""
    baselines = [float(row["baseline/ngram"]) for row in evaluations if "baseline/ngram" in row]
    losses = {"train, as it trains": follow(evaluations, "loss/train"), "val": follow(evaluations, "loss/val")}
    level = ("best n-gram, val", baselines[-1]) if baselines else None
    charts = [Chart("Loss, nats per character", losses, level=level)]
    gates: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for tag in evaluations[-1] if evaluations else ():
        if tag.startswith("gates/"):
            layer, _, gate = tag.removeprefix("gates/").partition("_")
            points = gates.setdefault(layer, {})
            points[GATE_NAMES.get(gate, gate)] = follow(evaluations, tag)
    for layer, lines in gates.items():
        title = f"Gates of layer {layer.removeprefix('layer')}: mean opening"
        charts.append(Chart(title, lines, about="0: closed, 1: open; over the first 1,000 characters of val"))
    for title, tag in (
        ("Norm of the gradient", "optim/grad_norm"),
        ("Learning rate", "optim/lr"),
        ("Speed, characters per second of training", "speed/chars_per_s"),
    ):
        charts.append(Chart(title, {title.partition(",")[0].lower(): follow(evaluations, tag)}))
    return [chart for chart in charts if any(chart.lines.values())]


def follow(evaluations: Sequence[Row], tag: str) -> list[tuple[float, float]]:
    """(step, figure) of the evaluations that have it."""
    return [(float(row["step"]), float(row[tag])) for row in evaluations if tag in row]


def list_samples(evaluations: Sequence[Row], prompt: str, last: str) -> list[Sample]:
    """Some evaluations' samples, evenly spaced, the last one included, and the `last`, longer one."""
    told = [row for row in evaluations if row.get("sample")]
    every = max(1, math.ceil(len(told) / SAMPLES))
    told = told[::-1][::every][::-1]
    texts = [str(row["sample"]) for row in told] + ([last] if last else [])
    names = [
        f"step {row['step']:,}, val perplexity {compute_perplexity(float(row['loss/val'])):.2f}" for row in told
    ] + (["the best weights"] if last else [])
    starts = [prompt if text.startswith(prompt) else "" for text in texts]
    parts = zip(names, starts, texts, strict=True)
    return [Sample(name, start, text.removeprefix(start)) for name, start, text in parts]


def describe_memory(final: Row, novelty: Novelty | None) -> list[str]:
    lines = []
    if novelty is not None:
        lines.append(
            f"Copied from the training text: nothing in the last sample is longer than {novelty.longest} characters"
            + (f": {novelty.run!r}." if novelty.run else ".")
        )
    if "loss/train_best" in final:
        lines.append(
            f"The best weights need {float(final['loss/train_best']):.3f} nats per character of the training text, "
            f"and {float(final['loss/val_best']):.3f} of the validation text, both without dropout."
        )
    return lines


def list_settings(config: Config) -> dict[str, str]:
    """The settings that differ from the default; of a path its last part, so that a shared page names no folder."""
    settings = dict(word.split("=", 1) for word in to_words(config))
    for name, value in settings.items():
        if name in SETTINGS and SETTINGS[name].is_path:
            settings[name] = Path(value.strip("'")).name
    return settings


def list_commands(run: Run, advice: Advice) -> dict[str, str]:
    directory = quote_word(run.name)
    commands = {f"To try, after this verdict ({advice.sentence})": join_words(advice.command)} if advice.command else {}
    generate, compare = join_words(name_command("generate")), join_words(name_command("compare"))
    return commands | {
        "Write text": f"{generate} {directory} --length 500",
        "Compare with the other runs": f"{compare} {quote_word(str(Path(run.name).parent))}",
        "Look at all curves": f"tensorboard --logdir {quote_word(str(Path(run.name).parent))}",
    }
