"""The draw: what the settings leave unchanged, what they fix, and that a text is the model's own."""

import pytest
import torch
from conftest import every_form, make_model

from lstmlm.backends import BACKENDS
from lstmlm.errors import BadInput
from lstmlm.sampling import check_temperature, draw, first_character, generate, probabilities, stream
from lstmlm.terminal import harmless
from lstmlm.vocab import Vocab

VOCAB = Vocab("aaabbc\nde")  # 6 characters and <unk>


def test_temperature_one_leaves_the_distribution_unchanged():
    logits = torch.randn(4, 9)
    assert torch.equal(probabilities(logits, 1.0), torch.softmax(logits.double(), -1))


def test_temperature_zero_is_argmax_and_small_ones_approach_it():
    logits = torch.stack([torch.randperm(9) for _ in range(4)]).float()
    assert torch.equal(probabilities(logits, 0).argmax(-1), logits.argmax(-1))
    assert (probabilities(logits, 0).max(-1).values == 1).all()
    for temperature in (1e-2, 1e-45, 5e-324):
        torch.testing.assert_close(probabilities(logits, temperature), probabilities(logits, 0))


def test_a_high_temperature_is_uniform():
    torch.testing.assert_close(probabilities(torch.randn(1, 8), 1e9)[0], torch.full((8,), 0.125).double())


def test_draws_follow_the_distribution():
    """Chi-square, 5 degrees of freedom: 20.5 is passed by one in a thousand fair seeds; the seed is fixed."""
    probs = torch.tensor([0.0, 0.4, 0.3, 0.15, 0.1, 0.04, 0.01], dtype=torch.float64)
    count = 20_000
    uniforms = torch.rand(count, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    drawn = draw(probs.expand(count, -1), uniforms).bincount(minlength=7)
    assert drawn[0] == 0
    assert ((drawn[1:] - count * probs[1:]) ** 2 / (count * probs[1:])).sum() < 20.5


def test_the_ends_of_the_uniform_draw_what_is_possible():
    probs = torch.tensor([[0.0, 0.5, 0.0, 0.5, 0.0]], dtype=torch.float64)
    assert draw(probs, torch.tensor([0.0], dtype=torch.float64)) == 1
    assert draw(probs, torch.tensor([1 - 2**-53], dtype=torch.float64)) == 3


@every_form
def test_streamed_is_batched_is_one_full_forward(cell, backend):
    model = make_model(backend, cell=cell, num_layers=2)
    text = generate(model, VOCAB, "ab", 30, 0.7, seed=3)
    batched = ["".join(chars) for chars in zip(*stream(model, VOCAB, "ab", 30, 0.7, [1, 2, 3, 4]), strict=True)]
    assert [generate(model, VOCAB, "ab", 30, 0.7, seed) for seed in (1, 2, 3, 4)] == ["ab" + one for one in batched]
    logits, _ = model(torch.from_numpy(VOCAB.encode(text))[None, :-1])
    logits[:, VOCAB.unk] = -torch.inf
    generator = torch.Generator().manual_seed(3)
    uniforms = torch.stack([torch.rand((), dtype=torch.float64, generator=generator) for _ in range(30)])
    assert VOCAB.decode(draw(probabilities(logits[1:], 0.7), uniforms)) == text[2:]


@pytest.mark.parametrize("cell", BACKENDS)
def test_every_backend_writes_the_same_text(cell):
    texts = {generate(make_model(backend, cell=cell), VOCAB, "ab", 200, 1.0, seed=0) for backend in BACKENDS[cell]}
    assert len(texts) == 1


def test_a_seed_fixes_the_text_and_another_changes_it():
    model = make_model("nn")
    assert generate(model, VOCAB, "a", 50, 1.0, 1) == generate(model, VOCAB, "a", 50, 1.0, 1)
    assert generate(model, VOCAB, "a", 50, 1.0, 1) != generate(model, VOCAB, "a", 50, 1.0, 2)


def test_unk_is_never_drawn():
    model = make_model("scratch")
    with torch.no_grad():
        model.b_q[VOCAB.unk] = 50.0
    for temperature in (0, 1.0):
        assert "<unk>" not in generate(model, VOCAB, "a", 50, temperature, 0)


def test_an_empty_prompt_reads_as_a_line_end_or_else_the_most_frequent_character():
    model = make_model("scratch")
    assert generate(model, VOCAB, "", 20, 1.0, 0) == generate(model, VOCAB, "\n", 20, 1.0, 0)[1:]
    assert first_character(Vocab("abb")) == "b"


def test_length_zero_is_the_prompt():
    assert generate(make_model("scratch"), VOCAB, "abc", 0, 1.0, 0) == "abc"


@pytest.mark.parametrize("temperature", [-1.0, float("nan"), float("inf")])
def test_a_temperature_that_means_nothing_is_refused(temperature):
    with pytest.raises(BadInput, match="temperature: must be 0"):
        check_temperature(temperature, "temperature")


def test_what_would_drive_a_terminal_is_escaped_and_the_rest_is_not():
    assert harmless("\x1b]0;x\x07\x9b\x7f\r\u202e") == "\\x1b]0;x\\x07\\x9b\\x7f\\r\\u202e"
    plain = "The tide,\n\tnaïve 中\u3000文 \N{WAVING HAND SIGN}"
    assert harmless(plain) == plain
