"""The fused layer computes d2l's LSTM and its gradient, in PyTorch and in C, at any size."""

import logging

import pytest
import torch
from helpers.targets import list_targets
from torch.autograd import gradcheck

from lstmlm.inspection.equality import measure_difference
from lstmlm.kernels.build import NoCompiler, build_library, find_compiler
from lstmlm.kernels.library import find_source
from lstmlm.layers import fused_native
from lstmlm.layers.fused import FusedLayer, FusedLSTM
from lstmlm.layers.loops import ScratchLSTM
from lstmlm.layers.weight_names import LSTM

SOURCE = find_source(fused_native.KERNEL)


def layers(D: int, H: int, dtype) -> tuple[ScratchLSTM, FusedLSTM]:
    scratch, fused = ScratchLSTM(D, H).to(dtype), FusedLSTM(D, H).to(dtype)
    # Recurrent weights of norm about 1: with larger ones the network is chaotic, and rounding grows from step to step
    book = {name: torch.randn_like(getattr(scratch, name)) for name in LSTM}
    book |= {name: tensor / H**0.5 for name, tensor in book.items() if name.startswith("W_h")}
    scratch.load_state_dict(book)
    fused.load_state_dict(fused.from_book(book))
    return scratch, fused


def outcome(layer, X, state) -> list[torch.Tensor]:
    """Values, last state and all gradients, of the first state too."""
    state = [part.clone().requires_grad_() for part in state]
    X = X.clone().requires_grad_() if X.is_floating_point() else X
    Y, after = layer(X, tuple(state))
    ((Y * Y.detach().sin()).sum() + (after[0] * 0.3).sum() + (after[1] * 0.7).sum()).backward()
    grads = layer.to_book({name: param.grad for name, param in layer.named_parameters()})
    return [Y.detach(), *(part.detach() for part in after), *grads.values(), *(part.grad for part in state)]


@pytest.mark.parametrize("ids", [True, False])
def test_the_gradient_is_that_of_finite_differences(ids):
    T, B, D, H = 3, 2, 4, 3
    X = torch.randint(D, (T, B)) if ids else torch.randn(T, B, D, dtype=torch.float64, requires_grad=True)
    shapes = ((D, 4 * H), (H, 4 * H), (4 * H,), (B, H), (B, H))
    rest = [torch.randn(*shape, dtype=torch.float64, requires_grad=True) for shape in shapes]
    assert gradcheck(FusedLayer.apply, (X, *rest))


@pytest.fixture(scope="module")
def portable_kernel(tmp_path_factory):
    """The kernel without this processor's own instructions."""
    try:
        return fused_native.open_kernel(build_library(SOURCE, tmp_path_factory.mktemp("kernels"), target=None))
    except NoCompiler as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("target", list_targets(fma=True))
def test_the_bits_of_the_states_do_not_depend_on_the_width_of_vectors_with_fma(tmp_path, monkeypatch, target):
    if fused_native.find_kernel() is None:
        pytest.skip("there is no C compiler")
    _, layer = layers(24, 50, torch.float32)
    X, state = torch.randint(24, (40, 7)), (torch.randn(7, 50), torch.randn(7, 50))
    Y, (H, C) = layer(X, state)
    other = fused_native.open_kernel(build_library(SOURCE, tmp_path, target=target))
    monkeypatch.setattr(fused_native, "find_kernel", lambda: other)
    other_Y, (other_H, other_C) = layer(X, state)
    assert torch.equal(Y, other_Y) and torch.equal(H, other_H) and torch.equal(C, other_C)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("kernel", ["C", "portable C", "PyTorch"])
@pytest.mark.parametrize(("T", "B", "D", "H"), [(1, 1, 7, 5), (5, 3, 24, 24), (4, 11, 65, 64), (12, 50, 9, 100)])
def test_the_layer_is_d2ls_at_any_size_and_has_the_same_bits_each_time(
    request, monkeypatch, T, B, D, H, kernel, threads
):
    if kernel == "PyTorch":
        monkeypatch.setattr(fused_native, "can_run", lambda W: False)
    elif kernel == "portable C":
        portable = request.getfixturevalue("portable_kernel")
        monkeypatch.setattr(fused_native, "find_kernel", lambda: portable)
    elif fused_native.find_kernel() is None:
        pytest.skip("there is no C compiler")
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    scratch, fused = layers(D, H, torch.float32)
    state = (torch.randn(B, H), torch.randn(B, H))
    for X in (torch.randint(D, (T, B)), torch.randn(T, B, D)):
        for layer in (scratch, fused):
            layer.zero_grad()
        expected, first = outcome(scratch, X, state), outcome(fused, X, state)
        for ours, theirs in zip(first, expected, strict=True):
            assert measure_difference(ours, theirs) < 1e-5
        fused.zero_grad()
        assert all(torch.equal(a, b) for a, b in zip(outcome(fused, X, state), first, strict=True))


def test_the_kernel_gives_the_same_bits_with_any_number_of_threads_and_way_of_sharing(monkeypatch):
    if fused_native.find_kernel() is None:
        pytest.skip("there is no C compiler")
    T, B, D, H = 9, 60, 33, 100  # two strips of steps for the gradients of the weights
    fused, state, X = layers(D, H, torch.float32)[1], (torch.randn(B, H), torch.randn(B, H)), torch.randn(T, B, D)
    outcomes = []
    for threads, rows in ((1, 1), (2, 1), (2, 2), (3, 3), (3, 2)):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        monkeypatch.setattr(fused_native, "choose_row_blocks", lambda B, H, threads, rows=rows: rows)
        fused.zero_grad()
        outcomes.append(outcome(fused, X, state))
    assert all(torch.equal(a, b) for other in outcomes[1:] for a, b in zip(other, outcomes[0], strict=True))


@pytest.mark.parametrize("kernel", ["C", "PyTorch"])
def test_the_gradients_of_the_weights_are_the_same_where_nobody_asks_for_that_of_the_state(monkeypatch, kernel):
    if kernel == "PyTorch":
        monkeypatch.setattr(fused_native, "can_run", lambda W: False)
    elif fused_native.find_kernel() is None:
        pytest.skip("there is no C compiler")
    fused, X = layers(7, 24, torch.float32)[1], torch.randint(7, (4, 3))
    state = [torch.randn(3, 24) for _ in "HC"]
    params, asked = list(fused.parameters()), [part.clone().requires_grad_() for part in state]
    *wanted, dH, dC = torch.autograd.grad(fused(X, tuple(asked))[0].sin().sum(), [*params, *asked])
    unwanted = torch.autograd.grad(fused(X, tuple(state))[0].sin().sum(), params)
    assert all(torch.equal(a, b) and a.any() for a, b in zip(wanted, unwanted, strict=True)) and dH.any() and dC.any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_graph_that_is_kept_gives_the_same_gradient_again(dtype):
    fused = layers(7, 24, dtype)[1]
    Y, _ = fused(torch.randint(7, (4, 3)), (torch.randn(3, 24, dtype=dtype), torch.randn(3, 24, dtype=dtype)))
    once, again = (torch.autograd.grad(Y.sin().sum(), fused.W_h, retain_graph=True)[0] for _ in range(2))
    assert torch.equal(once, again) and once.any()


def test_without_a_compiler_one_line_is_logged_and_pytorch_computes(monkeypatch, caplog):
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CC", raising=False)
    fused_native.find_kernel.cache_clear()
    fused_native.log_reason.cache_clear()
    try:
        with caplog.at_level(logging.INFO, "lstmlm"):
            assert fused_native.find_kernel() is None and fused_native.find_kernel() is None
        assert [record.message for record in caplog.records] == [
            "backend=fused runs in PyTorch, without its kernel in C: no C compiler (cc, gcc, clang)"
        ]
    finally:
        fused_native.find_kernel.cache_clear()


def test_a_library_is_built_once_and_one_without_native_instructions_is_another(tmp_path):
    try:
        find_compiler()
    except NoCompiler:
        pytest.skip("there is no C compiler")
    made = build_library(SOURCE, tmp_path)
    written = made.stat().st_mtime_ns
    assert build_library(SOURCE, tmp_path) == made and made.stat().st_mtime_ns == written
    portable = build_library(SOURCE, tmp_path, target=None)
    assert portable != made and {path.name for path in tmp_path.iterdir()} == {made.name, portable.name}
    assert fused_native.open_kernel(portable)
