"""Weights for the documents of a label give what the model gives with the label at every character."""

import numpy as np
import pytest
import torch
from helpers.forms import every_form, make_model

from lstmlm.checkpoints.checkpoint import Checkpoint
from lstmlm.evaluation.dynamic import iterate_segments
from lstmlm.evaluation.scoring import evaluate_pieces, evaluate_windows, score_chars
from lstmlm.evaluation.stepped import SteppedModel
from lstmlm.generation import native_stepper
from lstmlm.generation.conditioning import condition_weights, make_stepper
from lstmlm.generation.guidance import GuidedStepper, normalize
from lstmlm.model.ensemble import Ensemble
from lstmlm.text.labels import FIRST_LABEL, add_labels
from lstmlm.text.vocab import BOUNDARY, Vocab, make_label_token

K = 3
VOCAB = Vocab("abcd", 0, [BOUNDARY, *map(make_label_token, "xyz")])
V = len(VOCAB)


def make_labelled(backend="nn", dtype=torch.float64, **arguments):
    return make_model(backend, dtype, vocab_size=V, num_labels=K, **arguments).eval()


def read_steps(stepper, ids):
    """The logits (n, V) after each of ids (n,)."""
    state, rows = None, []
    for idx in ids:
        logits, state = stepper.read(np.array([idx]), state)
        rows.append(logits[0])
    return np.stack(rows)


def copy_weights(model):
    return {name: tensor.numpy() for name, tensor in model.book_weights().items()}


@every_form
@pytest.mark.parametrize("shape", [{}, {"num_layers": 2}, {"num_layers": 2, "embedding_dim": 4}], ids=str)
def test_a_label_is_a_bias_of_the_first_layer(cell, backend, shape):
    model = make_labelled(backend, cell=cell, **shape)
    ids = VOCAB.encode(VOCAB.labels["y"] + "abcdabba")
    with torch.no_grad():
        expected, _ = model(torch.from_numpy(add_labels(ids, K, V))[None])
        plain, _ = model(torch.from_numpy(ids)[None])
    stepper = make_stepper(model.config, copy_weights(model), VOCAB, VOCAB.labels["y"])
    np.testing.assert_allclose(read_steps(stepper, ids), expected.numpy(), atol=1e-10)
    assert (plain - expected).abs().max() > 1e-3
    twin = make_labelled(backend, cell=cell, **shape)
    conditioned = condition_weights(copy_weights(model), int(ids[0]))
    twin.load_book_weights({name: torch.from_numpy(array) for name, array in conditioned.items()})
    torch.testing.assert_close(twin(torch.from_numpy(ids)[None])[0], expected, atol=1e-10, rtol=0)


def test_a_label_holds_from_its_symbol_to_the_next_one():
    ids = VOCAB.encode("a" + VOCAB.labels["z"] + "b" + BOUNDARY + VOCAB.labels["x"] + "cd")
    numbers = add_labels(ids, K, V) // V
    assert numbers.tolist() == [0, 3, 3, 3, 1, 1, 1]
    assert (add_labels(ids, K, V) % V == ids).all() and add_labels(ids, 0, V) is ids


@pytest.mark.parametrize("idx", [-1, V * (K + 1)])
def test_an_id_beyond_the_last_label_is_refused(idx):
    with pytest.raises(RuntimeError, match=f"id {idx} is out of range: there are {V * (K + 1)} ids"):
        make_labelled()(torch.tensor([[idx]]))


def make_pieces():
    texts = [("x", "abc"), ("z", "ddcbaabb"), ("y", ""), ("x", "bbbbb")]
    return [torch.from_numpy(VOCAB.encode(VOCAB.labels[label] + text + BOUNDARY)) for label, text in texts]


def score_by_hand(model, pieces):
    """The costs of all scored characters, piece by piece."""
    found = []
    for piece in pieces:
        inputs = torch.from_numpy(add_labels(piece.numpy(), K, V))
        with torch.no_grad():
            logits, _ = model(inputs[None, :-1])
        found.append(torch.nn.functional.cross_entropy(logits, piece[1:], reduction="none"))
    return torch.cat(found)


def test_documents_are_scored_with_their_labels_in_every_way_of_scoring():
    model, pieces = make_labelled(), make_pieces()
    expected = score_by_hand(model, pieces)
    torch.testing.assert_close(torch.cat(score_chars(model, pieces)), expected)
    torch.testing.assert_close(torch.cat(score_chars(Ensemble([model, model]), pieces)), expected)
    assert evaluate_pieces(model, pieces[1:2]).nats == pytest.approx(score_by_hand(model, pieces[1:2]).sum().item())
    assert evaluate_windows(model, pieces, 20).nats == pytest.approx(expected.sum().item())
    segments = torch.cat([nats for nats, _ in iterate_segments(model, pieces, 3)])
    torch.testing.assert_close(segments, expected)


@pytest.mark.parametrize("kind", ["bf16", "int8"])
def test_small_weights_score_documents_with_their_labels(kind):
    if native_stepper.find_kernel() is None:
        pytest.skip("there is no C compiler")
    model, pieces = make_labelled(dtype=torch.float32, num_layers=2), make_pieces()
    small = SteppedModel(Checkpoint(model.book_weights(), {"model": model.config.to_record()}), kind)
    expected = score_by_hand(model, pieces).double()
    torch.testing.assert_close(torch.cat(score_chars(small, pieces)), expected, atol=0.05, rtol=0)
    assert (torch.cat(score_chars(small, pieces)) - expected).abs().max() > 0


@every_form
@pytest.mark.parametrize("weight", [0.5, 3.0])
def test_guidance_moves_the_prediction_away_from_the_mean_over_the_labels(cell, backend, weight):
    model = make_labelled(backend, cell=cell)
    text = "abba"
    stepper = make_stepper(model.config, copy_weights(model), VOCAB, VOCAB.labels["z"], guidance=weight)
    assert isinstance(stepper, GuidedStepper)
    every = []
    for mark in VOCAB.labels.values():
        inputs = add_labels(VOCAB.encode(mark + text), K, V)
        with torch.no_grad():
            every.append(model(torch.from_numpy(inputs)[None])[0].log_softmax(1).numpy())
    mean = np.log(np.exp(np.stack(every)).mean(0))
    expected = normalize(every[2] + weight * (every[2] - mean))
    ids = VOCAB.encode(VOCAB.labels["z"] + text)
    np.testing.assert_allclose(read_steps(stepper, ids), expected, atol=1e-9)
    logits, state = stepper.read(ids[:3], None)
    np.testing.assert_allclose(logits[0], expected[2], atol=1e-9)
    np.testing.assert_allclose(stepper.step(ids[3:4], state)[0][0], expected[3], atol=1e-9)


def test_the_symbols_of_labels_are_where_models_look_for_them():
    marks = VOCAB.encode("".join(VOCAB.labels.values()))
    assert marks.tolist() == list(range(FIRST_LABEL, FIRST_LABEL + K))
