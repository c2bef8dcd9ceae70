"""Texts that are many documents, as `data.documents` and `data.column` say: cut, shuffled, divided, framed."""

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from lstmlm.settings.config import Data
from lstmlm.system.errors import BadInput
from lstmlm.text.decoding import Decoder
from lstmlm.text.origin import Origin
from lstmlm.text.preprocess import clean_text
from lstmlm.text.split import SPLITS, Split, make_split
from lstmlm.text.vocab import BOUNDARY

SEED = 0  # of the shuffle: all runs on a text have the same parts, whatever their own seed
DELIMITERS = {".csv": ",", ".tsv": "\t"}
JSON_LINES = (".jsonl", ".ndjson", ".json")


def read_documents(origin: Origin, data: Data) -> tuple[dict[str, list[str]], list[str]]:
    """The documents of the files of each part, and notes for the log. BadInput for files that have none."""
    decoder = Decoder(data.encoding, data.normalize)
    found: dict[str, list[str]] = {}
    for which, files in origin.files.items():
        what = origin.named_by[which]
        documents: list[str] = []
        for file in files:
            text = "".join(decoder.decode_files([file], what, begin_lines=False))
            if BOUNDARY in text:
                raise BadInput(f"{what}: {file} has the character U+FDD0, which stands between documents: remove it")
            cleaned = (clean_text(document, data.preprocess) for document in cut_text(text, data, file))
            documents += [str(document) for document in cleaned if document.strip()]
        if not documents:
            raise BadInput(f"{what}: {origin.path} has no documents: look at data.documents={data.documents}")
        found[which] = documents
    return found, [*origin.notes, *decoder.list_changes()]


def cut_text(text: str, data: Data, file: Path) -> Iterable[str]:
    """The documents of the text of one file."""
    if data.column is not None:
        return iterate_column(text, data.column, file)
    if data.documents == "line":
        return text.split("\n")
    if data.documents == "blank":
        return (block.strip("\n") for block in re.split(r"\n(?:[ \t]*\n)+", text))
    return [text.strip("\n")]


def iterate_column(text: str, column: str, file: Path) -> Iterator[str]:
    """The values of a column of CSV, TSV or JSON lines. BadInput that names the line without it."""
    kind = next((suffix for suffix in reversed(file.suffixes) if suffix != ".gz"), "").lower()
    if kind in DELIMITERS:
        rows = csv.DictReader(io.StringIO(text, newline=""), delimiter=DELIMITERS[kind])
        if column not in (rows.fieldnames or []):
            names = ", ".join(rows.fieldnames or [])
            raise BadInput(f"data.column: {file} has no column {column!a}: its first line has {names!a:.200}")
        try:
            yield from (row[column] or "" for row in rows)
        except csv.Error as error:
            raise BadInput(f"data.column: {file}, line {rows.line_num}: {error}") from None
    elif kind in JSON_LINES:
        for number, line in enumerate(text.split("\n"), 1):
            if line.strip():
                yield read_json_field(line, column, f"data.column: {file}, line {number}")
    else:
        raise BadInput(f"data.column: {file} is no table: give .csv, .tsv or .jsonl files, or leave data.column out")


def read_json_field(line: str, column: str, where: str) -> str:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        raise BadInput(f"{where}: is not JSON: give a file with a JSON object on each line") from None
    if not isinstance(row, dict) or not isinstance(row.get(column), str):
        raise BadInput(f"{where}: has no text {column!a}: give the name of a field that each line has")
    return str(row[column])


def divide_documents(documents: dict[str, list[str]], data: Data) -> tuple[dict[str, list[str]], str]:
    """The documents of each part, and the name of the split: by data.split, in documents, after they are shuffled; or
    by file where the parts have their own.
    """
    if "val" in documents:
        return {which: documents.get(which, []) for which in SPLITS}, "files"
    order = np.random.RandomState(SEED).permutation(len(documents["train"]))
    shuffled = [documents["train"][k] for k in order]
    split = make_split(len(shuffled), data.split, unit="documents")
    parts = {which: [doc for start, end in split.pieces[which] for doc in shuffled[start:end]] for which in SPLITS}
    return parts, f"{split.name} of documents"


def frame_documents(documents: list[str]) -> str:
    """The text of a part: its documents with the boundary before, between and after them; empty without documents."""
    return BOUNDARY.join(["", *documents, ""]) if documents else ""


def make_document_split(texts: dict[str, str], name: str) -> Split:
    """The split of framed texts, one after the other, in characters."""
    pieces, start = {}, 0
    for which, text in texts.items():
        pieces[which] = [(start, start + len(text))]
        start += len(text)
    return Split(name, pieces)


def list_document_notes(parts: dict[str, list[str]]) -> list[str]:
    """The number of documents, and a warning where held-out documents are training documents too."""
    sizes = ", ".join(f"{which} {len(documents):,}" for which, documents in parts.items())
    notes = [f"{sum(map(len, parts.values())):,} documents: {sizes}"]
    known = set(parts["train"])
    for which in ("val", "test"):
        if copied := sum(document in known for document in parts[which]):
            notes.append(f"warning: {copied:,} of the documents of {which} stand in train too")
    return notes
