"""Locked dropout and weight drop: one draw for a whole window, means kept, nothing of it outside of training."""

import pytest
import torch
from helpers.command_line import SMALL_RUN, composed_config
from helpers.forms import every_form, make_model
from torch.nn.functional import cross_entropy

from lstmlm.checkpoints import checkpoint
from lstmlm.inspection.equality import measure_difference
from lstmlm.layers.registry import BACKENDS
from lstmlm.model.dropout import drop_elements, drop_locked
from lstmlm.model.model_config import ModelConfig
from lstmlm.system.dotted import under
from lstmlm.system.errors import BadInput
from lstmlm.text.lanes import Share
from lstmlm.training import trainer

RATES = {"locked_input": 0.2, "locked_between": 0.3, "locked_output": 0.4, "weight_drop": 0.5}


def seeded(seed: int = 5) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def training_model(backend: str = "scratch", **arguments):
    model = make_model(backend, **arguments)
    model.dropout_generator = seeded()
    return model.train()


# Locked


def test_a_locked_mask_is_the_same_at_all_steps_and_another_in_each_lane_and_window():
    first, second = (drop_locked(torch.ones(11, 3, 40), 0.5, generator) for generator in [seeded()] * 2)
    for window in (first, second):
        assert (window == window[0]).all()
        assert not torch.equal(window[0, 0], window[0, 1])
    assert not torch.equal(first, second)


@pytest.mark.parametrize("drop", [drop_elements, drop_locked])
def test_what_a_lane_drops_does_not_depend_on_the_number_of_processes(drop):
    whole = drop(torch.ones(5, 6, 7), 0.5, seeded())
    generators = [seeded() for _ in range(3)]
    parts = [drop(torch.ones(5, 2, 7), 0.5, generators[k], Share(k, 3)) for k in range(3)]
    assert torch.equal(torch.cat(parts, 1), whole)
    assert len({generator.get_state().numpy().tobytes() for generator in generators}) == 1


@pytest.mark.parametrize("drop", [drop_elements, drop_locked])
def test_what_is_kept_is_scaled_so_that_the_mean_stays(drop):
    Y = drop(torch.full((4, 100, 400), 3.0), 0.3, seeded())
    assert Y.unique().tolist() == pytest.approx([0, 3 / 0.7])
    assert abs((Y == 0).double().mean() - 0.3) < 0.01 and abs(Y.mean() - 3) < 0.05


@pytest.mark.parametrize("num_layers", [1, 3])
def test_between_layers_and_before_the_head_each_rate_has_its_place(num_layers):
    model = training_model(num_layers=num_layers, num_hiddens=200, locked_between=0.1, locked_output=0.4)
    outputs, _ = model.hidden_states(torch.randint(7, (8, 5)))
    shares = [(Y == 0).double().mean().item() for Y in outputs]
    assert shares == pytest.approx([0.1] * (num_layers - 1) + [0.4], abs=0.04)
    assert all(((Y == 0) == (Y[0] == 0)).all() for Y in outputs)


@every_form
def test_with_one_hot_inputs_a_lane_reads_nothing_where_a_dropped_character_stands(cell, backend):
    """A character that is kept brings its rows of W_x* over 1 - rate, one that is dropped a row of zeros."""
    model = training_model(backend, cell=cell, locked_input=0.5)
    plain, ids = make_model(backend, cell=cell).eval(), torch.randint(7, (3, 11))
    X = model.inputs(ids)
    weights, kept = plain.book_weights(), X.sum(0) > 0  # (B, V)
    assert X.shape == (11, 3, 7) and 0 < (X.sum(-1) == 0).sum() < 3 * 11
    model.dropout_generator = seeded()
    logits = model(ids)[0].view(11, 3, 7)
    for lane in range(3):
        rows = kept[lane, :, None] / 0.5  # of a character that the lane has not read: no matter
        thinned = {name: W * rows if name.startswith("layers.0.W_x") else W for name, W in weights.items()}
        plain.load_book_weights(thinned)
        torch.testing.assert_close(logits[:, lane], plain(ids[lane : lane + 1])[0])


def test_of_an_embedding_features_are_dropped():
    model = training_model(embedding_dim=50, locked_input=0.3)
    X = model.inputs(torch.randint(7, (8, 11)))
    assert X.shape == (11, 8, 50) and ((X == 0) == (X[0] == 0)).all()
    assert abs((X == 0).double().mean() - 0.3) < 0.06


# Weight drop


@every_form
def test_weight_drop_takes_entries_of_the_recurrent_matrices_alone(cell, backend):
    """The same as a layer whose W_h* have zeros, and the others over 1 - rate; at all steps, for all lanes."""
    model, plain = training_model(backend, cell=cell, weight_drop=0.5), make_model(backend, cell=cell)
    book, generator = plain.book_weights(), seeded()
    for name in [name for name in book if ".W_h" in name]:
        book[name] = book[name] * (torch.rand(5, 5, generator=generator, dtype=torch.float64) >= 0.5) * 2
    plain.load_book_weights(book)
    ids = torch.randint(7, (3, 11))
    torch.testing.assert_close(model(ids), plain.eval()(ids))
    assert measure_difference(model(ids)[0], plain(ids)[0]) > 1e-3  # the next window, another mask


@pytest.mark.parametrize("backend", BACKENDS["lstm"])
def test_with_all_recurrent_weights_dropped_the_output_stops_depending_on_the_hidden_state(backend):
    model, ids = training_model(backend, weight_drop=0.999), torch.randint(7, (3, 1))
    H, C = torch.randn(2, 1, 3, 5, dtype=torch.float64)
    assert torch.equal(model(ids, (H, C))[0], model(ids, (-H, C))[0])
    assert not torch.equal(model(ids, (H, C))[0], model(ids, (H, -C))[0])
    model.eval()
    assert not torch.equal(model(ids, (H, C))[0], model(ids, (-H, C))[0])


@every_form
def test_a_dropped_weight_gets_no_gradient_and_a_kept_one_does(cell, backend):
    model = training_model(backend, cell=cell, num_hiddens=6, weight_drop=0.5)
    ids, generator = torch.randint(7, (3, 11)), seeded()
    cross_entropy(model(ids)[0], ids.T.flatten()).backward()
    gradients = under("layers.0.", model.to_book({name: param.grad for name, param in model.trained().items()}))
    for name in [name for name in gradients if name.startswith("W_h")]:
        kept = torch.rand(6, 6, generator=generator, dtype=torch.float64) >= 0.5
        assert torch.equal(gradients[name] != 0, kept), name


# Training alone


@every_form
def test_outside_of_training_it_is_as_if_there_were_none(cell, backend):
    model, plain = (make_model(backend, cell=cell, num_layers=2, **rates) for rates in (RATES, {}))
    ids = torch.randint(7, (3, 11))
    assert not torch.equal(model.train()(ids)[0], plain(ids)[0])
    assert torch.equal(model.eval()(ids)[0], plain(ids)[0])


@pytest.mark.parametrize("rate", RATES)
def test_every_rate_does_something_and_draws_from_the_models_generator_alone(rate):
    model, ids = training_model("nn", num_layers=2, **{rate: 0.5}), torch.randint(7, (2, 6))
    before = torch.get_rng_state()
    first, second = model(ids)[0], model(ids)[0]
    assert not torch.equal(first, second) and torch.equal(torch.get_rng_state(), before)
    model.dropout_generator = seeded()
    assert torch.equal(model(ids)[0], first)


# Runs


def test_between_one_layer_and_nothing_is_refused():
    with pytest.raises(BadInput, match=r"model\.locked_between: has no effect with model\.num_layers=1: use model\.lo"):
        composed_config("model.locked_between=0.1")
    assert composed_config("model.locked_between=0.1", "model.num_layers=2").model.locked_between == 0.1


def test_a_run_with_every_rate_goes_on_bit_for_bit(train, tmp_path, monkeypatch):
    words = [*SMALL_RUN, "backend=nn", "model.num_layers=2", "train.max_steps=12", "train.eval_every=5"]
    words += [f"model.{name}={rate}" for name, rate in RATES.items()]
    assert train(*words, "hydra.run.dir=whole")[0] == 0
    step = trainer.Trainer.train_on_batch

    def interrupted(self, X, Y):
        if self.state.step == 7:
            raise KeyboardInterrupt
        step(self, X, Y)

    with monkeypatch.context() as patch:
        patch.setattr(trainer.Trainer, "train_on_batch", interrupted)
        assert train(*words, "train.save_every=3", "hydra.run.dir=run")[0] == 130
    assert train("resume=run")[0] == 0
    for name in ("best.safetensors", "last.safetensors"):
        ours, whole = (checkpoint.load_checkpoint(tmp_path / run / name) for run in ("run", "whole"))
        assert all(torch.equal(ours.tensors[key], tensor) for key, tensor in whole.tensors.items())
        assert {key: ours.record["model"][key] for key in RATES} == RATES


def test_a_checkpoint_from_before_these_rates_has_none(train, tmp_path):
    assert train(*SMALL_RUN, "train.max_steps=2", "hydra.run.dir=run")[0] == 0
    loaded = checkpoint.load_checkpoint(tmp_path / "run" / "last.safetensors")
    for name in RATES:
        del loaded.record["model"][name], loaded.record["config"]["model"][name]
    checkpoint.save_checkpoint(tmp_path / "old.safetensors", loaded.tensors, loaded.record)
    config = ModelConfig.from_record(checkpoint.load_checkpoint(tmp_path / "old.safetensors").record["model"])
    assert {getattr(config, name) for name in RATES} == {0.0}
    code, out, err = train("resume=old.safetensors", "train.max_steps=4", "hydra.run.dir=next")
    assert (code, err) == (0, "") and "resuming from step 2" in out
