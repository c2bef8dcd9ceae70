"""`generate`: samples drawn, described for --json, and written."""

import math
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TextIO

from lstmlm.commands.display import Say, print_note

if TYPE_CHECKING:
    from lstmlm.evaluation.novelty import Index
    from lstmlm.generation.writer import Writer
    from lstmlm.text.vocab import Vocab

Sample = tuple[int, Iterable[tuple[str, float]]]  # its seed; its pieces of text with their surprisals in nats


def draw_samples(
    writer: "Writer", vocab: "Vocab", prompt: str, length: float, stop: tuple[str, ...], begin: str
) -> list[Sample]:
    """The samples of a writer that has read nothing yet, after `begin` and the prompt. A single sample comes as it is
    drawn.
    """
    from lstmlm.generation.documents import encode_prompt, hide_boundary, list_ends
    from lstmlm.generation.writer import group_by_sample, write_pieces

    writer.read(encode_prompt(vocab, prompt, begin))
    samples = group_by_sample(write_pieces(writer, vocab, length, list_ends(vocab, stop)), len(writer.seeds))
    return list(zip(writer.seeds, map(hide_boundary, samples), strict=True))


def describe_sample(
    prompt: str, seed: int, pieces: Sequence[tuple[str, float]], index: "Index | None"
) -> dict[str, Any]:
    """A sample for --json; log_probability is that of the text after the prompt, in nats, as `score` counts it, or
    under --guidance.
    """
    text, nats = "".join(piece for piece, _ in pieces), math.fsum(surprisal for _, surprisal in pieces)
    own: dict[str, Any] = {"text": prompt + text, "prompt": prompt, "seed": seed, "log_probability": -nats}
    return own if index is None else own | {"novelty": asdict(index.measure(text))}


def write_samples(prompt: str, samples: list[Sample], out: TextIO, say: Say, index: "Index | None") -> None:
    """Write the prompt and the text of each sample, piece by piece, and its novelty if there is an index.

    Each sample ends its line, which a `--stop` of a line end does by itself; the last one does so on a terminal alone.
    """
    for seed, pieces in samples:
        if len(samples) > 1:
            print_note(f"seed {seed}")
        say(prompt)
        text, end = "", prompt
        for piece, surprisal in pieces:
            say(piece, surprisal)
            text += piece if index else ""
            end = piece or end
        if not end.endswith("\n") and (out.isatty() or seed != samples[-1][0] or (index and out is sys.stdout)):
            say("\n")
        if index:
            print("\n".join(index.measure(text).format_lines()), flush=True)
