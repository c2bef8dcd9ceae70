"""Steps and draws in C are those in numpy for all sizes, settings and compilers, and wherever a text is cut."""

import itertools
import logging

import numpy as np
import pytest
import torch
from helpers.draws import SETTINGS, VOCAB, every_setting
from helpers.forms import make_model
from helpers.targets import list_targets

from lstmlm.generation import native_stepper
from lstmlm.generation.from_model import ModelStepper, start_writer
from lstmlm.generation.native_stepper import NativeStepper, make_native_stepper
from lstmlm.generation.packing import MOST_INT8_ROWS
from lstmlm.generation.sampling import compute_distribution, draw
from lstmlm.generation.writer import Writer, write_pieces
from lstmlm.kernels.build import build_library
from lstmlm.kernels.library import find_source, open_library
from lstmlm.settings.sampling import WEIGHTS, SamplingSettings
from lstmlm.system.errors import BadInput

SMALL = [kind for kind in WEIGHTS if kind != "float32"]
needs_a_compiler = pytest.mark.usefixtures("kernel")


@pytest.fixture
def kernel():
    if native_stepper.find_kernel() is None:
        pytest.skip("there is no C compiler")


def model_of(num_layers: int, num_hiddens: int, vocab_size: int = 7, **arguments):
    sizes = {"num_layers": num_layers, "num_hiddens": num_hiddens, "vocab_size": vocab_size}
    return make_model("nn", torch.float32, **sizes, **arguments).eval()


def in_numpy(writer: Writer) -> Writer:
    writer.stepper.native = None
    return writer


def text(writer: Writer, length: int) -> list[str]:
    """What each sample gains."""
    return [
        "".join(sample) for sample in zip(*(gained for gained, _ in write_pieces(writer, VOCAB, length)), strict=True)
    ]


def some_state(num_layers: int, N: int, H: int) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(num_layers, 2, N, H)).astype(np.float32)


@needs_a_compiler
@pytest.mark.parametrize("vocab_size", [7, 66])
@pytest.mark.parametrize("N", [1, 2, 3, 16])
@pytest.mark.parametrize("num_hiddens", [1, 5, 24, 65, 100, 128])
@pytest.mark.parametrize(("num_layers", "embedding_dim"), [(1, None), (2, None), (3, 4)])
def test_steps_in_c_are_the_forward_and_the_steps_in_numpy(num_layers, embedding_dim, num_hiddens, N, vocab_size):
    model = model_of(num_layers, num_hiddens, vocab_size, embedding_dim=embedding_dim)
    ids, first = np.random.default_rng(0).integers(vocab_size, size=(6, N)), some_state(num_layers, N, num_hiddens)
    stepper = ModelStepper(model)
    logits, states = stepper.native.read(first, ids)
    with torch.no_grad():
        whole, end = model(torch.from_numpy(ids.T.copy()), tuple(torch.from_numpy(first[:, k]) for k in (0, 1)))
    tolerance = {"rtol": 0, "atol": 1e-5 * np.abs(logits).max()}
    np.testing.assert_allclose(logits.reshape(-1, vocab_size), whole.numpy(), **tolerance)
    np.testing.assert_allclose(states[-1], np.stack(end, 1), rtol=0, atol=1e-5 * np.abs(states).max())
    stepper.native, state = None, list(first)
    for own, column in zip(logits, ids, strict=True):
        row, state = stepper.step(column, state)
        np.testing.assert_allclose(own, row, **tolerance)
    np.testing.assert_allclose(states[-1], np.array(state), rtol=0, atol=1e-5 * np.abs(states).max())


def steps_of(model, kind: str) -> NativeStepper:
    """The steps in C with the weights of a model in another format."""
    book = {name: tensor.numpy() for name, tensor in model.book_weights().items()}
    return make_native_stepper("lstm", book, model.config.num_layers, kind)


def round_model(model, kind: str):
    """The model with its layers' matrices as the format has them: nearest bfloat16, or integers times a scale."""
    book = model.double().book_weights()
    for name, W in book.items():
        if "W_h" in name[9:] or (name[9:].startswith("W_x") and not name.startswith("layers.0.")):
            scale = W.abs().amax(0) / 127
            book[name] = W.bfloat16().double() if kind == "bf16" else (W / scale).round() * scale
    model.load_book_weights(book)
    return model


@needs_a_compiler
@pytest.mark.parametrize("N", [1, 2, 3, 16])
@pytest.mark.parametrize("num_hiddens", [1, 5, 24, 65])
@pytest.mark.parametrize(("num_layers", "embedding_dim"), [(1, None), (2, 4)])
@pytest.mark.parametrize("kind", SMALL)
def test_steps_with_small_weights_are_the_forward_of_the_rounded_weights(
    kind, num_layers, embedding_dim, num_hiddens, N
):
    """The hidden state is rounded too: to a step of 2^-15, or with int8 1/2047."""
    model = model_of(num_layers, num_hiddens, embedding_dim=embedding_dim)
    ids, first = np.random.default_rng(0).integers(7, size=(6, N)), some_state(num_layers, N, num_hiddens)
    first[:, 0] = np.tanh(first[:, 0])  # a hidden state is between -1 and 1
    logits, states = steps_of(model, kind).read(first, ids)
    given = tuple(torch.from_numpy(first[:, k]).double() for k in (0, 1))
    with torch.no_grad():
        whole, end = round_model(model, kind)(torch.from_numpy(ids.T.copy()), given)
    tolerance = 1e-4 if kind == "bf16" else 3e-3
    np.testing.assert_allclose(logits.reshape(-1, 7), whole.numpy(), rtol=0, atol=tolerance * np.abs(logits).max())
    np.testing.assert_allclose(states[-1], np.stack(end, 1), rtol=0, atol=tolerance * np.abs(states).max())


@needs_a_compiler
@pytest.mark.parametrize("kind", SMALL)
def test_small_weights_give_other_logits(kind):
    model, ids = model_of(1, 24), np.zeros((3, 1), np.int64)
    first = np.zeros((1, 2, 1, 24), np.float32)
    assert not np.array_equal(steps_of(model, kind).read(first, ids)[0], ModelStepper(model).native.read(first, ids)[0])


@needs_a_compiler
@pytest.mark.parametrize("kind", WEIGHTS)
@pytest.mark.parametrize("num_hiddens", [5, 64, 100])
def test_a_step_is_the_same_to_the_last_bit_alone_or_beside_others_and_however_the_text_is_cut(num_hiddens, kind):
    native = steps_of(model_of(2, num_hiddens, 66), kind)
    ids, first = np.random.default_rng(0).integers(66, size=(9, 7)), some_state(2, 7, num_hiddens)
    logits, states = native.read(first, ids)
    for cut in (1, 4):
        start, between = native.read(first, ids[:cut])
        rest, _ = native.read(between[-1], ids[cut:])
        assert np.array_equal(np.concatenate([start, rest]), logits)
    for k in range(7):
        alone, its_states = native.read(first[:, :, k : k + 1], ids[:, k : k + 1])
        assert np.array_equal(alone[:, 0], logits[:, k]) and np.array_equal(its_states[:, :, :, 0], states[:, :, :, k])


def odd_logits() -> np.ndarray:
    """Equal ones, far ones, none, and what is no number."""
    logits = np.random.default_rng(0).normal(size=(3000, 9), scale=3).astype(np.float32)
    logits[500:1000] = logits[500:1000].round()
    logits[1000:1100] *= 1e30
    logits[1100:1200] = 0
    logits[1200:1300, 4] = np.nan
    logits[1300:1400, 5] = np.inf
    logits[1400:1500, 6] = -np.inf
    return logits


MORE_SETTINGS = {
    "one of many": SamplingSettings(temperature=1, top_k=1),
    "more than all": SamplingSettings(temperature=1, top_k=2**70, top_p=1e-30),
    "on the edge": SamplingSettings(temperature=1, top_p=0.5),  # of eight that are equally probable
    "hot": SamplingSettings(temperature=1e308, min_p=0.999),
    "icy": SamplingSettings(temperature=5e-324),
    "argmax, penalized": SamplingSettings(temperature=0, repetition_penalty=50, penalty_window=1),
    "favoured": SamplingSettings(temperature=1, repetition_penalty=0.2, penalty_window=3),
}


@needs_a_compiler
@pytest.mark.filterwarnings("ignore:invalid value encountered", "ignore:overflow encountered")
@pytest.mark.parametrize("unk", [None, 0, 8])
@pytest.mark.parametrize("settings", [*SETTINGS.values(), *MORE_SETTINGS.values()], ids=[*SETTINGS, *MORE_SETTINGS])
def test_a_draw_in_c_is_the_draw_in_numpy(settings, unk):
    generator, before = np.random.default_rng(2), odd_logits()
    N, V = before.shape
    seen, numbers = generator.integers(V, size=(6, N)), generator.random((1, N))
    numbers[0, ::50] = 0
    native = ModelStepper(model_of(1, 1, V)).native
    ids, logits, _ = native.draw(np.zeros((1, 2, N, 1)), before, seen, numbers, unk, settings)
    masked = before.astype(np.float64)
    if unk is not None:
        masked[:, unk] = -np.inf
    expected = draw(compute_distribution(masked, seen[-settings.penalty_window :], settings), numbers[0])
    assert np.array_equal(ids[0], expected) and np.array_equal(logits[0], before, equal_nan=True)
    assert len(set(ids[0])) > 5


@needs_a_compiler
@every_setting
def test_thousands_of_characters_are_those_of_numpy(settings):
    model = model_of(2, 24)
    writers = [start_writer(model, VOCAB, "ab", settings, list(range(16))) for _ in range(2)]
    assert text(writers[0], 250) == text(in_numpy(writers[1]), 250)


@needs_a_compiler
@every_setting
@pytest.mark.parametrize("asked", [1, 2, 30, 100])
def test_characters_drawn_beyond_those_read_leave_no_trace(asked, settings):
    """Neither on the writer, nor on its copies, at whatever character its reader stops."""
    model = model_of(2, 24)
    whole = text(start_writer(model, VOCAB, "ab", settings, [5, 6]), 150)
    writer = start_writer(model, VOCAB, "ab", settings, [5, 6])
    first = np.concatenate([drawn.ids[None] for drawn in itertools.islice(writer.write(), asked)])
    place = writer.copy()
    for one in (writer, place):
        assert [VOCAB.decode(first[:, k]) + more for k, more in enumerate(text(one, 150 - asked))] == whole
    assert np.array_equal(writer.state, place.state)


@needs_a_compiler
@every_setting
def test_reading_and_writing_in_turns_is_as_in_numpy(settings):
    model = model_of(2, 24)
    writers = [start_writer(model, VOCAB, "ab", settings, [5, 6, 7]) for _ in range(2)]
    turns = [[], []]
    for writer, its_turns in zip((writers[0], in_numpy(writers[1])), turns, strict=True):
        for length in (1, 70, 0, 30):
            its_turns += text(writer, length)
            writer.read(VOCAB.encode("cab\nd"))
    assert turns[0] == turns[1]


@needs_a_compiler
def test_a_copy_of_a_writer_holds_one_state_and_not_those_of_a_block():
    writer = start_writer(model_of(2, 24), VOCAB, "ab", SamplingSettings(), [5])
    text(writer, 100)
    place = writer.copy()
    assert place.state.base is None and place.logits.base is None


@needs_a_compiler
@pytest.mark.parametrize("target", list_targets())
def test_the_bits_of_three_thousand_characters_do_not_depend_on_the_instructions(tmp_path, target):
    """Vectors of 4, 8 and 16 numbers, as far as this processor has them."""
    model = model_of(2, 65, 66)
    book = {name: tensor.numpy() for name, tensor in model.book_weights().items()}
    library = open_library(
        build_library(find_source(native_stepper.KERNEL), tmp_path, target=target), native_stepper.FUNCTIONS
    )
    first, numbers = some_state(2, 3, 65), np.random.default_rng(0).random((1000, 3))
    arguments = (first, np.zeros((3, 66)), np.zeros((0, 3), int), numbers, 0, SETTINGS["all"])
    for kind in WEIGHTS:
        other = NativeStepper(library, book, 2, kind)
        for ours, theirs in zip(other.draw(*arguments), steps_of(model, kind).draw(*arguments), strict=True):
            assert np.array_equal(ours, theirs), kind


def test_without_a_compiler_the_text_is_the_same_and_nothing_is_logged(monkeypatch, caplog):
    expected = text(start_writer(model_of(2, 24), VOCAB, "ab", SETTINGS["all"], [5]), 100)
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CC", raising=False)
    native_stepper.find_kernel.cache_clear()
    try:
        with caplog.at_level(logging.DEBUG, "lstmlm"):
            writer = start_writer(model_of(2, 24), VOCAB, "ab", SETTINGS["all"], [5])
            assert writer.stepper.native is None and text(writer, 100) == expected
        assert not caplog.records
    finally:
        native_stepper.find_kernel.cache_clear()


def test_other_cells_and_doubles_are_stepped_in_numpy():
    for model in (make_model("nn"), make_model("nn", torch.float32, cell="gru")):
        assert ModelStepper(model).native is None


@pytest.mark.parametrize("kind", SMALL)
def test_small_weights_are_refused_where_the_steps_in_c_cannot_take_them(monkeypatch, kind):
    whole = {"W_hq": np.zeros((MOST_INT8_ROWS + 1, 1), np.float32)}
    refusals = [("gru", whole, "the model is of cell gru"), ("lstm", {"W_hq": np.zeros((1, 1))}, "are float64")]
    monkeypatch.setenv("LSTMLM_NATIVE", "0")
    native_stepper.find_kernel.cache_clear()
    try:
        for cell, weights, says in [*refusals, ("lstm", whole, "needs the steps in C")]:
            with pytest.raises(BadInput, match=rf"^--weights: {kind} .*{says}.*: leave --weights out$"):
                make_native_stepper(cell, weights, 1, kind)
    finally:
        native_stepper.find_kernel.cache_clear()


@needs_a_compiler
def test_int8_is_refused_where_a_sum_could_be_too_large():
    with pytest.raises(BadInput, match=f"^--weights: int8 is for at most {MOST_INT8_ROWS} hidden units"):
        make_native_stepper("lstm", {"W_hq": np.zeros((MOST_INT8_ROWS + 1, 1), np.float32)}, 1, "int8")
