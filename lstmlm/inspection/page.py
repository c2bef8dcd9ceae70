"""One HTML file that runs a trained model in a browser: its weights, the scripts of assets/, and no network.

V = vocab_size, H = num_hiddens, L = num_layers, G = number of gates, D = width of a layer's input, E = embedding_dim.

The page has the model as JSON: its configuration, its vocabulary, and its weights in base64 (html_file.py). Its policy
also allows WebAssembly, which the engine assembles itself.
"""

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lstmlm.generation.writer import choose_first_character
from lstmlm.inspection.html_file import fill_page
from lstmlm.layers.contract import Tensors
from lstmlm.model.rnn_model import RNNModel
from lstmlm.model.shapes import count_params
from lstmlm.system.dotted import under
from lstmlm.system.errors import BadInput
from lstmlm.text.vocab import ByteVocab, Vocab

# The first script computes and knows nothing of the page, so that it runs without a browser too
ENGINE = ("draw.js", "product.js", "weights.js", "stepper.js", "alphabet.js", "tape.js")
INTERFACE = (
    "controls.js",
    "shades.js",
    "describe.js",
    "text_view.js",
    "next_view.js",
    "layer_view.js",
    "keys.js",
    "listen.js",
    "page.js",
)
WEIGHTS = ("float32", "bf16", "int8")
LARGEST_FLOAT32 = 1_200_000  # parameters; larger models are stored in bfloat16 unless asked otherwise

# cell: the gates, in the order of the columns of the merged weights
GATES = {"lstm": "ifoc", "gru": "zrh", "gru_before": "zrh", "rnn": "h"}


def make_page(model: RNNModel, vocab: Vocab, title: str, weights: str = "float32", prompt: str = "") -> str:
    """The HTML of a page that runs `model`.

    `weights` is the form in which the matrices are stored: float32, bf16 or int8 (symmetric, one scale a column);
    vectors are always float32. `prompt` is the text that the page begins with. BadInput for another form.
    """
    if weights not in WEIGHTS:
        raise BadInput(f"weights: no such form {weights!a}: choose one of {', '.join(WEIGHTS)}")
    data = describe_model(model, vocab, weights) | {"title": title, "prompt": prompt}
    scripts = {"ENGINE": ENGINE, "INTERFACE": INTERFACE}
    return fill_page("page.html", title, ("base.css", "page.css"), scripts, {"MODEL": data}, "'wasm-unsafe-eval'")


def choose_weights(model: RNNModel) -> str:
    """The form of the weights where none is asked for: float32, or bf16 for a large model."""
    return "float32" if count_params(model.config) <= LARGEST_FLOAT32 else "bf16"


def describe_model(model: RNNModel, vocab: Vocab, form: str) -> dict[str, Any]:
    """What the scripts need to know: the sizes, the vocabulary, and the tensors with their bytes in base64."""
    config, entries, pieces = model.config, [], []
    for name, tensor in merge_gates(config.cell, model.book_weights(), config.num_layers).items():
        own_form = form if len(tensor) > 1 else "float32"
        entries.append({"name": name, "shape": list(tensor.shape), "form": own_form})
        pieces.append(to_bytes(tensor, own_form))
    return {
        "cell": config.cell,
        "vocab_size": config.vocab_size,
        "num_hiddens": config.num_hiddens,
        "num_layers": config.num_layers,
        "num_params": count_params(config),
        "weights": form,
        "vocab": "bytes" if isinstance(vocab, ByteVocab) else vocab.idx_to_token,
        "first": int(vocab.encode(choose_first_character(vocab))[0]),  # which an empty prompt is read as
        "tensors": entries,
        "data": base64.b64encode(b"".join(pieces)).decode(),
    }


def merge_gates(cell: str, book: Mapping[str, Tensor], num_layers: int) -> Tensors:
    """The weights with the gates of a layer side by side, as stepper.js reads them; vectors as matrices of one row.

    W_x (D, G H), W_h (H, G H), b (1, G H) of each layer; of the GRU that resets before the product W_h is (H, 2 H), and
    W_hh (H, H) stands by itself.
    """
    tensors = {"W_e": book["W_e"]} if "W_e" in book else {}
    for k in range(num_layers):
        W, gates = under(f"layers.{k}.", book), GATES[cell]
        merged = {"W_x": torch.cat([W["W_x" + gate] for gate in gates], 1)}
        recurrent = gates[:2] if cell == "gru_before" else gates
        merged["W_h"] = torch.cat([W["W_h" + gate] for gate in recurrent], 1)
        merged["b"] = torch.cat([W["b_" + gate] for gate in gates])[None]
        if cell == "gru_before":
            merged["W_hh"] = W["W_hh"]
        if cell == "gru":
            merged["b_hn"] = W["b_hn"][None]
        tensors |= {f"layers.{k}.{name}": tensor for name, tensor in merged.items()}
    return tensors | {"W_hq": book["W_hq"], "b_q": book["b_q"][None]}


def to_bytes(tensor: Tensor, form: str) -> bytes:
    """The bytes of a matrix (K, N), row by row, little-endian, in a form of WEIGHTS; of int8, before them N scales."""
    values: NDArray[np.float32] = tensor.detach().float().cpu().numpy()
    if form == "float32":
        return values.astype("<f4").tobytes()
    if form == "bf16":
        halves: NDArray[np.int16] = tensor.detach().cpu().bfloat16().view(torch.int16).numpy()
        return halves.astype("<i2").tobytes()
    scales: NDArray[np.float32] = np.abs(values).max(0) / np.float32(127)
    levels = np.rint(values / np.where(scales == 0, 1, scales))
    return scales.astype("<f4").tobytes() + levels.astype(np.int8).tobytes()
