"""Weights to and from a plain `nn.LSTM` (or `nn.GRU`, `nn.RNN`) and `nn.Linear`, for use in other code.

    rnn, linear = nn.LSTM(len(vocab), 256, num_layers=2), nn.Linear(256, len(vocab))
    rnn_state, linear_state = to_torch(checkpoint.load(path).weights)
    rnn.load_state_dict(rnn_state), linear.load_state_dict(linear_state)

D = width of the inputs (the vocabulary, for one-hot rows, or the embedding), H = num_hiddens, V = vocab_size.
"""

import torch

from lstmlm.layers.contract import Tensors
from lstmlm.layers.torch_nn import TorchGRU, TorchLayer, TorchLSTM, TorchRNN
from lstmlm.system.dotted import under

LAYER_KEYS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def to_torch(weights: Tensors) -> tuple[Tensors, Tensors]:
    """Weights under the book's names -> state_dicts for the recurrent module (D, H, L layers) and the head (H, V).

    The second bias is zero except for a GRU's b_hn. An embedding is left out: it is `weights["W_e"]`, (V, E).
    ValueError for a GRU that resets before the product, which torch.nn does not have.
    """
    rnn: Tensors = {}
    for k in range(count_layers(weights)):
        book = under(f"layers.{k}.", weights)
        own = find_torch_layer(book).from_book(book)
        own.setdefault("rnn.bias_hh_l0", torch.zeros_like(own["rnn.bias_ih_l0"]))
        rnn |= {f"{key}_l{k}": own[f"rnn.{key}_l0"].clone() for key in LAYER_KEYS}
    return rnn, {"weight": weights["W_hq"].T.contiguous().clone(), "bias": weights["b_q"].clone()}


def from_torch(rnn: Tensors, linear: Tensors) -> Tensors:
    """The inverse, for state_dicts of any origin: two non-zero biases become their sum, which is the same function.

    ValueError for what no backend computes: a second direction, a projection.
    """
    return layers_from_torch(rnn) | {"W_hq": linear["weight"].T.contiguous().clone(), "b_q": linear["bias"].clone()}


def layers_from_torch(rnn: Tensors) -> Tensors:
    """The recurrent module's part of `from_torch`. ValueError also where names or shapes are of no such module."""
    for name in rnn:
        if name.endswith("_reverse") or name.startswith("weight_hr"):
            raise ValueError(f"{name}: only one direction and no projection can be taken over")
    layer = check_shapes(rnn)
    weights: Tensors = {}
    for k in range(sum(name.startswith("weight_ih_l") for name in rnn)):
        rows, H = rnn[f"weight_hh_l{k}"].shape
        none = torch.zeros(rows, dtype=rnn[f"weight_hh_l{k}"].dtype)  # a module with bias=False has no biases
        bias_ih, bias_hh = rnn.get(f"bias_ih_l{k}", none), rnn.get(f"bias_hh_l{k}", none)
        inside = torch.zeros_like(bias_hh)  # what stands inside the product with the reset gate stays apart
        if "b_hn" in layer.names:
            inside[2 * H :] = bias_hh[2 * H :]
        own = {
            "rnn.weight_ih_l0": rnn[f"weight_ih_l{k}"],
            "rnn.weight_hh_l0": rnn[f"weight_hh_l{k}"],
            "rnn.bias_ih_l0": bias_ih + (bias_hh - inside),
            "rnn.bias_hh_l0": inside,
        }
        weights |= {f"layers.{k}.{name}": tensor.clone().contiguous() for name, tensor in layer.to_book(own).items()}
    return weights


def check_shapes(rnn: Tensors) -> type[TorchLayer]:
    """The layer whose torch.nn module, of the size of the first weights, has such a state_dict, biases or none."""
    if any(name not in rnn or rnn[name].dim() != 2 for name in ("weight_ih_l0", "weight_hh_l0")):
        raise ValueError("weight_ih_l0, weight_hh_l0: no first layer of an nn.LSTM, nn.GRU or nn.RNN")
    (rows, H), D = rnn["weight_hh_l0"].shape, rnn["weight_ih_l0"].shape[1]
    kinds: dict[int, type[TorchLayer]] = {4 * H: TorchLSTM, 3 * H: TorchGRU, H: TorchRNN}
    if rows not in kinds:
        raise ValueError(f"weight_hh_l0: of shape {(rows, H)}: not square, nor three or four squares stacked")
    L = sum(name.startswith("weight_ih_l") for name in rnn)
    module = kinds[rows].module(D, H, L, device="meta").state_dict()
    shapes, given = ({name: tuple(t.shape) for name, t in tensors.items()} for tensors in (module, rnn))
    for name in shapes | given:
        if given.get(name) != shapes.get(name) and (name in given or not name.startswith("bias")):
            raise ValueError(f"{name}: expected shape {shapes.get(name)}, got {given.get(name)}")
    return kinds[rows]


def count_layers(weights: Tensors) -> int:
    return len({name.split(".")[1] for name in weights if name.startswith("layers.")})


def find_torch_layer(book: Tensors) -> type[TorchLayer]:
    """The torch.nn layer of the cell whose tensors these are."""
    for layer in (TorchLSTM, TorchGRU, TorchRNN):
        if set(layer.names) == set(book):
            return layer
    raise ValueError(f"torch.nn has no cell with the tensors {', '.join(book)}")
