"""The pages of the project as tests read them: code blocks, commands, links, anchors."""

import itertools
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from helpers.command_line import ROOT

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
OURS = re.compile(r"(python train\.py|python -m lstmlm|lstmlm [a-z_]+) ")  # a command of the program, in a sentence
SEPARATORS = {"&&", ";", "|"}


def list_pages(*patterns: str) -> list[Path]:
    """The files that the patterns name, from the root of the project."""
    return sorted(itertools.chain.from_iterable(ROOT.glob(pattern) for pattern in patterns))


def find_blocks(page: Path, language: str) -> list[str]:
    """The contents of the fenced code blocks in a language; `` for those that name none."""
    return [code for found, code in FENCE.findall(page.read_text(encoding="utf-8")) if found == language]


def find_prose(page: Path) -> str:
    """The page without its fenced code blocks."""
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def find_inline_code(page: Path) -> list[str]:
    return INLINE.findall(find_prose(page))


def find_links(page: Path) -> list[str]:
    return LINK.findall(INLINE.sub("", find_prose(page)))


def find_anchors(page: Path) -> set[str]:
    """The anchors of the headings, as GitHub makes them."""
    anchors: set[str] = set()
    for heading in re.findall(r"^#+ +(.*)$", find_prose(page), re.MULTILINE):
        text = LINK.sub("", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading))
        slug = re.sub(r"[^\w\- ]", "", text.strip().lower()).replace(" ", "-")
        count = itertools.count(1)
        unique = slug
        while unique in anchors:
            unique = f"{slug}-{next(count)}"
        anchors.add(unique)
    return anchors


def find_commands(page: Path) -> Iterator[str]:
    """Every command that a Markdown page prints in a code block, or in a sentence if it is one of the program's."""
    for block in [*find_blocks(page, "bash"), *find_blocks(page, "")]:
        for line in block.replace("\\\n", " ").splitlines():
            yield from split_line(line)
    for code in find_inline_code(page):
        if OURS.match(code):
            yield from split_line(code)


def find_header_commands(recipe: Path) -> Iterator[str]:
    """Every command in the comments at the top of a file in conf/."""
    for line in recipe.read_text(encoding="utf-8").splitlines():
        if line.startswith("#   "):
            yield from split_line(line[1:])


def split_line(line: str) -> Iterator[str]:
    """The commands of a line of a shell, without comments; of `eval "$(COMMAND)"` the command inside."""
    words = shlex.split(line, comments=True)
    if words[:1] == ["eval"]:
        yield from split_line(words[1].removeprefix("$(").removesuffix(")"))
        return
    for separates, command in itertools.groupby(words, SEPARATORS.__contains__):
        if not separates:
            yield shlex.join(command)
