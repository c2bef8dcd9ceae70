"""Converted weights compute the function of the original; a file that is no plain state_dict is refused."""

import json
import re
import sys
import warnings
from collections import OrderedDict

import pytest
import torch
from helpers.command_line import composed_config, shell
from helpers.forms import make_model
from helpers.hostile_torch import good, hostile
from torch import nn

from lstmlm.checkpoints import checkpoint, torch_file
from lstmlm.checkpoints.from_torch import convert_torch_file
from lstmlm.evaluation.scoring import evaluate
from lstmlm.inspection.equality import measure_difference
from lstmlm.model.model_config import ModelConfig
from lstmlm.model.torch_weights import to_torch
from lstmlm.system.errors import BadInput

MODULES = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}
CHARS = "\n abcde"
TOO_OLD = tuple(int(part) for part in torch.__version__.split(".")[:2]) < (2, 10)
WHY_NOT = "lstmlm convert asks for torch 2.10 or later"
posix = pytest.mark.skipif(sys.platform == "win32", reason="needs rlimits and pipes")
needs_safe_torch = pytest.mark.skipif(TOO_OLD, reason=WHY_NOT)


class OtherModel(nn.Module):
    """A language model as other programs write it; `embedding_dim` None: one-hot inputs."""

    def __init__(self, cell="lstm", num_layers=1, embedding_dim=None, bias=True, head_bias=True, **options) -> None:
        super().__init__()
        V, H = len(CHARS), 5
        if embedding_dim is not None:
            self.encoder = nn.Embedding(V, embedding_dim)
        self.rnn = MODULES[cell](embedding_dim or V, H, num_layers, bias=bias, **options)
        self.decoder = nn.Linear(H, V, bias=head_bias)

    def forward(self, ids):
        one_hot = nn.functional.one_hot(ids.T, len(CHARS)).to(self.decoder.weight.dtype)
        Y, _ = self.rnn(self.encoder(ids.T) if hasattr(self, "encoder") else one_hot)
        return self.decoder(Y).flatten(0, 1)


@pytest.fixture
def convert(convert_with_any_torch):
    """As `convert_with_any_torch`; the test is skipped where torch is too old for `convert`."""
    if TOO_OLD:
        pytest.skip(WHY_NOT)
    return convert_with_any_torch


@pytest.fixture
def convert_with_any_torch(command, tmp_path):
    """Save a value with torch, convert the file -> (exit code, stdout, stderr, the checkpoint's path)."""
    (tmp_path / "vocab.txt").write_text(CHARS)

    def call(value, vocab: str | None = "vocab.txt", *words: str):
        source = tmp_path / "source.pt"
        source.write_bytes(value) if isinstance(value, bytes) else torch.save(value, source)
        vocab_words = [] if vocab is None else ["--vocab", str(tmp_path / vocab)]
        return *command("convert", "--from-torch", str(source), *vocab_words, *words), source.with_suffix(
            ".safetensors"
        )

    return call


def same_function(model, path, ids) -> bool:
    ours, vocab = checkpoint.load_checkpoint(path).build()
    assert vocab.idx_to_token == ["<unk>", *CHARS]
    logits = ours(torch.from_numpy(vocab.encode("".join(CHARS[k] for k in ids.flatten()))).view(ids.shape))[0]
    return measure_difference(logits[:, 1:], model(ids)) < 1e-5


KINDS = [{"cell": cell, "num_layers": L, "embedding_dim": E} for cell in MODULES for L in (1, 2) for E in (None, 3)]
KINDS += [{"embedding_dim": 5}, {"bias": False}, {"head_bias": False}, {"embedding_dim": 5, "head_bias": False}]
KINDS += [{"cell": "gru", "bias": False}]


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_converted_model_gives_the_logits_of_the_original(convert, kind):
    model = OtherModel(**kind)
    code, out, err, path = convert(model.state_dict())
    assert (code, err) == (0, "") and "added <unk> as id 0" in out
    assert same_function(model, path, torch.randint(len(CHARS), (3, 9)))


@pytest.mark.parametrize("prefix", ["", "module.", "net.0.lm."])
def test_names_may_have_any_prefix(convert, prefix):
    model = OtherModel(embedding_dim=3)
    state = {
        prefix + name.replace("decoder.", "" if not prefix else "fc."): t for name, t in model.state_dict().items()
    }
    code, _, _, path = convert(state)
    assert code == 0 and same_function(model, path, torch.randint(len(CHARS), (2, 4)))


def test_a_head_with_a_bias_is_known_by_it_wherever_it_stands(convert):
    model = OtherModel(embedding_dim=5)  # as wide as the layers, so shapes do not tell
    code, _, _, path = convert(dict(reversed(model.state_dict().items())))
    assert code == 0 and same_function(model, path, torch.randint(len(CHARS), (2, 4)))


def test_a_head_that_cannot_be_told_from_an_embedding_is_refused(convert):
    state = dict(reversed(OtherModel(embedding_dim=5, head_bias=False).state_dict().items()))
    state = {"encoder.weight": state.pop("encoder.weight"), **state}
    code, _, err, _ = convert(state)
    assert code == 2 and "needs one matrix (symbols, 5) for the head, found none" in err


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_other_floats_become_float32(convert, dtype):
    model = OtherModel().to(dtype)
    code, _, _, path = convert(model.state_dict())
    assert code == 0 and same_function(model.float(), path, torch.randint(len(CHARS), (2, 4)))


def test_weights_that_share_a_storage_as_on_cuda_or_when_tied_are_taken(convert):
    model = OtherModel(embedding_dim=5)
    model.encoder.weight = model.decoder.weight
    state = model.state_dict()
    names = [name for name in state if name.startswith("rnn.")]
    flat = torch.cat([state[name].flatten() for name in names])
    parts = flat.split([state[name].numel() for name in names])
    state |= {name: part.view_as(state[name]) for name, part in zip(names, parts, strict=True)}
    code, _, _, path = convert(state)
    assert code == 0 and same_function(model, path, torch.randint(len(CHARS), (2, 4)))


@pytest.mark.parametrize("together", [True, False])
def test_our_own_weights_come_back_from_to_torch_as_they_were(convert, tmp_path, together):
    ours = make_model("nn", torch.float32, vocab_size=8, num_layers=2, embedding_dim=3).book_weights()
    rnn, linear = to_torch(ours)
    embedding = {"W_e": ours["W_e"]}
    (tmp_path / "vocab.json").write_text(json.dumps(["<unk>", *CHARS]))
    code, out, err, path = convert(
        {**rnn, **linear, **embedding} if together else (rnn, linear, embedding), "vocab.json"
    )
    assert (code, err) == (0, "") and "<unk>" not in out
    back = checkpoint.load_checkpoint(path).weights
    assert back.keys() == ours.keys() and all(torch.equal(back[name], ours[name]) for name in ours)


def test_unk_is_never_expected_whatever_the_head_and_read_as_nothing(convert):
    model = OtherModel()
    with torch.no_grad():
        model.decoder.bias -= 100
    path = convert(model.state_dict())[3]
    ours, _ = checkpoint.load_checkpoint(path).build()
    assert torch.log_softmax(ours(torch.randint(8, (3, 9)))[0], -1)[:, 0].max() < -30
    assert not any(ours.book_weights()[f"layers.0.W_x{gate}"][0].any() for gate in "ifoc")


def test_a_converted_checkpoint_generates_and_scores_a_given_text(convert, command, tmp_path):
    model = OtherModel(num_layers=2)
    path = convert(model.state_dict())[3]
    code, out, err = command("generate", str(path), "--prompt", "abc", "--length", "20")
    assert (code, err) == (0, "") and out.startswith("abc") and set(out) <= set(CHARS)
    (tmp_path / "text.txt").write_text("abcde edcba\n" * 9)
    code, out, _ = command("evaluate", str(path), "--file", str(tmp_path / "text.txt"), "--json")
    ids = torch.tensor([CHARS.index(char) for char in "abcde edcba\n" * 9])
    losses = nn.functional.cross_entropy(model(ids[None, :-1]), ids[1:])
    assert code == 0 and json.loads(out)["nats_per_char"] == pytest.approx(losses.item(), rel=1e-5)
    assert evaluate(checkpoint.load_checkpoint(path).build("scratch")[0], ids + 1).nats_per_char == pytest.approx(
        losses.item()
    )


def test_what_a_converted_checkpoint_has_not_is_said(convert, command, train):
    path = str(convert(OtherModel().state_dict())[3])
    assert command("evaluate", path)[::2] == (
        2,
        "error: the checkpoint was converted, and has no text of its own: give it with --file FILE --split val, or any "
        "text with --file FILE\n",
    )
    assert train(f"resume={path}")[::2] == (
        2,
        "error: resume: the checkpoint was converted: it has no text and no optimizer to resume with\n",
    )


def test_the_function_writes_the_file_that_the_command_writes(convert, tmp_path):
    path = convert(OtherModel(embedding_dim=3, num_layers=2).state_dict())[3]
    out = tmp_path / "from_python.safetensors"
    conversion = convert_torch_file(tmp_path / "source.pt", tmp_path / "vocab.txt", out, composed_config())
    assert out.read_bytes() == path.read_bytes()
    assert (conversion.path, conversion.num_symbols, conversion.added_unknown) == (out, len(CHARS), True)
    assert conversion.model == ModelConfig(len(CHARS) + 1, 5, num_layers=2, embedding_dim=3)
    with pytest.raises(BadInput, match="is there already"):
        convert_torch_file(tmp_path / "source.pt", tmp_path / "vocab.txt", out, composed_config())


def test_an_existing_file_is_not_overwritten(convert, tmp_path):
    path = convert(OtherModel().state_dict())[3]
    before = path.read_bytes()
    code, _, err, _ = convert(OtherModel(num_layers=2).state_dict())
    assert code == 2 and "is there already" in err and path.read_bytes() == before
    assert convert(OtherModel().state_dict(), "vocab.txt", "--out", str(tmp_path / "other.safetensors"))[0] == 0
    assert (tmp_path / "other.safetensors").exists()


def test_a_checkpoint_that_could_not_be_read_again_is_not_left(convert, monkeypatch):
    def refuse(path):
        assert path.exists()
        raise BadInput("checkpoint: refused")

    monkeypatch.setattr(checkpoint, "load_checkpoint", refuse)
    code, _, err, path = convert(OtherModel().state_dict())
    assert (code, err) == (2, "error: checkpoint: refused\n") and not path.exists()


VOCABULARIES = [
    (b"\n abcd", r"has 6 symbols, the head of the model has 7"),
    (b"\n abcdd", r"'d' stands twice"),
    (b"\n abcd\xff", r"is not UTF-8 at byte 6"),
    (json.dumps(["\n", " ", "a", "b", "c", "d", "<eos>"]).encode(), r"symbol 6 is '<eos>': it must be"),
    (json.dumps([*"\n abcd", 7]).encode(), r"symbol 6 is 7: it must be"),
    (b"[" * 100_000, r"has 100000 symbols"),
]


@pytest.mark.parametrize(("content", "says"), VOCABULARIES, ids=[says for _, says in VOCABULARIES])
def test_a_vocabulary_that_does_not_fit_is_one_line(convert, tmp_path, content, says):
    (tmp_path / "wrong").write_bytes(content)
    code, out, err, path = convert(OtherModel().state_dict(), "wrong")
    assert (code, out) == (2, "") and re.fullmatch(rf"error: --vocab: .*{says}.*\n", err), err
    assert not path.exists()


def test_a_list_and_a_text_with_a_line_end_more_are_vocabularies(convert, tmp_path):
    (tmp_path / "list.json").write_text(json.dumps(list(CHARS)))
    assert convert(OtherModel().state_dict(), "list.json")[0] == 0
    (tmp_path / "edited.txt").write_text("abcdefg\n")
    path = convert(OtherModel().state_dict(), "edited.txt", "--out", str(tmp_path / "edited.safetensors"))
    record = checkpoint.load_checkpoint(tmp_path / "edited.safetensors").record
    assert path[0] == 0 and record["vocab"][1:] == list("abcdefg") and record["step"] == 0


# What the state_dict is, and what the line says
MODELS = {
    "two directions": (
        lambda: OtherModel(bidirectional=True).rnn.state_dict(),
        r"weight_ih_l0_reverse: only one direc",
    ),
    "projection": (
        lambda: OtherModel(proj_size=2).rnn.state_dict(),
        r"weight_hr_l0: only one direction and no projection",
    ),
    "no layers": (lambda: nn.Linear(5, 7).state_dict(), r"weight_ih_l0, weight_hh_l0: no first layer"),
    "two modules": (lambda: changed({"b.weight_ih_l0": (20, 3)}), r"has two recurrent modules"),
    "a missing layer": (
        lambda: changed({"rnn.weight_ih_l1": (20, 5)}),
        r"weight_hh_l1: expected shape \(20, 5\), got N",
    ),
    "a short bias": (lambda: changed({"rnn.bias_ih_l0": (1,)}), r"bias_ih_l0: expected shape \(20,\), got \(1,\)"),
    "five gates": (lambda: changed({"rnn.weight_hh_l0": (25, 5)}), r"weight_hh_l0: of shape \(25, 5\)"),
    "no head": (lambda: changed({}, without="decoder.weight"), r"one matrix \(symbols, 5\) for the head, found none"),
    "two heads": (lambda: changed({"b.weight": (9, 5), "b.bias": (9,)}), r"the head, found decoder\.weight, b\.weight"),
    "a norm": (lambda: changed({"norm.\x1b[2J": (5,)}), r"it has decoder\.bias, norm\.\\x1b\[2J, encoder"),
    "no embedding": (lambda: changed({}, without="encoder.weight"), r"takes 3 numbers, but one-hot symbols are 7"),
}


def changed(more: dict[str, tuple[int, ...]], without: str = "") -> dict[str, torch.Tensor]:
    """A good state_dict with tensors more, or of other shapes, and one less."""
    state = OtherModel(embedding_dim=3).state_dict() | {name: torch.zeros(shape) for name, shape in more.items()}
    return {name: tensor for name, tensor in state.items() if name != without}


@pytest.mark.parametrize("kind", MODELS)
def test_a_model_that_no_backend_has_is_refused_by_name(convert, kind):
    make, says = MODELS[kind]
    code, out, err, path = convert(make())
    assert (code, out) == (2, "") and re.fullmatch(rf"error: --from-torch: .*{says}.*\n", err), err
    assert not path.exists()


# Hostile files


@pytest.fixture(scope="module")
def crafted():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return hostile()


def test_every_hostile_file_is_one_line_with_exit_code_2_and_runs_nothing(convert, crafted, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, content in crafted.items():
        code, out, err, path = convert(content, None)
        assert (code, out) == (2, "") and re.fullmatch(r"error: --from-torch: .*\n", err), (name, err)
        assert not path.exists()
    assert not list(tmp_path.rglob("RAN"))


REASONS = {
    "os.system": "names 'posix system'",
    "legacy": "it is no zip",
    "truncated": "its zip cannot be read",
    "bad CRC": "its zip cannot be read",
    "deflate bomb": "has compressed entries",
    "sizes that lie": "entries are larger than the file",
    "many entries": "more than 2,000 entries",
    "second folder": "apart from the others",
    "large pickle": "larger than 1 MiB",
    "expand bomb": "no contiguous vector or matrix",
    "meta tensor": "names 'torch._utils _rebuild_meta_tensor",
    "bytearray bomb": "names '__builtin__ bytearray'",
    "deep lists": "its pickle has EMPTY_LIST",
    "deep key": "nested too deep",
    "deep by memory": "nested too deep",
    "long": "too long",
    "across a mark": "takes what is not there",
    "a tensor called": "calls what is no function",
}


@needs_safe_torch
@pytest.mark.parametrize("name", REASONS)
def test_a_refusal_has_the_reason_of_the_validation(crafted, tmp_path, name):
    """The validation refuses the file; torch.load, which comes after it, is not reached."""
    (tmp_path / "x.pt").write_bytes(crafted[name])
    with pytest.raises(BadInput, match=re.escape(REASONS[name])):
        torch_file.read_state(tmp_path / "x.pt")


def test_the_payload_would_have_run(crafted, tmp_path, monkeypatch):
    """So that the validation is the reason why nothing runs in the other tests."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.pt").write_bytes(crafted["os.system"])
    torch.load(tmp_path / "x.pt", weights_only=False)
    assert (tmp_path / "RAN").exists()


@posix
@needs_safe_torch
def test_hostile_files_do_nothing_and_take_no_memory(tmp_path):
    done = shell("-m", "helpers.hostile_torch", str(tmp_path), "300", timeout=240)
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)
    assert len(results) > 340
    for name, result in results.items():
        loaded = name.startswith("mutation") and re.fullmatch(r"loaded \d{1,4}", result["end"])  # other names, say
        assert result["end"].startswith("refused: ") or loaded, (name, result)
        assert result["did"] == [] and result["seconds"] < 2, (name, result)
    assert not list(tmp_path.rglob("RAN"))


def test_a_good_file_passes_without_its_vocabulary_until_it_is_asked_for(convert):
    code, _, err, path = convert(good(), None)
    assert code == 2 and err.startswith("error: --vocab: a torch file does not say which characters its 7 ids are")
    assert not path.exists()


def test_attributes_that_a_file_gives_a_dict_do_not_matter():
    state = OrderedDict(w=torch.zeros(2))
    state.__dict__.update(keys=None, items=None, __iter__=None)
    assert torch_file.take_plain_tensors(state).keys() == {"w"}


def test_a_torch_with_a_known_hole_in_its_reader_is_refused(convert_with_any_torch, monkeypatch):
    monkeypatch.setattr(torch, "__version__", "2.9.1+cpu")
    code, _, err, _ = convert_with_any_torch(good())
    assert code == 4 and err == "error: --from-torch: torch 2.9.1+cpu is not safe here: install torch 2.10 or later\n"
