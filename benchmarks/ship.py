"""Make a model that ships from a run: python benchmarks/ship.py RUN NAME RECIPE

Writes data/models/NAME.safetensors, which has the best weights of the run alone (in float32 where they then take at
most 4 MB, else rounded to bfloat16), and data/models/NAME.md, its card with the figures of that file. The text of the
run must be where its recipe finds it. RECIPE is the overrides of train.py, for the card.
"""

import argparse
import hashlib
from pathlib import Path

import torch

import lstmlm
from lstmlm.checkpoints.checkpoint import load_checkpoint, save_checkpoint
from lstmlm.checkpoints.files import find_checkpoint
from lstmlm.evaluation.given_text import get_data_settings
from lstmlm.evaluation.held_out import load_held_out
from lstmlm.evaluation.scoring import score_chars, sum_scores
from lstmlm.model.model_config import ModelConfig
from lstmlm.model.shapes import count_params
from lstmlm.runs.prepare import choose_prompt
from lstmlm.text.corpus import read_corpus
from lstmlm.text.origin import find_origin

MODELS = Path(__file__).resolve().parent.parent / "data" / "models"
LARGEST = 4_000_000  # bytes of a file
SLICE, DOCUMENT = 1000, "margaret"  # characters; a text of a model of documents
LICENCES = {
    "tide_clock": "The Tide Clock and the weights are given to the public domain (CC0 1.0).",
    "tiny_shakespeare": "The text is Tiny Shakespeare (github.com/karpathy/char-rnn, data/tinyshakespeare), 1.1 MB of "
    "the plays. Shakespeare's text is free of rights. It is not in the repository: `data=tiny_shakespeare` fetches it. "
    "The weights are given to the public domain (CC0 1.0).",
    "names": "The text is names.txt of github.com/karpathy/makemore: the 32,033 most common given names of 2018 in the "
    "records of the US Social Security Administration, a work of the US government and so in the public domain. It is "
    "not in the repository: `data=names` fetches it. The weights are given to the public domain (CC0 1.0).",
}


def strip(run: str, path: Path) -> str:
    """Write the weights of the run alone; -> the type that they are stored in."""
    loaded = load_checkpoint(find_checkpoint(run))
    stored = "float32" if 4 * sum(t.numel() for t in loaded.weights.values()) < LARGEST - 20_000 else "bfloat16"
    weights = {name: tensor.to(getattr(torch, stored)) for name, tensor in loaded.weights.items()}
    record = {**loaded.record, "data": {**loaded.record["data"], "path": Path(loaded.record["data"]["path"]).name}}
    data = get_data_settings(record)
    record["prompt"] = loaded.prompt or choose_prompt(read_corpus(data, origin=find_origin(data)))
    save_checkpoint(path, weights, record)
    return stored


def measure(path: Path, which: str) -> float | None:
    """Nats per character of a part of the run's own text; None of an empty one."""
    loaded = load_checkpoint(path)
    part = load_held_out(loaded, which, None)
    return sum_scores(score_chars(loaded.build()[0], part.pieces)).nats_per_char if part.num_chars > 1 else None


def read_slice() -> str:
    """The first characters of the validation part of The Tide Clock."""
    text = (MODELS.parent / "tide_clock.txt").read_text(encoding="utf-8")
    start = int(0.9 * len(text))
    return text[start : start + SLICE]


def write_card(path: Path, name: str, recipe: str, stored: str) -> None:
    record = load_checkpoint(path).record
    config = ModelConfig.from_record(record["model"])
    model = lstmlm.load(path)
    if model.vocab.boundary is None:
        check, text = f"{SLICE:,} characters of The Tide Clock's val, nats per character", read_slice()
    else:
        check, text = f"the document {DOCUMENT}, nats per character, its end included", DOCUMENT
    val, test = (measure(path, which) for which in ("val", "test"))
    versions = record["versions"]
    size = f"{config.num_layers} x {config.num_hiddens} units"
    rows = {
        "recipe": f"`python train.py {recipe}`",
        "text": f"{record['data']['name']}, SHA-256 `{record['data']['sha256']}`",
        "model": f"{config.cell.upper()}, {size}, {config.vocab_size} symbols",
        "parameters": f"{count_params(config):,}",
        "steps": f"{record['step']:,}",
        "weights": stored,
        "bytes": f"{path.stat().st_size:,}",
        "SHA-256": f"`{hashlib.sha256(path.read_bytes()).hexdigest()}`",
        "val, nats per character": f"{val:.4f}",
        "test, nats per character": "the split has no test part" if test is None else f"{test:.4f}",
        check: f"{model.score(text).nats_per_char:.4f}",
        "trained with": f"torch {versions['torch']}, {versions['cpu']}",
    }
    table = "\n".join(f"| {key} | {value} |" for key, value in rows.items())
    licence = LICENCES[record["data"]["name"]]
    path.with_suffix(".md").write_text(
        f"# {name}\n\nTry it: `lstmlm generate {name}`. The card is written by benchmarks/ship.py.\n\n"
        f"| | |\n|---|---|\n{table}\n\n{licence}\n",
        encoding="utf-8",
    )


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("run")
    options.add_argument("name")
    options.add_argument("recipe", nargs="+")
    given = options.parse_args()
    MODELS.mkdir(exist_ok=True)
    path = MODELS / f"{given.name}.safetensors"
    stored = strip(given.run, path)
    write_card(path, given.name, " ".join(given.recipe), stored)
    print(path.with_suffix(".md").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
