"""How good models of documents are.

    python benchmarks/documents.py FOLDER [--seeds 0,1,2] [--parts names,stream,packing,samples,labels] [--small]

Runs and texts go into FOLDER; a run that is there is not made again. --small tries the script out. The parts:

names    experiment=names with each seed: the validation loss of the last weights, beside Kneser-Ney over documents
stream   the same model on the same names as one stream of shuffled lines, without data.documents, for as many epochs
packing  how much longer a character of names as documents takes than one of a stream: whole training steps of 1 x 192
         units in turns, in one process, on every backend
samples  the first letters of 2,000 names that the model of the first seed writes, beside those of the list
labels   lines of three texts, and of three texts of which one is a list of names, each labelled with its text
         (data.label): how many samples an n-gram judge recognises, which has read other lines of the same texts, as
         many characters of each: with less text it gives what is no word more probability, and would claim bad samples
"""

import argparse
import contextlib
import csv
import io
import itertools
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles

import numpy as np
import torch
from machine import machine

import lstmlm
from lstmlm.checkpoints.checkpoint import load_checkpoint
from lstmlm.evaluation.baselines import compute_ngram_baselines, find_best_ngram
from lstmlm.evaluation.held_out import read_own_corpus
from lstmlm.evaluation.kneser_ney import KneserNey
from lstmlm.generation.documents import list_ends
from lstmlm.generation.from_model import start_writer
from lstmlm.generation.writer import group_by_sample, write_pieces
from lstmlm.model.model_config import ModelConfig
from lstmlm.model.rnn_model import RNNModel
from lstmlm.runs.launch import train as run_train
from lstmlm.settings.sampling import SamplingSettings
from lstmlm.system.paths import find_cache, find_shipped
from lstmlm.text.batches import SequentialStreams, Streams
from lstmlm.text.corpus import Corpus
from lstmlm.text.document_batches import DocumentBatches
from lstmlm.text.labels import choose_begin
from lstmlm.text.vocab import MARKS, Vocab
from lstmlm.training.learner import Learner
from lstmlm.training.optim import build_optimizer
from lstmlm.training.plan import Recipe
from lstmlm.training.step import train_step

RECIPE = "experiment=names"
SAMPLES, LONGEST = 2000, 60
LINES, JUDGED, ORDER = 1500, 200, 5  # of each label: lines to learn, samples; of the judge
BATCH, ROUNDS, STEPS = (16, 64), 30, 5  # lanes and steps; rounds, and training steps in a round
PLAIN = ["train.portrait_share=0", "train.baselines=false"]


@dataclass(frozen=True)
class Folder:
    """Where texts and runs are, and what is appended to the settings of each run."""

    path: Path
    seeds: list[int]
    extra: list[str]

    def train(self, name: str, *words: str) -> dict:
        """The last row of the metrics of a run, which is made in silence unless it is there."""
        directory = self.path / name
        if not (directory / "metrics.jsonl").exists():
            with contextlib.redirect_stdout(io.StringIO()):
                code = run_train([*words, *PLAIN, *self.extra, f"hydra.run.dir={directory}"])
            if code:
                raise SystemExit(f"error: {directory}: the run ended with exit code {code}")
        return lstmlm.Run(directory).final

    def read_names(self) -> Corpus:
        return read_own_corpus(load_checkpoint(self.path / f"names_{self.seeds[0]}" / "last.safetensors"))


def report(what: str, final: dict) -> None:
    print(f"{what}: {final['loss/val_last']:.4f} nats, {final['cpu_seconds']:.0f} CPU-seconds", flush=True)


def draw(
    model: lstmlm.LanguageModel,
    count: int,
    label: str | None = None,
    temperature: float = 1.0,
    guidance: float = 0.0,
) -> list[str]:
    """Documents, drawn together."""
    vocab, settings = model.vocab, SamplingSettings(temperature=temperature)
    writer = start_writer(model.model, vocab, "", settings, list(range(count)), choose_begin(vocab, label), guidance)
    samples = group_by_sample(write_pieces(writer, vocab, LONGEST, list_ends(vocab)), count)
    return ["".join(piece for piece, _ in pieces if piece not in MARKS) for pieces in samples]


# The parts


def compare_names(folder: Folder) -> None:
    losses = []
    for seed in folder.seeds:
        final = folder.train(f"names_{seed}", RECIPE, f"seed={seed}")
        report(f"names, seed {seed}", final)
        losses.append(final["loss/val_last"])
    print(f"names: mean {np.mean(losses):.4f} [{min(losses):.4f}, {max(losses):.4f}], {len(losses)} seeds")
    corpus = folder.read_names()
    parts = ([piece.numpy() for piece in corpus.pieces(which)] for which in ("train", "val"))
    best = find_best_ngram(compute_ngram_baselines(*parts))
    print(f"{best.name} over documents: {best.nats_per_char:.4f} nats")


def compare_with_stream(folder: Folder) -> None:
    """The parts are the same names, in the same order, and every line end is scored."""
    corpus = folder.read_names()
    texts = [corpus.vocab.decode(corpus.ids[which][1:]).replace(MARKS[0], "\n") for which in ("train", "val")]
    path = folder.path / "stream.txt"
    path.write_text("".join(texts))
    ends = len(texts[0]), sum(map(len, texts))
    split = f"data.split=[[0,{ends[0]}],[{ends[0]},{ends[1]}],[{ends[1]},{ends[1]}]]"
    text = ["data=file", f"data.path={path}", "data.documents=null", split]
    report("one stream of shuffled lines", folder.train("stream", RECIPE, *text, f"seed={folder.seeds[0]}"))


def compare_first_letters(folder: Folder) -> None:
    model = lstmlm.load(folder.path / f"names_{folder.seeds[0]}" / "last.safetensors")
    names = (find_cache() / "names.txt").read_text().split()
    samples = draw(model, SAMPLES)
    shares = [Counter(name[0] for name in part if name) for part in (names, samples)]
    differences = {
        letter: 100 * (shares[1][letter] / len(samples) - shares[0][letter] / len(names))
        for letter in sorted(set(shares[0]) | set(shares[1]))
    }
    worst = max(differences, key=lambda letter: abs(differences[letter]))
    known = set(names)
    print(f"first letters of {len(samples):,} samples: {worst} differs most, by {differences[worst]:+.2f} points")
    print(f"samples that stand in the list: {100 * sum(name in known for name in samples) / len(samples):.1f} %")


def read_lines() -> dict[str, list[str]]:
    """The lines of four texts, in an order that is drawn: the first for the model, the others for the judge."""
    cache = find_cache()
    sources = {
        "shakespeare": cache / "tiny_shakespeare.txt",
        "time_machine": cache / "time_machine.txt",
        "tide_clock": find_shipped("data") / "tide_clock.txt",
        "names": cache / "names.txt",
    }
    lines = {}
    for label, path in sources.items():
        shortest = 0 if label == "names" else 30
        found = [line.strip() for line in path.read_text(encoding="utf-8").split("\n")]
        lines[label] = [line for line in dict.fromkeys(found) if len(line) > shortest and not re.search(r":$", line)]
        random.Random(0).shuffle(lines[label])
    return lines


def judge_labels(folder: Folder) -> None:
    lines = read_lines()
    judge_three(folder, "labels", {label: lines[label] for label in ("shakespeare", "time_machine", "tide_clock")})
    judge_three(folder, "kinds", {label: lines[label] for label in ("shakespeare", "tide_clock", "names")})


def judge_three(folder: Folder, name: str, lines: dict[str, list[str]]) -> None:
    """Train on lines with these labels, draw lines of each, and print how many the n-gram of the label likes best."""
    path = folder.path / f"{name}.csv"
    with open(path, "w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["text", "source"])
        rows.writerows((line, label) for label, own in lines.items() for line in own[:LINES])
    words = ["data=file", f"data.path={path}", "data.documents=line", "data.column=text", "data.label=source"]
    words += ["backend=fused", "threads=1", "model.num_hiddens=192", "train.max_epochs=12", "train.eval_every=2000"]
    final = folder.train(name, *words, f"seed={folder.seeds[0]}")
    report(f"lines of {', '.join(lines)}", final)
    model = lstmlm.load(folder.path / name / "last.safetensors")
    vocab = model.vocab
    read = min(sum(map(len, own[LINES:])) for own in lines.values())
    judges = {label: KneserNey(take(own[LINES:], read, vocab), len(vocab), ORDER) for label, own in lines.items()}

    def recognise(text: str) -> str:
        (ids,) = encode([text], vocab)
        return min(judges, key=lambda label: judges[label].compute_char_nats(ids, ORDER).sum())

    for what, texts in (
        *(
            (
                f"samples at temperature {t:g}, guidance {w:g}",
                {label: draw(model, JUDGED, label, t, w) for label in lines},
            )
            for t, w in ((1, 0), (1, 1), (1, 2), (0.6, 0), (0.6, 1), (0.6, 2))
        ),
        ("lines of the texts", {label: own[:JUDGED] for label, own in lines.items()}),
    ):
        right = {label: sum(recognise(text) == label for text in own) for label, own in texts.items()}
        told = ", ".join(f"{label} {count}" for label, count in right.items())
        print(f"{what} recognised, of {JUDGED} each: {told}; {100 * sum(right.values()) / JUDGED / len(right):.0f} %")


def take(lines: list[str], num_chars: int, vocab: Vocab) -> list[np.ndarray]:
    """As many of the lines as have so many characters together."""
    ends = np.cumsum([len(line) for line in lines])
    return encode(lines[: int(np.searchsorted(ends, num_chars)) + 1], vocab)


def encode(texts: Iterable[str], vocab: Vocab) -> list[np.ndarray]:
    return [vocab.encode(MARKS[0] + text + MARKS[0]) for text in texts]


def measure_packing(folder: Folder) -> None:
    corpus, recipe = folder.read_names(), Recipe(4e-3, "constant", 0.0, 1.0, None, 1, "float32")
    ids, vocab = corpus.ids["train"], corpus.vocab
    kinds = {"documents": DocumentBatches(ids, *BATCH, vocab.boundary), "stream": SequentialStreams(ids, *BATCH)}
    torch.set_num_threads(1)
    for backend, rounds in (("fused", ROUNDS), ("nn", ROUNDS // 3), ("scratch", ROUNDS // 3)):
        times: dict[str, list[float]] = {kind: [] for kind in kinds}
        steps = {kind: iterate_steps(streams, len(vocab), backend, recipe) for kind, streams in kinds.items()}
        for _ in range(rounds + 1):
            for kind in kinds:
                began = time.process_time()
                chars = sum(itertools.islice(steps[kind], STEPS))
                times[kind].append((time.process_time() - began) / chars)
        ratios = [a / b for a, b in zip(times["documents"][1:], times["stream"][1:], strict=True)]
        low, middle, high = quantiles(ratios, n=4)
        told = ", ".join(f"{kind} {1e6 * median(own[1:]):.1f}" for kind, own in times.items())
        print(
            f"{backend}: microseconds of CPU a character: {told}; ratio {middle:.3f} [quartiles {low:.3f}, {high:.3f}]"
        )


def iterate_steps(streams: Streams, vocab_size: int, backend: str, recipe: Recipe) -> Iterator[int]:
    """Make training steps on the batches of an epoch, and yield the number of characters of each."""
    model = RNNModel(ModelConfig(vocab_size, 192, dropout=0.2, weight_drop=0.4), backend)
    learner = Learner(model, build_optimizer(model, "adamw", recipe.lr, 0.01))
    for X, Y in streams.epoch(torch.Generator().manual_seed(0)):
        train_step(learner, X, Y, model.begin_state(len(X), "cpu"), recipe, spans=streams.find_spans(X, Y))
        yield streams.count_targets(Y)


PARTS = {
    "names": compare_names,
    "stream": compare_with_stream,
    "packing": measure_packing,
    "samples": compare_first_letters,
    "labels": judge_labels,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--small", action="store_true")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    sys.argv = ["train.py"]  # the program that runs name in what they print
    print(machine(), flush=True)
    seeds = [int(seed) for seed in args.seeds.split(",")]
    for part in args.parts.split(","):
        PARTS[part](Folder(args.folder, seeds, ["train.max_steps=40"] * args.small))


if __name__ == "__main__":
    main()
