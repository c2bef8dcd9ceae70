"""A batch with several documents in a lane gives what each of them gives alone, on every backend."""

import numpy as np
import pytest
import torch
from helpers.forms import every_form, make_model

from lstmlm.layers import fused_native
from lstmlm.model.rnn_model import RNNModel
from lstmlm.text.spans import Spans

SPANS = [  # lane, start, length, goes on
    *((0, 0, 4, False), (0, 4, 5, True)),
    (1, 0, 7, True),
    *((2, 0, 1, False), (2, 1, 2, False), (2, 3, 6, False)),
]
T, B, V = 9, 3, 7
SHAPES = [{"num_layers": 1}, {"num_layers": 2}, {"num_layers": 2, "embedding_dim": 3}]


def make_spans() -> Spans:
    return Spans(*map(np.array, zip(*SPANS, strict=True)))


def make_batch(model):
    """ids (B, T), a state, and weights of the logits (T, B, V) and of each part of the state, all of them random."""
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(V, (B, T), generator=generator)
    zeros = model.begin_state(B, "cpu")
    dtype = zeros[0].dtype
    state = tuple(torch.randn(part.shape, generator=generator, dtype=dtype) for part in zeros)
    after = [torch.randn(part.shape, generator=generator, dtype=dtype) for part in zeros]
    return ids, state, torch.randn(T, B, V, generator=generator, dtype=dtype), after


def compute_together(model, ids, state, weights, after):
    """A sum over all that has a meaning."""
    logits, last = model(ids, state, make_spans())
    logits = logits.view(T, B, V)
    total = sum(
        (logits[start : start + n, lane] * weights[start : start + n, lane]).sum() for lane, start, n, _ in SPANS
    )
    going = [lane for lane, _, _, goes_on in SPANS if goes_on]
    return total + sum((part[:, going] * weight[:, going]).sum() for part, weight in zip(last, after, strict=True))


def compute_alone(model, ids, state, weights, after):
    """The same sum, from each span by itself."""
    total = 0.0
    for lane, start, n, goes_on in SPANS:
        own = tuple(part[:, lane : lane + 1] * (start == 0) for part in state)
        logits, last = model(ids[lane : lane + 1, start : start + n], own)
        total = total + (logits * weights[start : start + n, lane]).sum()
        if goes_on:
            total = total + sum((part[:, 0] * weight[:, lane]).sum() for part, weight in zip(last, after, strict=True))
    return total


def check_spans(model, tolerance):
    """The sum, and its gradients by the weights and by the state before, as the from-scratch layer in float64 has them
    for each span by itself.
    """
    scratch = RNNModel(model.config, "scratch").double()
    scratch.load_book_weights({name: weight.double() for name, weight in model.book_weights().items()})
    ids, *numbers = make_batch(model)
    found = []
    for other, compute in ((model, compute_together), (scratch, compute_alone)):
        state, weights, after = (convert(number, other.W_hq.dtype) for number in numbers)
        before = tuple(part.requires_grad_() for part in state)
        total = compute(other, ids, before, weights, after)
        gradients = torch.autograd.grad(total, [*other.trained().values(), *before])
        own, by_state = gradients[: -len(before)], gradients[-len(before) :]
        book = other.to_book(dict(zip(other.trained(), own, strict=True)))
        found.append(book | {"total": total} | {f"state {k}": part for k, part in enumerate(by_state)})
    together, alone = found
    assert together.keys() == alone.keys()
    for name in alone:
        assert (together[name] - alone[name]).abs().max() <= tolerance * (1 + alone[name].abs().max()), name


def convert(numbers, dtype):
    """A tensor, or several, in another dtype."""
    return numbers.to(dtype) if isinstance(numbers, torch.Tensor) else tuple(part.to(dtype) for part in numbers)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@every_form
def test_spans_are_computed_as_each_alone(cell, backend, shape):
    check_spans(make_model(backend, cell=cell, **shape), 1e-12)


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("num_hiddens", [5, 19, 64])
def test_the_kernel_computes_spans_as_each_alone(num_hiddens, shape, threads):
    model = make_model("fused", torch.float32, num_hiddens=num_hiddens, **shape)
    if not fused_native.can_run(model.W_hq):
        pytest.skip("the kernel in C cannot be built here")
    used = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        check_spans(model, 1e-5)
    finally:
        torch.set_num_threads(used)


@pytest.mark.parametrize("backend", ["scratch", "nn", "cell"])
def test_weights_are_dropped_in_spans_as_in_the_fused_layer(backend):
    found = []
    for name in (backend, "fused"):
        model = make_model(name, weight_drop=0.5, locked_output=0.4, dropout=0.2)
        model.train()
        model.dropout_generator = torch.Generator().manual_seed(2)
        total = compute_together(model, *make_batch(model))
        gradients = torch.autograd.grad(total, list(model.trained().values()))
        book = model.to_book(dict(zip(model.trained(), gradients, strict=True)))
        found.append(book | {"total": total})
    assert found[0].keys() == found[1].keys()
    assert all(torch.allclose(found[0][name], found[1][name], atol=1e-11) for name in found[0])


def test_a_gradient_can_be_taken_twice_where_its_graph_is_kept():
    model = make_model("fused", torch.float32)
    total = compute_together(model, *make_batch(model))
    weights = list(model.trained().values())
    first = torch.autograd.grad(total, weights, retain_graph=True)
    assert all(map(torch.equal, first, torch.autograd.grad(total, weights)))
