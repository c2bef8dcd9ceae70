"""A run's TensorBoard event file. If it cannot be written, one warning says so, and the run continues without it."""

import contextlib
import logging
import os
import socket
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter
from torch import Tensor
from torch.utils.tensorboard.summary import custom_scalars, histogram, hparams, scalar, text

log = logging.getLogger("lstmlm")

BINS = 40  # of a histogram
MARKUP = {char: "\\" + char for char in "\\`*_{}[]()#+-.!|~"} | {"<": "&lt;", ">": "&gt;", "&": "&amp;"}


class Curves:
    """Writes into the directory, at once and in this thread, until the disk refuses.

    TensorBoard hides the points that were written before at `purge_step` or later: a resumed run writes them again.
    """

    def __init__(self, directory: Path, purge_step: int | None = None) -> None:
        self.records: RecordWriter | None = None
        with self._attempt():
            self.records = RecordWriter(open(directory / choose_later_name(directory), "wb"))  # noqa: SIM115
        self._write(Event(file_version="brain.Event:2"))
        if purge_step is not None:
            self._write(Event(step=purge_step, session_log=SessionLog(status=SessionLog.START)))

    def add_scalars(self, step: int, values: dict[str, float]) -> None:
        for tag, value in values.items():
            self._add(scalar(tag, value), step)

    def add_code(self, tag: str, value: str, step: int = 0) -> None:
        """A text as Markdown code: in its lines, in a fixed width."""
        value = escape_surrogates(value)
        self._add(text(tag, "".join("    " + line for line in value.splitlines(keepends=True))), step)

    def add_text(self, tag: str, value: str, step: int = 0) -> None:
        """A text to read, wrapped: its own line ends stay, which TensorBoard shows, and nothing in it is Markdown."""
        self._add(text(tag, "\n".join(map(escape_markdown, escape_surrogates(value).split("\n")))), step)

    def add_histograms(self, step: int, values: dict[str, Tensor]) -> None:
        for tag, numbers in values.items():
            if numbers.numel():
                self._add(histogram(tag, numbers.numpy().ravel(), bins=BINS), step)

    def add_picture(self, tag: str, png: bytes, step: int) -> None:
        self._add(Summary(value=[Summary.Value(tag=tag, image=Summary.Image(encoded_image_string=png))]), step)

    def add_layout(self, charts: dict[str, Any]) -> None:
        """The charts of the tab "Custom Scalars": {category: {title: ["Multiline", tags]}}."""
        self._add(custom_scalars(charts))

    def add_hparams(self, settings: dict[str, Any], tags: Iterable[str]) -> None:
        """A row of the tab HPARAMS: settings, and the last values of the curves with these tags."""
        plain = {key: escape_surrogates(value) if isinstance(value, str) else value for key, value in settings.items()}
        for summary in hparams(plain, dict.fromkeys(tags, 0.0)):
            self._add(summary)

    def flush(self) -> None:
        if self.records is not None:
            with self._attempt():
                self.records.flush()

    def close(self) -> None:
        records, self.records = self.records, None
        if records is not None:
            with contextlib.suppress(OSError):
                records.close()

    def _add(self, summary: Summary, step: int = 0) -> None:
        self._write(Event(summary=summary, step=step))

    def _write(self, event: Event) -> None:
        if self.records is not None:
            event.wall_time = time.time()
            with self._attempt():
                self.records.write(event.SerializeToString())

    @contextlib.contextmanager
    def _attempt(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.close()
            log.warning("warning: cannot write TensorBoard curves: %s: continuing without them", error.strerror)


def escape_markdown(line: str) -> str:
    """A line that Markdown shows as it is, with the spaces at its start."""
    start = len(line) - len(line.lstrip(" "))
    return "&nbsp;" * start + "".join(MARKUP.get(char) or char for char in line[start:]) or "&nbsp;"


def escape_surrogates(text: str) -> str:
    """A text that UTF-8 can hold: names of files, and texts of bytes, may have lone surrogates."""
    return text.encode("utf-8", "backslashreplace").decode()


def choose_later_name(directory: Path) -> str:
    """A file name that sorts after those of the event files in the directory, even if the clock was set back.

    TensorBoard reads the files in the order of the second in their names, and `purge_step` hides only points that it
    read before.
    """
    stamps = [path.name.split(".")[3] for path in directory.glob("events.out.tfevents.*")]
    second = max([int(time.time()), *(int(stamp) + 1 for stamp in stamps if stamp.isdecimal())])
    return f"events.out.tfevents.{second:010d}.{socket.gethostname()}.{os.getpid()}.0"
