"""Every backend takes the same ids, refuses the same, and lets the same NaN and infinities through."""

import copy
import math

import pytest
import torch
from helpers.forms import every_form, make_model

from lstmlm.layers import fused_native
from lstmlm.layers.contract import RecurrentLayer
from lstmlm.layers.registry import BACKENDS

T, B, D, H = 4, 3, 6, 5
LSTMS = BACKENDS["lstm"]


def zero_state(batch_size: int = B) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.zeros(batch_size, H), torch.zeros(batch_size, H)


@pytest.fixture(params=["C", "PyTorch"])
def both_forms_of_fused(request, monkeypatch):
    if request.param == "PyTorch":
        monkeypatch.setattr(fused_native, "can_run", lambda W: False)
    elif fused_native.find_kernel() is None:
        pytest.skip("there is no C compiler")


@pytest.mark.parametrize("wrong", [-1, D, 2**40])
@pytest.mark.parametrize("backend", LSTMS)
def test_an_id_out_of_range_is_refused(both_forms_of_fused, backend, wrong):
    ids = torch.zeros(T, B, dtype=torch.int64)
    ids[2, 1] = wrong
    with pytest.raises(RuntimeError, match=r"out of (range|bounds)"):
        LSTMS[backend](D, H)(ids, zero_state())


@pytest.mark.parametrize("dtype", [torch.uint8, torch.bool])
@pytest.mark.parametrize("backend", LSTMS)
def test_ids_of_another_type_are_refused(both_forms_of_fused, backend, dtype):
    with pytest.raises(RuntimeError, match=r"^ids are int64 or int32, not "):
        LSTMS[backend](D, H)(torch.zeros(T, B, dtype=dtype), zero_state())


@every_form
@pytest.mark.parametrize("embedding_dim", [None, 3])
def test_int32_ids_give_what_int64_ids_give(cell, backend, embedding_dim):
    model = make_model(backend, cell=cell, embedding_dim=embedding_dim)
    ids = torch.randint(model.config.vocab_size, (B, T))
    assert torch.equal(model(ids)[0], model(ids.int())[0])
    for wrong in (-1, model.config.vocab_size):  # an embedding would take -1 as the last row
        with pytest.raises(RuntimeError, match=r"out of (range|bounds)"):
            model(torch.full((B, T), wrong))


@pytest.mark.parametrize("X", [torch.zeros(T, B, D, dtype=torch.float64), torch.zeros(T, B, D - 1)])
@pytest.mark.parametrize("backend", LSTMS)
def test_dense_inputs_of_another_type_or_shape_are_refused(both_forms_of_fused, backend, X):
    with pytest.raises((RuntimeError, ValueError)):
        LSTMS[backend](D, H)(X, zero_state())


@pytest.mark.parametrize("X", [torch.zeros(0, B, dtype=torch.int64), torch.zeros(0, B, D)], ids=["ids", "dense"])
@pytest.mark.parametrize("backend", LSTMS)
def test_no_steps_are_refused(both_forms_of_fused, backend, X):
    with pytest.raises(RuntimeError):
        LSTMS[backend](D, H)(X, zero_state())


@pytest.mark.parametrize("X", [torch.zeros(T, 0, dtype=torch.int64), torch.zeros(T, 0, D)], ids=["ids", "dense"])
@pytest.mark.parametrize("backend", LSTMS)
def test_a_batch_of_none_gives_none_and_no_gradient(both_forms_of_fused, backend, X):
    layer = LSTMS[backend](D, H)
    Y, state = layer(X, zero_state(0))
    Y.sum().backward()
    assert Y.shape == (T, 0, H) and [part.shape for part in state] == [(0, H), (0, H)]
    assert not any(param.grad.any() for param in layer.parameters() if param.requires_grad)


# NaN and infinity


def make_layers(book: dict[str, torch.Tensor]) -> dict[str, RecurrentLayer]:
    layers = {backend: kind(D, H) for backend, kind in LSTMS.items()}
    for layer in layers.values():
        own = dict(layer.named_parameters())
        with torch.no_grad():
            for name, tensor in layer.from_book(book).items():
                own[name].copy_(tensor)
    return layers


def name_kinds(tensor: torch.Tensor) -> list[str]:
    """nan, inf or -inf, and `finite` for every other number."""
    return [repr(x) if not math.isfinite(x) else "finite" for x in tensor.flatten().tolist()]


def run_with(number: float, place: str, ids: bool) -> dict[str, tuple[list[torch.Tensor], list[torch.Tensor]]]:
    """Values, and gradients of the weights and states, on every backend, with this number in one place."""
    X = torch.arange(T * B).view(T, B) % D if ids else torch.randn(T, B, D)  # every id is there
    given = {"H": torch.randn(B, H), "C": torch.randn(B, H), "X": X}
    book = {name: tensor * 40 for name, tensor in LSTMS["scratch"](D, H).state_dict().items()}
    (given if place in given else book)[place].view(-1)[7 if place[:2] != "b_" else 3] = number
    found = {}
    for backend, layer in make_layers(book).items():
        state = [given[name].clone().requires_grad_() for name in "HC"]
        Y, after = layer(copy.copy(X), tuple(state))
        (Y.sum() + after[1].sum()).backward()
        own = {name: p.grad if p.grad is not None else torch.zeros_like(p) for name, p in layer.named_parameters()}
        found[backend] = ([Y.detach(), *(part.detach() for part in after)], [*layer.to_book(own).values()])
    return found


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", ["X", "H", "C", "W_xi", "W_xc", "W_hf", "W_hc", "b_o", "b_c"])
def test_nan_and_infinity_go_where_they_go_on_every_backend(both_forms_of_fused, place, number):
    """Values are of the same kind, number by number; of the gradient, only whether all of it is finite."""
    for ids in (False, True) if place[0] != "X" and place[:2] != "W_" else (False,):
        torch.manual_seed(1)
        found = run_with(number, place, ids)
        values, grads = found.pop("scratch")
        for others, other_grads in found.values():
            for ours, theirs in zip(others, values, strict=True):
                assert name_kinds(ours) == name_kinds(theirs)
                torch.testing.assert_close(ours.nan_to_num(), theirs.nan_to_num(), atol=1e-5, rtol=1e-4)
            assert all(g.isfinite().all() for g in grads) == all(g.isfinite().all() for g in other_grads)


@pytest.mark.parametrize("name", ["W_xf", "W_ho"])
def test_a_nan_in_a_weight_reaches_the_state_through_ids_on_every_backend(both_forms_of_fused, name):
    """Other backends multiply the whole matrix by a one-hot row; `fused` reads the rows of the ids that are there."""
    for values, grads in run_with(math.nan, name, ids=True).values():
        assert values[0][-1].isnan().any() and any(grad.isnan().any() for grad in grads)
