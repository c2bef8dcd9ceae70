"""Texts that are many documents, as `data.documents` says: cut, shuffled, divided, framed. No torch."""

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lstmlm.settings.config import Data
from lstmlm.system.errors import BadInput
from lstmlm.system.escape import escape_controls
from lstmlm.text.decoding import Decoder
from lstmlm.text.labels import NO_LABELS, find_label_mark
from lstmlm.text.origin import Origin
from lstmlm.text.preprocess import clean_text
from lstmlm.text.split import SPLITS, Split, make_split
from lstmlm.text.vocab import BOUNDARY, MARKS

SEED = 0  # of the shuffle: all runs on a text have the same parts, whatever their own seed
DELIMITERS = {".csv": ",", ".tsv": "\t"}
JSON_LINES = (".jsonl", ".ndjson", ".json")


class Document(NamedTuple):
    text: str
    label: str | None = None  # the value of data.label


def read_documents(origin: Origin, data: Data) -> tuple[dict[str, list[Document]], list[str]]:
    """The documents of the files of each part, and notes for the log. BadInput for files that have none."""
    decoder = Decoder(data.encoding, data.normalize)
    found: dict[str, list[Document]] = {}
    for which, files in origin.files.items():
        what = origin.named_by[which]
        documents: list[Document] = []
        for file in files:
            text = "".join(decoder.decode_files([file], what, begin_lines=False))
            check_marks(text, f"{what}: {file}")
            documents += clean_documents(cut_text(text, data, file), data)
        if not documents:
            raise BadInput(f"{what}: {origin.path} has no documents: look at data.documents={data.documents}")
        found[which] = documents
    return found, [*origin.notes, *decoder.list_changes()]


def check_marks(text: str, where: str) -> None:
    """BadInput for a text with a code that stands between documents."""
    if mark := next((mark for mark in MARKS if mark in text), None):
        raise BadInput(f"{where} has the character U+{ord(mark):04X}, which stands between documents: remove it")


def clean_documents(documents: Iterable[Document], data: Data) -> list[Document]:
    """The documents after data.preprocess, without those that are then empty."""
    cleaned = (document._replace(text=str(clean_text(document.text, data.preprocess))) for document in documents)
    return [document for document in cleaned if document.text.strip()]


def cut_text(text: str, data: Data, file: Path) -> Iterable[Document]:
    """The documents of the text of one file."""
    if data.column is not None:
        return iterate_rows(text, data.column, data.label, file)
    if data.documents == "line":
        return map(Document, text.split("\n"))
    if data.documents == "blank":
        return (Document(block.strip("\n")) for block in re.split(r"\n(?:[ \t]*\n)+", text))
    return [Document(text.strip("\n"))]


def iterate_rows(text: str, column: str, label: str | None, file: Path) -> Iterator[Document]:
    """The documents of the rows of CSV, TSV or JSON lines: the values of a column and, if it is named, of another with
    the labels. BadInput that names the column or the line without it.
    """
    kind = next((suffix for suffix in reversed(file.suffixes) if suffix != ".gz"), "").lower()
    if kind in DELIMITERS:
        rows = csv.DictReader(io.StringIO(text, newline=""), delimiter=DELIMITERS[kind])
        for setting, name in (("data.column", column), ("data.label", label)):
            if name is not None and name not in (rows.fieldnames or []):
                names = ", ".join(rows.fieldnames or [])
                raise BadInput(f"{setting}: {file} has no column {name!a}: its first line has {names!a:.200}")
        try:
            for row in rows:
                yield Document(row[column] or "", None if label is None else row[label] or "")
        except csv.Error as error:
            raise BadInput(f"data.column: {file}, line {rows.line_num}: {error}") from None
    elif kind in JSON_LINES:
        for number, line in enumerate(text.split("\n"), 1):
            if line.strip():
                row = read_json_row(line, where := f"{file}, line {number}")
                if not isinstance(row.get(column), str):
                    raise BadInput(f"data.column: {where}: has no text {column!a}: name a field that each line has")
                if label is not None and not isinstance(row.get(label), (str, int, float)):
                    raise BadInput(f"data.label: {where}: has no {label!a}: name a field that each line has")
                yield Document(row[column], None if label is None else str(row[label]))
    else:
        raise BadInput(f"data.column: {file} is no table: give .csv, .tsv or .jsonl files, or leave data.column out")


def read_json_row(line: str, where: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        row = None
    if not isinstance(row, dict):
        raise BadInput(f"data.column: {where}: is not JSON: give a file with a JSON object on each line")
    return row


def divide_documents(documents: dict[str, list[Document]], data: Data) -> tuple[dict[str, list[Document]], str]:
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


def frame_documents(documents: list[Document], labels: Mapping[str, str] = NO_LABELS) -> str:
    """The text of a part: its documents with the boundary before, between and after them; empty without documents.

    With `labels` and their marks each document has the mark of its label before it, and the boundary after it.
    """
    if not labels:
        return BOUNDARY.join(["", *(document.text for document in documents), ""]) if documents else ""
    marks = (find_label_mark(labels, document.label, "data.label") for document in documents)
    return "".join(mark + document.text + BOUNDARY for mark, document in zip(marks, documents, strict=True))


def make_document_split(texts: dict[str, str], name: str) -> Split:
    """The split of framed texts, one after the other, in characters."""
    pieces, start = {}, 0
    for which, text in texts.items():
        pieces[which] = [(start, start + len(text))]
        start += len(text)
    return Split(name, pieces)


def list_document_notes(parts: dict[str, list[Document]]) -> list[str]:
    """The number of documents, their labels, and a warning where held-out documents are training documents too."""
    sizes = ", ".join(f"{which} {len(documents):,}" for which, documents in parts.items())
    notes = [f"{sum(map(len, parts.values())):,} documents: {sizes}"]
    counts = Counter(document.label for document in parts["train"] if document.label is not None)
    if counts:
        told = ", ".join(f"{escape_controls(label)} {count:,}" for label, count in sorted(counts.items()))
        notes.append(f"labels in train: {told}")
    known = set(parts["train"])
    for which in ("val", "test"):
        if copied := sum(document in known for document in parts[which]):
            notes.append(f"warning: {copied:,} of the documents of {which} stand in train too")
    return notes
