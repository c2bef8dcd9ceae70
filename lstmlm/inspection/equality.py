"""The equality check: on this machine, every backend of every cell computes the function of the from-scratch page.

B = batch_size, T = num_steps.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as functional
from torch import Tensor

from lstmlm.layers.registry import BACKENDS
from lstmlm.model.evaluation_mode import evaluation_mode
from lstmlm.model.initialization import initialize
from lstmlm.model.model_config import ModelConfig
from lstmlm.model.rnn_model import RNNModel
from lstmlm.training.learner import Learner
from lstmlm.training.optim import build_optimizer
from lstmlm.training.plan import Recipe
from lstmlm.training.step import train_step

# The largest differences allowed, relative to the largest element
TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-5}
# Twenty updates of AdamW, which divides by what may be tiny, let rounding grow
STEPS_TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-4}
CONFIG = ModelConfig(vocab_size=63, num_hiddens=64, num_layers=2, dropout=0.2)
Row = dict[str, Any]  # cell, backend, dtype, the difference by column or None, passed
RECIPE = Recipe(0.01, "constant", warmup=0.0, grad_clip=1.0, ema=None, micro_batches=1, precision="float32")
COLUMNS = ("values", "state", "gradients", "chunked", "20 steps")
NAME_WIDTHS, DIFFERENCE_WIDTHS = (11, 8, 8), (8, 8, 11, 9, 10)  # of the columns: 79 characters with the result


def measure_difference(a: Tensor, b: Tensor) -> float:
    """The largest absolute difference, relative to the largest absolute element of b."""
    smallest = 1e-300 if b.dtype == torch.float64 else 1e-30  # instead of a division by zero
    return ((a - b).abs().max() / b.abs().max().clamp_min(smallest)).item()


def check_backends(device: torch.device) -> Iterator[Row]:
    """Yield a row for each cell, backend and dtype: its differences by column, and whether all are allowed (passed)."""
    allow = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    try:
        for dtype in TOLERANCE:
            if dtype == torch.float64 and device.type == "mps":
                continue  # has no float64
            for cell, backends in BACKENDS.items():
                for backend in backends:
                    yield check_form(cell, backend, dtype, device)
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = allow


def check_form(cell: str, backend: str, dtype: torch.dtype, device: torch.device) -> Row:
    """One row of differences from scratch. For scratch itself only `chunked` is measured; the others are None."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(CONFIG.vocab_size, (4, 24), generator=generator).to(device)
    ours = build(cell, backend, dtype, device)
    differences: dict[str, float | None] = dict.fromkeys(COLUMNS)
    if backend != "scratch":
        book = build(cell, "scratch", dtype, device)
        a, b = compute_all(ours, ids), compute_all(book, ids)
        differences |= {column: max(map(measure_difference, a[column], b[column])) for column in a}
        differences["20 steps"] = measure_difference(train_twenty_steps(ours, ids), train_twenty_steps(book, ids))
    with evaluation_mode(ours), torch.no_grad():
        differences["chunked"] = measure_difference(run_in_chunks(ours, ids), ours(ids)[0])
    allowed = {column: TOLERANCE[dtype] for column in COLUMNS} | {"20 steps": STEPS_TOLERANCE[dtype]}
    # A NaN is not smaller than anything, so it does not pass
    passed = all(value is None or value <= allowed[column] for column, value in differences.items())
    name = str(dtype).removeprefix("torch.")
    return {"cell": cell, "backend": backend, "dtype": name, **differences, "passed": passed}


def build(cell: str, backend: str, dtype: torch.dtype, device: torch.device) -> RNNModel:
    """A model with the same weights, biases included, and the same future dropout masks, on every backend."""
    model = RNNModel(replace(CONFIG, cell=cell), backend)
    generator = torch.Generator().manual_seed(1)
    initialize(model, "default", generator)
    weights = model.book_weights()
    for name, tensor in weights.items():
        weights[name] = tensor + 0.1 * torch.randn(tensor.shape, generator=generator)
    model.load_book_weights(weights)
    model.dropout_generator = torch.Generator(device).manual_seed(2)
    return model.to(dtype).to(device)


def compute_all(model: RNNModel, ids: Tensor) -> dict[str, list[Tensor]]:
    """The tensors that must be equal, by column, for one training forward and backward on ids (B, T)."""
    model.train()
    logits, state = model(ids)
    loss, trained = functional.cross_entropy(logits, ids.roll(-1, 1).T.flatten()), model.trained()
    gradients = dict(zip(trained, torch.autograd.grad(loss, list(trained.values())), strict=True))
    return {
        "values": [logits.detach()],
        "state": [part.detach() for part in state],
        "gradients": list(model.to_book(gradients).values()),
    }


def run_in_chunks(model: RNNModel, ids: Tensor) -> Tensor:
    """The logits (T*B, V) of ids (B, T), T = 24, read in chunks."""
    parts, state = [], None
    for chunk in torch.split(ids, [1, 5, 10, 8], dim=1):
        logits, state = model(chunk, state)
        parts.append(logits)
    return torch.cat(parts)


def train_twenty_steps(model: RNNModel, ids: Tensor) -> Tensor:
    """The losses of twenty steps of AdamW with clipping, on one batch from the zero state: (20,)."""
    learner = Learner(model, build_optimizer(model, "adamw", RECIPE.lr, weight_decay=0.01))
    X, Y, zero_state = ids[:, :-1], ids[:, 1:], model.begin_state(len(ids), ids.device)
    return torch.stack([train_step(learner, X, Y, zero_state, RECIPE).loss for _ in range(20)])


def format_line(cells: Sequence[str]) -> str:
    """A line of the table for people, in columns of fixed width, so that each row can be printed as it comes."""
    names, differences, result = cells[:3], cells[3:-1], cells[-1]
    columns = [f"{name:<{width}}" for name, width in zip(names, NAME_WIDTHS, strict=True)]
    columns += [f"{cell:>{width}}" for cell, width in zip(differences, DIFFERENCE_WIDTHS, strict=True)]
    return "".join([*columns, f"  {result}"]).rstrip()


def format_row(row: Row) -> str:
    """A row as a line of the table."""
    differences = ["" if row[column] is None else f"{row[column]:.1e}" for column in COLUMNS]
    return format_line([row["cell"], row["backend"], row["dtype"], *differences, "pass" if row["passed"] else "FAIL"])


HEAD = format_line(["cell", "backend", "type", *COLUMNS, ""])
