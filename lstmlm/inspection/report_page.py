"""One HTML file on a run: its figures, curves, samples and what to type next. No script, no network.

Every string may come from a stranger: what would control a terminal or turn the direction of the text is shown as an
escape, and `<` and `&` are escaped for HTML. The Content-Security-Policy of the page allows its own style alone.
"""

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from lstmlm.inspection.chart import Line, draw_chart, escape
from lstmlm.inspection.html_file import quote_hash, read_asset

STYLES = "abcde"  # classes of lines


@dataclass(frozen=True)
class Figure:
    """A number with its name and what explains it."""

    name: str
    value: str
    about: str = ""


@dataclass(frozen=True)
class Chart:
    name: str
    lines: dict[str, list[tuple[float, float]]]  # points (x, y) by name
    x_name: str = "optimizer steps"
    level: tuple[str, float] | None = None  # name and value of a horizontal line
    about: str = ""


@dataclass(frozen=True)
class Sample:
    about: str
    prompt: str
    text: str  # after the prompt


@dataclass(frozen=True)
class Report:
    """The contents of the page. An empty part is left out."""

    title: str
    about: str
    figures: Sequence[Figure] = ()
    verdict: Sequence[str] = ()  # sentences
    charts: Sequence[Chart] = ()
    samples: Sequence[Sample] = ()
    memory: Sequence[str] = ()  # sentences on what the model knows by heart
    settings: dict[str, str] = field(default_factory=dict)  # that differ from the default
    commands: dict[str, str] = field(default_factory=dict)  # what a command does, and the command
    foot: str = ""


def make_report(report: Report) -> str:
    """The HTML of the page."""
    style = read_asset("report.css")
    policy = f"default-src 'none'; style-src {quote_hash(style)}; base-uri 'none'; form-action 'none'"
    sections = [
        wrap_section("", draw_figures(report.figures), bool(report.figures)),
        wrap_section("Verdict", "".join(f"<p>{escape(line)}</p>" for line in report.verdict), bool(report.verdict)),
        wrap_section("Curves", draw_charts(report.charts), bool(report.charts)),
        wrap_section("Samples", "".join(map(draw_sample, report.samples)), bool(report.samples)),
        wrap_section("By heart", "".join(f"<p>{escape(line)}</p>" for line in report.memory), bool(report.memory)),
        wrap_section("Settings that are not the default", draw_settings(report.settings), bool(report.settings)),
        wrap_section("Next", draw_commands(report.commands), bool(report.commands)),
    ]
    parts = {"POLICY": html.escape(policy), "STYLE": style, "TITLE": escape(report.title)}
    parts |= {"ABOUT": escape(report.about), "SECTIONS": "\n".join(filter(None, sections)), "FOOT": escape(report.foot)}
    return re.sub(r"<!--(\w+)-->", lambda match: parts[match[1]], read_asset("report.html"))


def wrap_section(title: str, content: str, is_there: bool) -> str:
    """A section of the page; empty where there is nothing to show."""
    head = f"<h2>{title}</h2>" if title else ""
    return f"<section>{head}{content}</section>" if is_there else ""


def draw_figures(figures: Sequence[Figure]) -> str:
    cells = (
        f"<div><dt>{escape(one.name)}</dt><dd>{escape(one.value)}</dd><dd>{escape(one.about)}</dd></div>"
        for one in figures
    )
    return f'<dl class="figures">{"".join(cells)}</dl>'


def draw_charts(charts: Sequence[Chart]) -> str:
    drawn = []
    for chart in charts:
        named = enumerate(chart.lines.items())
        lines = [Line(name, points, STYLES[k % len(STYLES)]) for k, (name, points) in named]
        about = f'<p class="quiet">{escape(chart.about)}</p>' if chart.about else ""
        picture = draw_chart(lines, chart.x_name, chart.level)
        drawn.append(f"<figure><h3>{escape(chart.name)}</h3>{picture}{about}</figure>")
    return f'<div class="charts">{"".join(drawn)}</div>'


def draw_sample(sample: Sample) -> str:
    text = f"<b>{escape(sample.prompt)}</b>{escape(sample.text)}"
    return f'<div class="sample"><h3>{escape(sample.about)}</h3><pre class="text" dir="auto">{text}</pre></div>'


def draw_settings(settings: dict[str, str]) -> str:
    rows = (f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in settings.items())
    return f"<table>{''.join(rows)}</table>"


def draw_commands(commands: dict[str, str]) -> str:
    return "".join(
        f'<p>{escape(what)}</p><pre class="command">{escape(command)}</pre>' for what, command in commands.items()
    )
