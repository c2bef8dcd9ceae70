"""Every relative link and anchor of the pages leads somewhere, and every file that they name is there."""

import re

import pytest
from helpers.command_line import ROOT
from helpers.markdown import find_anchors, find_inline_code, find_links, list_pages

PAGES = list_pages("*.md", "docs/*.md", "benchmarks/*.md", "data/*.md")
NAMED_FILE = re.compile(r"(?:lstmlm|conf|tests|docs|benchmarks|data|\.ci|\.github)/[\w./-]*\w")
MADE_LATER = {"data/cache"}  # by the program, on the user's machine
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())


@every_page
def test_relative_links_and_anchors_resolve(page):
    broken = []
    for link in find_links(page):
        if re.match(r"https?://", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in find_anchors(target)):
            broken.append(link)
    assert not broken


@every_page
def test_files_named_in_a_sentence_exist(page):
    if page.name in ("CHANGELOG.md", "LOG.md"):
        pytest.skip("a record of the past names files as they were called then")
    named = {name for code in find_inline_code(page) if (name := code.rstrip("/")) and NAMED_FILE.fullmatch(name)}
    assert [name for name in sorted(named - MADE_LATER) if not (ROOT / name).exists()] == []


def test_the_index_lists_every_page_of_docs():
    links = {link.partition("#")[0] for link in find_links(ROOT / "docs" / "README.md")}
    assert [page.name for page in list_pages("docs/*.md") if page.name not in links | {"README.md"}] == []


def test_an_anchor_is_made_as_github_makes_it(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# To and from `torch.nn`\n\n## The [log](x.md): 2026, again\n\n## Same\n\n## Same\n")
    assert find_anchors(page) == {"to-and-from-torchnn", "the-log-2026-again", "same", "same-1"}
