"""A batch in parts is the batch; bfloat16 is in the products alone, and what is kept is float32."""

import pytest
import torch
from helpers.command_line import SMALL_RUN, composed_config
from helpers.forms import every_form, make_model

from lstmlm.checkpoints import checkpoint
from lstmlm.inspection.equality import measure_difference
from lstmlm.layers import fused_bf16
from lstmlm.runs import prepare
from lstmlm.system.errors import BadInput
from lstmlm.training.backprop import back_propagate

SHAPES = pytest.mark.parametrize(("num_layers", "embedding_dim"), [(1, None), (2, 3)])


def result(model, parts, precision="float32", B=6):
    """The loss, the state after, and the gradients under the book's names, from a state that is not zero."""
    X = torch.randint(7, (B, 12), generator=torch.Generator().manual_seed(1))
    state = tuple(
        torch.linspace(-0.5, 0.5, part.numel()).view(part.shape).to(part) for part in model.begin_state(B, "cpu")
    )
    loss, after = back_propagate(model, X, X.roll(-1, 1), state, parts, precision)
    gradients = model.to_book({name: param.grad for name, param in model.trained().items()})
    return {"loss": loss, **{f"state {k}": part for k, part in enumerate(after)}, **gradients}


@every_form
@SHAPES
@pytest.mark.parametrize("parts", [2, 6])
def test_a_batch_in_parts_gives_loss_state_and_gradient_of_the_whole(cell, backend, num_layers, embedding_dim, parts):
    shape = {"cell": cell, "num_layers": num_layers, "embedding_dim": embedding_dim}
    whole, divided = (result(make_model(backend, **shape), count) for count in (1, parts))
    assert whole.keys() == divided.keys()
    for name in whole:
        assert measure_difference(divided[name], whole[name]) < 1e-10, name
        assert not divided[name].requires_grad


def test_a_run_in_parts_is_the_run(train, tmp_path):
    still = (*SMALL_RUN, "train.max_steps=10", "model.dropout=0")
    for parts in (1, 4):
        assert train(*still, f"train.micro_batches={parts}", f"hydra.run.dir={parts}")[0] == 0
    one, four = (checkpoint.load_checkpoint(tmp_path / name / "last.safetensors") for name in "14")
    assert one.tensors.keys() == four.tensors.keys()
    for name, tensor in one.weights.items():
        assert measure_difference(four.weights[name], tensor) < 1e-3, name


def test_parts_that_do_not_divide_the_batch_are_refused_in_one_line(train):
    code, _, err = train(*SMALL_RUN, "train.micro_batches=3")
    assert code == 2 and err.startswith("error: train.micro_batches: 16 lanes of a batch") and err.count("\n") == 1


@pytest.fixture
def emulated(monkeypatch):
    """Products in bfloat16 on every machine: backend=fused needs tiles for them."""
    monkeypatch.setenv("LSTMLM_TILES", "emulate")
    monkeypatch.delenv("LSTMLM_NATIVE", raising=False)
    if fused_bf16.find_kernel() is None:
        pytest.skip("there is no C compiler")


@every_form
@SHAPES
@pytest.mark.usefixtures("emulated")
def test_bfloat16_is_near_and_what_comes_of_it_is_float32(cell, backend, num_layers, embedding_dim):
    shape = {"cell": cell, "num_layers": num_layers, "embedding_dim": embedding_dim, "dtype": torch.float32}
    exact, rough = (result(make_model(backend, **shape), 2, precision) for precision in ("float32", "bf16"))
    assert {tensor.dtype for tensor in rough.values()} == {torch.float32} and rough["loss"] != exact["loss"]
    assert all((rough[name] - exact[name]).norm() < 0.05 * exact[name].norm() for name in exact)


def test_bfloat16_is_around_the_fused_layer_without_its_kernel_too(monkeypatch):
    """On a GPU: the loops in PyTorch."""
    monkeypatch.setattr("lstmlm.layers.fused_native.can_run", lambda W: False)
    monkeypatch.setattr("lstmlm.layers.fused_bf16.can_run", lambda W: False)
    monkeypatch.setattr("lstmlm.training.backprop.is_faster_in_float32", lambda model, device: False)
    test_bfloat16_is_near_and_what_comes_of_it_is_float32("lstm", "fused", 2, 3)


def test_without_tiles_the_fused_layer_computes_in_float32_bit_for_bit(monkeypatch):
    monkeypatch.setenv("LSTMLM_TILES", "0")
    exact, same = (result(make_model("fused", torch.float32), 1, precision) for precision in ("float32", "bf16"))
    assert all(torch.equal(exact[name], same[name]) for name in exact)


@pytest.mark.parametrize(
    ("tiles", "says"),
    [
        ("0", "computes in float32, which is faster here: "),
        ("emulate", "matrix tiles are emulated in C, which is slow"),
    ],
)
def test_a_run_of_the_fused_layer_says_once_how_bfloat16_is_computed(train, monkeypatch, tiles, says):
    monkeypatch.setenv("LSTMLM_TILES", tiles)
    monkeypatch.delenv("LSTMLM_NATIVE", raising=False)
    if tiles == "emulate" and fused_bf16.find_kernel() is None:
        pytest.skip("there is no C compiler")
    words = ("backend=fused", "train.precision=bf16", "device=cpu", "train.max_steps=4", "train.eval_every=4")
    code, out, err = train(*SMALL_RUN, *words)
    assert (code, err) == (0, "") and out.count("train.precision=bf16: ") == 1 and says in out


@pytest.mark.parametrize("backend", ["scratch", "nn"])
def test_a_run_in_bfloat16_learns_says_that_it_is_slower_here_and_keeps_float32(train, tmp_path, monkeypatch, backend):
    monkeypatch.setattr(fused_bf16, "has_tile_flags", lambda: False)
    words = (*SMALL_RUN, "train.max_steps=20", "train.lr=0.03", "train.precision=bf16", "device=cpu")
    code, out, err = train(*words, f"backend={backend}", "hydra.run.dir=run")
    assert (code, err) == (0, "") and "train.precision=bf16 is slower than float32 on a CPU" in out
    last = checkpoint.load_checkpoint(tmp_path / "run" / "last.safetensors")
    assert {tensor.dtype for name, tensor in last.tensors.items() if tensor.is_floating_point()} == {torch.float32}
    assert last.record["metrics"]["ppl/val"] < 30


@every_form
def test_every_backend_hands_on_float32_so_that_dropout_draws_the_same_for_all(cell, backend):
    layer = make_model(backend, torch.float32, cell=cell).layers[0]
    zeros = tuple(torch.zeros(2, 5) for _ in layer.init_state(2, 5, "cpu"))
    with torch.autocast("cpu", torch.bfloat16):
        Y, state = layer(torch.arange(6).view(3, 2), zeros)
    assert {Y.dtype, *(part.dtype for part in state)} == {torch.float32}


def test_in_float32_there_is_no_autocast(monkeypatch):
    monkeypatch.setattr(torch, "autocast", None)
    result(make_model("scratch"), 1)
    with pytest.raises(TypeError):
        result(make_model("scratch"), 1, "bf16")


def test_bfloat16_is_refused_where_it_cannot_be_had(monkeypatch):
    monkeypatch.setattr(prepare, "pick_device", lambda name: torch.device("mps"))
    with pytest.raises(BadInput, match=r"^train\.precision: bf16 is for cuda and cpu, this run is on mps"):
        prepare.prepare(composed_config("train.precision=bf16"))
