"""Every backend computes the same function: values, states, gradients, trajectories. A new one joins by its name."""

import pytest
import torch
import torch.nn.functional as functional
from helpers.forms import FORMS, PAIRS, every_form, make_model

from lstmlm.inspection.equality import measure_difference
from lstmlm.layers.registry import BACKENDS
from lstmlm.model.initialization import INITS, initialize
from lstmlm.model.model_config import ModelConfig
from lstmlm.model.rnn_model import RNNModel
from lstmlm.scratch.gru import gru, init_gru_state
from lstmlm.scratch.lstm import get_lstm_params, init_lstm_state, lstm
from lstmlm.scratch.rnn import init_rnn_state, rnn
from lstmlm.system.errors import BadInput
from lstmlm.training.optim import (
    build_optimizer,
    compute_clip_factor,
    compute_norm,
    moments_from_book,
    moments_to_book,
    scale_gradients,
)

every_pair = pytest.mark.parametrize(("cell", "pair"), [(cell, pair) for cell, *pair in PAIRS], ids=str)
SHAPES = [{"num_layers": 1}, {"num_layers": 2}, {"num_layers": 2, "embedding_dim": 3}]
EVERY_DROPOUT = {"locked_input": 0.3, "locked_between": 0.2, "locked_output": 0.4, "weight_drop": 0.5, "dropout": 0.1}
RATE = {"sgd": 1.0, "adamw": 0.1}
TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-5}


def random_ids(seed: int, batch_size: int = 3, num_steps: int = 11, vocab_size: int = 7) -> torch.Tensor:
    return torch.randint(vocab_size, (batch_size, num_steps), generator=torch.Generator().manual_seed(seed))


def counting_ids(batch_size: int = 3, num_steps: int = 81) -> torch.Tensor:
    """A text that can be learned: 0 1 2 2 2 2 2 0 1 2 ..., each lane from another place."""
    return ((torch.arange(num_steps) + torch.arange(batch_size)[:, None]) % 7).clamp(max=2)


def forward_backward(model, ids):
    """Logits, final state, gradients by d2l's names; dropout from a generator of fixed seed."""
    model.train()
    model.dropout_generator = torch.Generator().manual_seed(5)
    logits, state = model(ids)
    functional.cross_entropy(logits, ids.roll(-1, 1).T.flatten()).backward()
    gradients = model.to_book({name: param.grad for name, param in model.trained().items()})
    return {"logits": logits.detach()} | {f"state {k}": s.detach() for k, s in enumerate(state)} | gradients


@pytest.mark.parametrize("dropout", [{}, {"dropout": 0.4}, EVERY_DROPOUT], ids=["none", "elementwise", "every"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@every_pair
def test_same_weights_give_the_same_logits_states_and_gradients(cell, pair, dtype, shape, dropout):
    models = (make_model(backend, dtype, cell=cell, **dropout, **shape) for backend in pair)
    a, b = (forward_backward(model, random_ids(1)) for model in models)
    assert a.keys() == b.keys()
    for name in a:
        assert measure_difference(a[name], b[name]) < TOLERANCE[dtype], name


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@every_form
def test_a_text_in_chunks_is_the_text_whole(cell, backend, shape):
    model, ids = make_model(backend, cell=cell, **shape), random_ids(2)
    whole, whole_state = model(ids)
    parts, state = [], None
    for chunk in ids.split([1, 4, 6], dim=1):
        logits, state = model(chunk, state)
        parts.append(logits)
    assert measure_difference(torch.cat(parts), whole) < 1e-10
    assert all(measure_difference(a, b) < 1e-10 for a, b in zip(state, whole_state, strict=True))


@pytest.mark.parametrize("dropout", [{}, EVERY_DROPOUT], ids=["none", "every"])
@every_form
def test_gradients_are_those_of_finite_differences(cell, backend, dropout):
    model, ids = make_model(backend, cell=cell, num_layers=2, num_hiddens=3, **dropout), random_ids(3, num_steps=4)
    own = model.trained()

    def logits(*params):
        model.dropout_generator = torch.Generator().manual_seed(5)
        return torch.func.functional_call(model, dict(zip(own, params, strict=True)), (ids,))[0]

    assert torch.autograd.gradcheck(logits, tuple(param.detach().clone().requires_grad_() for param in own.values()))


BOOK = {"lstm": (lstm, init_lstm_state), "gru_before": (gru, init_gru_state), "rnn": (rnn, init_rnn_state)}


@pytest.mark.parametrize(("cell", "backend"), [form for form in FORMS if form[0] in BOOK], ids=" ".join)
def test_one_layer_computes_exactly_d2ls_function(cell, backend):
    book, init_state = BOOK[cell]
    model, ids = make_model(backend, cell=cell), random_ids(4)
    params = list(model.book_weights().values())
    state = tuple(part.double() for part in init_state(3, 5, "cpu"))
    expected, expected_state = book(functional.one_hot(ids.T, 7).double(), state, params)
    logits, model_state = model(ids)
    same = torch.equal if backend == "scratch" else lambda a, b: measure_difference(a, b) < 1e-10
    assert same(logits, expected)
    assert all(same(part[0], other) for part, other in zip(model_state, expected_state, strict=True))


def test_the_two_grus_are_different_functions():
    after, before = make_model("scratch", cell="gru"), make_model("scratch", cell="gru_before")
    weights = after.book_weights()
    del weights["layers.0.b_hn"]
    before.load_book_weights(weights)
    assert measure_difference(after(random_ids(4))[0], before(random_ids(4))[0]) > 1e-3


def steps(model, optimizer, ids, first: int, last: int) -> list[float]:
    """Optimizer steps on a text in pieces with the state carried, as in training; the losses."""
    losses, state = [], None
    for k in range(first, last):
        logits, state = model(ids[:, k * 4 : k * 4 + 4], state and tuple(part.detach() for part in state))
        loss = functional.cross_entropy(logits, ids[:, k * 4 + 1 : k * 4 + 5].T.flatten())
        optimizer.zero_grad()
        loss.backward()
        params = list(model.trained().values())
        scale_gradients(params, compute_clip_factor(compute_norm(params), 0.5))
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("dropout", [{}, EVERY_DROPOUT], ids=["none", "every"])
@pytest.mark.parametrize("name", RATE)
@every_pair
def test_twenty_steps_follow_the_same_curve(cell, pair, name, dropout):
    curves = []
    for backend in pair:
        model = make_model(backend, cell=cell, num_layers=2, **dropout)
        model.dropout_generator = torch.Generator().manual_seed(5)
        curves.append(steps(model, build_optimizer(model, name, RATE[name], 0.01), counting_ids(), 0, 20))
    a, b = map(torch.tensor, curves)
    assert a[-1] < a[0]
    assert measure_difference(a, b) < 1e-10


@pytest.mark.parametrize("name", RATE)
@every_pair
def test_steps_in_one_backend_and_the_rest_in_another_are_all_in_either(cell, pair, name):
    ids = counting_ids()
    first, second, whole = (make_model(backend, cell=cell, num_layers=2) for backend in (*pair, pair[0]))
    optimizers = [build_optimizer(model, name, RATE[name], 0.01) for model in (first, second, whole)]
    for half in ((0, 10), (10, 20)):
        steps(whole, optimizers[2], ids, *half)
    steps(first, optimizers[0], ids, 0, 10)
    second.load_book_weights(first.book_weights())
    moments_from_book(second, optimizers[1], moments_to_book(first, optimizers[0]))
    steps(second, optimizers[1], ids, 10, 20)
    moments = moments_to_book(second, optimizers[1])
    assert moments.keys() == moments_to_book(whole, optimizers[2]).keys()
    for name, tensor in (moments_to_book(whole, optimizers[2]) | whole.book_weights()).items():
        assert measure_difference((moments | second.book_weights())[name], tensor) < 1e-9, name


@every_form
def test_weights_go_to_a_backend_and_come_back_exactly(cell, backend):
    model = make_model(backend, cell=cell, num_layers=2, embedding_dim=3)
    before = model.book_weights()
    assert all(tensor.is_contiguous() for tensor in before.values())
    again = make_model(backend, cell=cell, seed=1, num_layers=2, embedding_dim=3)
    again.load_book_weights(before)
    assert all(torch.equal(tensor, before[name]) for name, tensor in again.book_weights().items())


@pytest.mark.parametrize("backend", BACKENDS["lstm"])
def test_weights_that_do_not_fit_are_named(backend):
    model = make_model(backend)
    with pytest.raises(ValueError, match=r"layers\.0\.W_hf"):
        model.load_book_weights(model.book_weights() | {"layers.0.W_hf": torch.zeros(4, 4)})
    with pytest.raises(ValueError, match=r"layers\.1\.W_xi"):
        model.load_book_weights(model.book_weights() | {"layers.1.W_xi": torch.zeros(5, 5)})


@pytest.mark.parametrize("cell", BACKENDS)
@pytest.mark.parametrize("init", INITS)
def test_a_seed_gives_every_backend_the_same_weights(init, cell):
    models = (RNNModel(ModelConfig(7, 5, 2, cell=cell), backend) for backend in BACKENDS[cell])
    first, *others = (initialized(model, init).book_weights() for model in models)
    for other in others:
        assert all(torch.equal(first[name], other[name]) for name in first)


def initialized(model: RNNModel, init: str) -> RNNModel:
    initialize(model, init, torch.Generator().manual_seed(0))
    return model


def test_d2ls_initialization_is_get_lstm_params_draw_for_draw():
    model = initialized(RNNModel(ModelConfig(7, 5), "nn"), "d2l")
    params = get_lstm_params(7, 5, "cpu", torch.Generator().manual_seed(0))
    assert all(torch.equal(a, b) for a, b in zip(model.book_weights().values(), params, strict=True))


@pytest.mark.parametrize("cell", [cell for cell in BACKENDS if "nn" in BACKENDS[cell]])
def test_the_second_bias_of_nn_stays_zero_in_training_where_it_merges(cell):
    model = make_model("nn", cell=cell)
    steps(model, build_optimizer(model, "adamw", 0.1, 0.01), counting_ids(), 0, 20)
    bias = model.layers[0].rnn.bias_hh_l0
    assert not bias[: 10 if cell == "gru" else None].any()
    assert cell != "gru" or bias[10:].all()


def test_a_form_that_does_not_exist_is_refused_with_those_that_do():
    with pytest.raises(
        BadInput, match=r"no gru on cell: there are lstm on scratch, nn, cell, fused; gru on scratch, nn;"
    ):
        RNNModel(ModelConfig(7, 5, cell="gru"), "cell")
