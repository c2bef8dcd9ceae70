"""The page computes and draws what the program does, under Node; and nothing in it can be made to run by a stranger."""

import json
import re

import numpy as np
import pytest
import torch
from helpers.command_line import ROOT
from helpers.draws import SETTINGS, VOCAB
from helpers.forms import make_model
from helpers.pages import CLOSE, Elements, assert_texts_equal, draw_texts, find_hashes, run_engine

from lstmlm.evaluation.scoring import iterate_char_nats
from lstmlm.inspection.page import choose_weights, make_page, merge_gates, to_bytes
from lstmlm.layers.weight_names import WEIGHT_NAMES
from lstmlm.model.model_config import ModelConfig
from lstmlm.model.rnn_model import RNNModel
from lstmlm.settings.sampling import SamplingSettings
from lstmlm.system.errors import BadInput
from lstmlm.text.oov import find_nearest
from lstmlm.text.vocab import ByteVocab, Vocab

THREE = [SamplingSettings(temperature=1), SamplingSettings(temperature=0.7, top_p=0.9), SETTINGS["all"]]
HOSTILE = "</script><script>alert(1)</script><!--<script>\"'&]]>\u2028</title><img src=x onerror=alert(1)>"
every_cell = pytest.mark.parametrize("cell", WEIGHT_NAMES)


def make_small(cell: str = "lstm", vocab: Vocab = VOCAB, **arguments) -> RNNModel:
    """A model in float32 whose next characters are neither certain nor all alike."""
    model = make_model("scratch", torch.float32, vocab_size=len(vocab), cell=cell, **arguments)
    with torch.no_grad():
        model.W_hq *= 2
    return model


def largest_difference(logits: list, model: RNNModel, ids: list[int]) -> float:
    with torch.no_grad():
        expected = model(torch.tensor([ids]))[0].numpy()
    return float(np.abs(np.array(logits) - expected).max())


# The same function, the same draw


@every_cell
def test_the_text_of_a_page_is_that_of_generate(cell, tmp_path):
    model, length = make_small(cell, num_hiddens=9, num_layers=2), 2000 if cell == "lstm" else 500
    texts = [text for one in THREE for text in draw_texts(model, VOCAB, "abc\n", one, [0, 1, 2, 3, 4], length)]
    assert_texts_equal(run_engine(make_page(model, VOCAB, ""), tmp_path, texts=texts)["texts"])


@pytest.mark.slow
@every_cell
def test_the_text_of_a_page_of_a_large_model_is_that_of_generate(cell, tmp_path):
    model = make_small(cell, num_hiddens=256, num_layers=2, embedding_dim=None if cell == "lstm" else 30)
    texts = [text for one in THREE for text in draw_texts(model, VOCAB, "abc\n", one, [0, 1, 2, 3, 4], 2000)]
    assert_texts_equal(run_engine(make_page(model, VOCAB, ""), tmp_path, texts=texts)["texts"])


def test_every_setting_of_a_draw_means_the_same_in_a_page(tmp_path):
    model = make_small(num_hiddens=10)
    texts = [
        text for settings in SETTINGS.values() for text in draw_texts(model, VOCAB, "e", settings, [2**40 + 3], 300)
    ]
    assert_texts_equal(run_engine(make_page(model, VOCAB, ""), tmp_path, texts=texts)["texts"])


@every_cell
@pytest.mark.parametrize("form", [{}, {"num_hiddens": 17, "num_layers": 3, "embedding_dim": 3}], ids=str)
def test_logits_are_those_of_the_model_in_webassembly_and_in_javascript(cell, form, tmp_path):
    model = make_small(cell, **form)
    ids = torch.randint(len(VOCAB), (200,)).tolist()
    (both,) = run_engine(make_page(model, VOCAB, ""), tmp_path, read=[ids])["read"]
    assert [largest_difference(logits, model, ids) < CLOSE for logits in both] == [True, True]


def test_uniform_numbers_are_those_of_torch(tmp_path):
    seeds = [0, 1, 2**31, 2**32 + 5, 2**63 - 1]
    answer = run_engine(make_page(make_small(), VOCAB, ""), tmp_path, uniforms=[[str(seed), 700] for seed in seeds])
    for seed, numbers in zip(seeds, answer["uniforms"], strict=True):
        assert numbers == torch.rand(700, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)).tolist()


@every_cell
def test_a_text_can_be_continued_from_any_place_and_surprisals_are_those_of_score(cell, tmp_path):
    model = make_small(cell)
    ids = torch.randint(1, len(VOCAB), (150,)).tolist()
    places = [150, 3, 64, 65, 128, 1, 127, 150, 149]
    answer = run_engine(make_page(model, VOCAB, ""), tmp_path, seek=[{"ids": ids, "places": places}])["seek"][0]
    expected = [model(torch.tensor([ids[:place]]))[0][-1] for place in places]
    assert np.abs(np.array(answer["logits"]) - torch.stack(expected).detach().numpy()).max() < CLOSE
    straight = model.hidden_states(torch.tensor([ids[:149]]))[1][0][0, 0].detach().numpy()
    assert np.abs(np.array(answer["hidden"]) - straight).max() < CLOSE
    nats = torch.cat(list(iterate_char_nats(model, torch.tensor(ids)))).numpy()
    assert answer["surprisals"][0] is None
    np.testing.assert_allclose(answer["surprisals"][1:], nats, atol=CLOSE)


# Characters


def test_bytes_are_decoded_and_encoded_as_by_the_program(tmp_path):
    vocab, chance = ByteVocab(), np.random.default_rng(0)
    texts = ["héllo\n", "日本語 🙂 עברית", "".join(map(chr, range(1, 300)))]
    pieces = [0xC3, 0xA9, 0xE2, 0x82, 0xAC, 0xF0, 0x9F, 0x99, 0x82, 0xED, 0xA0, 0xF4, 0x90, 0x41, 0xFF, 0xE0, 0x80]
    ids = [chance.choice(pieces, 400).tolist(), chance.integers(256, size=400).tolist(), list("é🙂€".encode())]
    ids = [[*one, 10] for one in ids]  # so that no character is left half read
    answer = run_engine(make_page(make_small(vocab=vocab), vocab, ""), tmp_path, encode=texts, decode=ids)
    assert answer["encode"] == [vocab.encode(text).tolist() for text in texts]
    in_utf_16 = [vocab.decode(one).encode("utf-16-le", "surrogatepass") for one in ids]
    assert answer["decode"] == [np.frombuffer(text, "<u2").tolist() for text in in_utf_16]


def test_a_page_of_any_alphabet_reads_and_writes_it(tmp_path):
    vocab = Vocab.from_tokens(["<unk>", "\n", *"שלום مرحبا你好🙂\u0301\u202e\ud800"])
    text = vocab.decode(range(1, len(vocab)))
    answer = run_engine(make_page(make_small(vocab=vocab), vocab, ""), tmp_path, encode=[text])
    assert answer["encode"] == [list(range(1, len(vocab)))]


def test_what_the_alphabet_lacks_is_read_as_the_nearest_or_left_out(tmp_path):
    vocab = Vocab.from_tokens(["<unk>", *"abcDe'\" -\n"])
    typed = "ABdé\u2019\u201c\u201d\u2014\u00a0Ω"
    answer = run_engine(make_page(make_small(vocab=vocab), vocab, ""), tmp_path, encode=[typed])
    assert answer["encode"] == [vocab.encode("".join(find_nearest(vocab, char) or "" for char in typed)).tolist()]


# The forms of the weights


@pytest.mark.parametrize("form", ["bf16", "int8"])
def test_rounded_weights_are_those_that_the_form_can_hold(form, tmp_path):
    model = make_small(num_hiddens=12, num_layers=2, embedding_dim=5)
    page = make_page(model, VOCAB, "", form)
    book = model.book_weights()
    for name, W in book.items():
        if W.dim() == 2 and form == "bf16":
            book[name] = W.bfloat16().float()
        elif W.dim() == 2:
            scale = W.abs().amax(0) / 127
            book[name] = (W / scale).round() * scale
    model.load_book_weights(book)
    ids = torch.randint(len(VOCAB), (60,)).tolist()
    assert largest_difference(run_engine(page, tmp_path, read=[ids])["read"][0][0], model, ids) < CLOSE


def test_a_column_of_zeros_has_a_scale_too():
    assert to_bytes(torch.zeros(3, 2), "int8") == bytes(2 * 4 + 3 * 2)


def test_a_file_of_2_x_256_is_at_most_5_mb_and_in_int8_1_5_mb():
    vocab = Vocab.from_tokens(["<unk>", *map(chr, range(32, 97))])
    model = RNNModel(ModelConfig(len(vocab), 256, 2))
    assert choose_weights(model) == "float32"
    assert len(make_page(model, vocab, "").encode()) <= 5_000_000
    assert len(make_page(model, vocab, "", "int8").encode()) <= 1_500_000


def test_large_models_are_stored_in_bf16_unless_asked_otherwise():
    assert choose_weights(RNNModel(ModelConfig(60, 384, 2))) == "bf16"


def test_an_unknown_form_is_bad_input():
    with pytest.raises(BadInput, match="weights: no such form 'fp4': choose one of float32, bf16, int8"):
        make_page(make_small(), VOCAB, "", "fp4")


@every_cell
def test_every_weight_stands_in_the_page_once(cell):
    book = make_small(cell, num_layers=2, embedding_dim=3).book_weights()
    assert sum(t.numel() for t in merge_gates(cell, book, 2).values()) == sum(t.numel() for t in book.values())


# A stranger's checkpoint


def test_hostile_strings_cannot_leave_their_place():
    plain = make_page(make_small(), VOCAB, "a title", prompt="a prompt")
    vocab = Vocab.from_tokens([HOSTILE, "\n", *"<>&\"'/"])
    hostile = make_page(make_small(vocab=vocab), vocab, HOSTILE, prompt=HOSTILE)
    before, after = Elements(plain), Elements(hostile)
    assert [tag for tag, _ in after.tags] == [tag for tag, _ in before.tags]
    assert after.title.strip() == HOSTILE
    model = json.loads(re.search(r'type="application/json">(.*?)</script>', hostile, re.DOTALL)[1])
    assert (model["title"], model["prompt"], model["vocab"]) == (HOSTILE, HOSTILE, vocab.idx_to_token)


def test_the_policy_allows_the_scripts_of_the_page_and_no_request():
    page = make_page(make_small(), VOCAB, HOSTILE)
    tags = Elements(page).tags
    policy = next(a["content"] for tag, a in tags if a.get("http-equiv") == "Content-Security-Policy")
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))

    assert set(rules["script-src"].split()) == find_hashes(page, "script") | {"'wasm-unsafe-eval'"}
    assert set(rules["style-src"].split()) == find_hashes(page, "style")
    assert len(find_hashes(page, "script")) == 2
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert rules["img-src"] == "data:"
    links = [a[name] for _, a in tags for name in ("src", "href") if name in a]
    assert all(link.startswith("data:") for link in links)


def test_scripts_make_no_markup_of_strings_and_know_no_network():
    scripts = "\n".join(path.read_text() for path in (ROOT / "lstmlm" / "inspection" / "assets").glob("*.js"))
    for forbidden in ("innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval(", "new Function", "fetch("):
        assert forbidden not in scripts
    for forbidden in ("XMLHttpRequest", "WebSocket", "http:", "https:", "import(", "localStorage", "</script"):
        assert forbidden not in scripts


# The command


def test_the_command_writes_a_page_of_the_run(run_directory, command, tmp_path):
    out = tmp_path / "model.html"
    code, told, _ = command("page", str(run_directory), "--out", str(out), "--prompt", "The sea", "--weights", "int8")
    assert code == 0
    assert told == f"{out}: {out.stat().st_size / 1e6:.1f} MB, weights in int8: open it in a browser\n"
    page = out.read_text(encoding="utf-8")
    assert Elements(page).title.strip() == "tide clock"
    assert '"prompt":"The sea"' in page


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["--out", "nowhere/model.html"], "--out: no such folder: nowhere: make it first"),
        (["--prompt", "Ω"], "--prompt: character '\\u03a9' (U+03A9) at position 0 is not in the vocabulary: "),
    ],
    ids=["folder", "prompt"],
)
def test_a_mistake_is_one_line_and_writes_nothing(run_directory, command, tmp_path, monkeypatch, words, error):
    monkeypatch.chdir(tmp_path)
    code, _, told = command("page", str(run_directory), *words)
    assert code == 2
    assert told.startswith(f"error: {error}")
    assert told.count("\n") == 1
    assert not list(tmp_path.iterdir())
