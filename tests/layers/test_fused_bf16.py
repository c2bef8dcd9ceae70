"""backend=fused in bfloat16: the emulation is what the tiles do, and a layer is near float32 within bounds."""

import numpy as np
import pytest
import torch
from helpers.targets import list_targets

from lstmlm.kernels.build import build_library
from lstmlm.kernels.library import find_source, open_library
from lstmlm.layers import fused, fused_bf16
from lstmlm.layers.fused import FusedLSTM
from lstmlm.layers.fused_native import address_of

# Relative, of the norms: what was measured is 0.001 to 0.005 at initial weights
NEAR = 0.02
# (D, H, B, T, dense inputs): multiples of a tile, and less and more than one
SHAPES = [(7, 20, 3, 5, False), (7, 20, 3, 5, True), (40, 96, 33, 4, True), (9, 64, 16, 6, False), (1, 1, 1, 1, True)]
every_shape = pytest.mark.parametrize(("D", "H", "B", "T", "dense"), SHAPES)


@pytest.fixture(autouse=True)
def emulated(monkeypatch):
    monkeypatch.setenv("LSTMLM_TILES", "emulate")
    monkeypatch.delenv("LSTMLM_NATIVE", raising=False)
    if fused_bf16.find_kernel() is None:
        pytest.skip("there is no C compiler")


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def multiply(kernel, A: torch.Tensor, B: torch.Tensor, emulated: bool = True) -> torch.Tensor:
    """A (16, K) times B (K, 16 columns), K a multiple of 32, by the kernel's tiles; in bfloat16."""
    tiles, count = A.shape[1] // 32, B.shape[1] // 16
    of_A = A.bfloat16().view(16, tiles, 32).transpose(0, 1).contiguous()
    of_B = B.bfloat16().view(tiles, 16, 2, count, 16).permute(0, 3, 1, 4, 2).contiguous()
    sums = torch.full((count, 16, 16), float("nan"))
    kernel.tile_product(address_of(of_A), address_of(of_B), tiles, count, address_of(sums), emulated)
    return sums.transpose(0, 1).reshape(16, -1)


def sum_in_two_chains(A: torch.Tensor, B: torch.Tensor) -> torch.Tensor:
    """The same, one number at a time: even and odd k in turns, for each 32 of them. Products are exact in float32."""
    a, b = A.bfloat16().float().numpy(), B.bfloat16().float().numpy()
    total = np.zeros((16, b.shape[1]), np.float32)
    for first in range(0, a.shape[1], 32):
        chains = [np.zeros_like(total), np.zeros_like(total)]
        for k in range(first, first + 32):
            chains[k % 2] = chains[k % 2] + a[:, k, None] * b[None, k]
        total = total + (chains[0] + chains[1])
    return torch.from_numpy(total)


@pytest.mark.parametrize("count", [1, 2, 3, 4])
@pytest.mark.parametrize("tiles", [1, 3])
def test_a_sum_of_tiles_is_two_chains_added_to_the_sum_bit_for_bit(tiles, count):
    A, B = random(16, 32 * tiles), random(32 * tiles, 16 * count, seed=1)
    assert torch.equal(multiply(fused_bf16.find_kernel(), A, B), sum_in_two_chains(A, B))


def test_numbers_below_the_normal_ones_are_zeros():
    A, B = torch.full((16, 32), 2.0**-127), torch.full((32, 16), 2.0**100)
    assert torch.equal(multiply(fused_bf16.find_kernel(), A, B), torch.zeros(16, 16))
    A, B = torch.full((16, 32), 2.0**-64), torch.full((32, 16), 2.0**-64)  # products, and sums of 16, are below
    assert torch.equal(multiply(fused_bf16.find_kernel(), A, B), torch.zeros(16, 16))


def test_what_is_no_number_stays_so():
    A = random(16, 32)
    A[3, 4] = float("nan")
    product = multiply(fused_bf16.find_kernel(), A, torch.ones(32, 16))
    assert product[3].isnan().all() and product[[0, 15]].isfinite().all()


def test_tiles_are_their_emulation_bit_for_bit(monkeypatch):
    if (obstacle := fused_bf16.find_obstacle()) is not None:
        pytest.skip(obstacle)
    A, B = random(16, 256), random(256, 64, seed=1)
    kernel = fused_bf16.find_kernel()
    assert torch.equal(multiply(kernel, A, B, emulated=False), multiply(kernel, A, B))
    for shape in SHAPES:
        monkeypatch.setenv("LSTMLM_TILES", "emulate")
        expected = run_layer(*shape)
        monkeypatch.delenv("LSTMLM_TILES")
        assert all(torch.equal(ours, theirs) for ours, theirs in zip(run_layer(*shape), expected, strict=True))


def run_layer(D: int, H: int, B: int, T: int, dense: bool, bf16: bool = True, lanes: slice = slice(None)):
    """Values and gradients of a layer, the same each time, of some of the B lanes: first those that have an axis of
    lanes, Y, H, C, dH, dC; the gradients of the weights; of dense X too."""
    layer = FusedLSTM(D, H)
    for k, param in enumerate(layer.parameters()):
        param.data = (0.3 if param.dim() == 1 else H**-0.5) * random(*param.shape, seed=k)
    ids = torch.randint(D, (T, B), generator=torch.Generator().manual_seed(3))
    X = random(T, B, D, seed=4) if dense else ids
    X = X[:, lanes].contiguous().requires_grad_(dense)
    state = [part[lanes].contiguous().requires_grad_() for part in (random(B, H, seed=5).tanh(), random(B, H, seed=6))]
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        Y, (H_T, C_T) = layer(X, tuple(state))
    ((Y * random(T, B, H, seed=7)[:, lanes]).sum() + H_T.sum() + C_T.square().sum()).backward()
    outcome = [Y, H_T, C_T, *(part.grad for part in state), *(param.grad for param in layer.parameters())]
    return [tensor.detach() for tensor in (outcome + [X.grad] * dense)]


@pytest.mark.parametrize(("D", "H", "B", "T", "dense"), SHAPES[:-1])  # one unit alone may lose more
def test_a_layer_is_near_float32(D, H, B, T, dense):
    exact, rough = (run_layer(D, H, B, T, dense, bf16) for bf16 in (False, True))
    for ours, theirs in zip(rough, exact, strict=True):
        assert not torch.equal(ours, theirs) and (ours - theirs).norm() < NEAR * theirs.norm()


@every_shape
def test_the_forward_is_that_of_rounded_factors_in_float64(D, H, B, T, dense):
    """Each step from the kernel's own state, so that only the order of the sums differs."""
    rounded = lambda tensor: tensor.bfloat16().double()  # noqa: E731
    W_x, W_h, b = H**-0.5 * random(D, 4 * H), H**-0.5 * random(H, 4 * H, seed=1), 0.3 * random(4 * H, seed=2)
    X = random(T, B, D, seed=4) if dense else torch.randint(D, (T, B), generator=torch.Generator().manual_seed(3))
    state = (random(B, H, seed=5).tanh(), random(B, H, seed=6))
    _, Hs, Cs = fused.run_forward(fused_bf16, X, W_x, W_h, b, state)
    for t in range(T):
        of_X = rounded(X[t]) @ rounded(W_x) if dense else W_x.double()[X[t]]  # one-hot rows select, in float32
        sums = of_X + b + rounded(Hs[t]) @ rounded(W_h)
        I, F, O, C_tilda = sums.chunk(4, 1)
        C = F.sigmoid() * Cs[t] + I.sigmoid() * C_tilda.tanh()
        torch.testing.assert_close(Cs[t + 1].double(), C, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(Hs[t + 1].double(), O.sigmoid() * C.tanh(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("B", [3, 16, 50])
def test_a_result_does_not_depend_on_the_threads(B, dense):
    """B of less than a block of rows, where threads divide the units, and of several."""
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found.append(run_layer(9, 70, B, 4, dense))
    finally:
        torch.set_num_threads(before)
    for other in found[1:]:
        assert all(torch.equal(ours, theirs) for ours, theirs in zip(other, found[0], strict=True))


@pytest.mark.parametrize("dense", [False, True])
def test_a_lane_is_the_same_alone_and_beside_others(dense):
    whole, alone = run_layer(9, 40, 20, 4, dense), run_layer(9, 40, 20, 4, dense, lanes=slice(17, 18))
    assert torch.equal(alone[0][:, 0], whole[0][:, 17])
    assert all(torch.equal(ours[0], theirs[17]) for ours, theirs in zip(alone[1:5], whole[1:5], strict=True))


@pytest.mark.parametrize("target", list_targets(fma=True))
def test_the_bits_do_not_depend_on_the_instructions(tmp_path, monkeypatch, target):
    expected = run_layer(9, 40, 20, 4, True)
    library = build_library(find_source(fused_bf16.KERNEL), tmp_path, target=target)
    kernel = open_library(library, fused_bf16.FUNCTIONS)
    monkeypatch.setattr(fused_bf16, "find_kernel", lambda: kernel)
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(run_layer(9, 40, 20, 4, True), expected, strict=True))


def test_ids_out_of_range_and_an_empty_batch_are_as_in_float32():
    says, zeros = "an id is out of range: there are 3 ids, from 0 on", (torch.zeros(1, 4), torch.zeros(1, 4))
    with pytest.raises(RuntimeError, match=says), torch.autocast("cpu", torch.bfloat16):
        FusedLSTM(3, 4)(torch.full((2, 1), 3), zeros)
    empty = run_layer(3, 4, 0, 2, True)
    assert empty[0].shape == (2, 0, 4) and all(not tensor.any() for tensor in empty[5:])
