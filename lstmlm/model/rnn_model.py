"""RNNModel: the language model that training, evaluation and generation share.

B = batch_size, T = num_steps, V = vocab_size, H = num_hiddens, L = num_layers, E = embedding_dim.
"""

from typing import cast

import torch
from torch import Tensor, nn

from lstmlm.layers.contract import RecurrentLayer, Tensors, as_int64, check_range, to_dense
from lstmlm.layers.registry import layer_class
from lstmlm.model.dropout import drop_elements, drop_locked, drop_weights
from lstmlm.model.labels import make_labelled_rows
from lstmlm.model.model_config import ModelConfig
from lstmlm.system.dotted import under
from lstmlm.text.lanes import ALL_LANES
from lstmlm.text.spans import Spans

State = tuple[Tensor, ...]  # for an LSTM (H, C), for a GRU or an RNN (H,), each (L, B, H)


class RNNModel(nn.Module):
    """A stack of L recurrent layers of one cell on one backend, with inputs, dropout and output layer around it.

    The model owns what the layers have in common: one-hot or embedded inputs, all dropout, the output layer (W_hq, b_q)
    and the weights under the book's names.

    Dropout (dropout.py) acts in training mode only: `dropout` on the output of every layer; locked dropout with
    `locked_input` on the input of the first layer, `locked_between` on the output of every layer but the last and
    `locked_output` on the output of the last; `weight_drop` on the recurrent matrices. All masks are drawn from
    `dropout_generator`, on the model's device (None: torch's global generator), so that every backend drops the same
    units and weights. `share` says which lanes of a batch the model is given, where several processes share a run.

    Args:
        config: sizes, cell and dropout rates. BadInput if a value is out of its bounds.
        backend: which layers compute it, one of BACKENDS[config.cell]. BadInput if the cell has no such backend.
    """

    def __init__(self, config: ModelConfig, backend: str = "scratch") -> None:
        super().__init__()
        self.config, self.backend = config.check(), backend
        H, L, E = config.num_hiddens, config.num_layers, config.embedding_dim
        self.locked_rates = [config.locked_between] * (L - 1) + [config.locked_output]  # on the output of each layer
        self.dropout_generator: torch.Generator | None = None
        self.share = ALL_LANES
        self.W_e = None if E is None else nn.Parameter(torch.randn(config.vocab_size, E))
        widths = [E or config.vocab_size] + [H] * (L - 1)
        self.layers = nn.ModuleList(layer_class(config.cell, backend)(width, H) for width in widths)
        self.W_hq = nn.Parameter(torch.randn(H, config.vocab_size) * 0.01)
        self.b_q = nn.Parameter(torch.zeros(config.vocab_size))

    @property
    def num_labels(self) -> int:
        return self.config.num_labels

    @property
    def recurrent_layers(self) -> list[RecurrentLayer]:
        return cast(list[RecurrentLayer], list(self.layers))

    def begin_state(self, batch_size: int, device: torch.device | str) -> State:
        """The zero state, each part (L, B, H), in the dtype of the weights."""
        zeros = self.recurrent_layers[0].init_state(
            self.config.num_layers * batch_size, self.config.num_hiddens, device
        )
        return tuple(z.to(self.W_hq.dtype).view(self.config.num_layers, batch_size, -1) for z in zeros)

    def forward(self, ids: Tensor, state: State | None = None, spans: Spans | None = None) -> tuple[Tensor, State]:
        """Ids (B, T) and a state -> logits (T*B, V), time-major as in the book, and the next state.

        `spans` are the documents in the batch, where there are several in a lane, or lanes end at different steps
        (RecurrentLayer.forward).
        """
        (*_, Y), state = self.hidden_states(ids, state, spans)
        return Y.flatten(0, 1) @ self.W_hq + self.b_q, state

    def inputs(self, ids: Tensor) -> Tensor:
        """The input of the first layer for ids (B, T): ids (T, B), which stand for one-hot rows, or embedded (T, B, E).

        The ids of a model with labels may have them (labels.py); its inputs are dense.

        Locked dropout drops features of the embedding. With one-hot inputs it drops characters: the rows, then dense
        (T, B, V), are zero wherever a lane meets a character that it has dropped.
        """
        X, config = ids.T, self.config
        if config.num_labels:
            X = make_labelled_rows(X, self.W_e, config.vocab_size, config.num_labels, self.W_hq)
        elif self.W_e is not None:
            X = as_int64(X)
            check_range(X, config.vocab_size)
            X = self.W_e[X]
        if (rate := self._rate(config.locked_input)) == 0:
            return X  # ids stay ids
        return drop_locked(to_dense(X, config.vocab_size, self.W_hq.dtype), rate, self.dropout_generator, self.share)

    def hidden_states(
        self, ids: Tensor, state: State | None = None, spans: Spans | None = None
    ) -> tuple[list[Tensor], State]:
        """The output of every layer after its dropout, each (T, B, H), and the next state."""
        state = self.begin_state(ids.shape[0], ids.device) if state is None else state
        Y, outputs, states, generator = self.inputs(ids), [], [], self.dropout_generator
        for layer, locked_rate, *layer_state in zip(self.recurrent_layers, self.locked_rates, *state, strict=True):
            masked = drop_weights(layer, self._rate(self.config.weight_drop), generator)
            Y, next_state = masked(Y, tuple(layer_state), spans)
            Y = drop_elements(Y, self._rate(self.config.dropout), generator, self.share)
            Y = drop_locked(Y, self._rate(locked_rate), generator, self.share)
            outputs.append(Y)
            states.append(next_state)
        return outputs, tuple(torch.stack(part) for part in zip(*states, strict=True))

    def _rate(self, rate: float) -> float:
        return rate if self.training else 0.0

    # One weight format: the book's names

    def to_book(self, own: Tensors) -> Tensors:
        """Tensors under this model's parameter names -> the same under the book's, `layers.0.W_xi` and so on.

        The map is linear: weights, gradients and an optimizer's moments all go through it.
        """
        book: Tensors = {}
        for k, layer in enumerate(self.recurrent_layers):
            prefix = f"layers.{k}."
            book |= {prefix + name: tensor for name, tensor in layer.to_book(under(prefix, own)).items()}
        return book | {name: own[name] for name in ("W_e", "W_hq", "b_q") if name in own}

    def from_book(self, book: Tensors) -> Tensors:
        """The inverse of `to_book`."""
        own: Tensors = {}
        for k, layer in enumerate(self.recurrent_layers):
            prefix = f"layers.{k}."
            own |= {prefix + name: tensor for name, tensor in layer.from_book(under(prefix, book)).items()}
        return own | {name: book[name] for name in ("W_e", "W_hq", "b_q") if name in book}

    def trained(self) -> dict[str, nn.Parameter]:
        """The parameters that the optimizer updates, by their names in this backend's layout."""
        return {name: param for name, param in self.named_parameters() if param.requires_grad}

    def book_weights(self) -> Tensors:
        """Contiguous copies of all trained weights under the book's names."""
        return {
            name: tensor.detach().clone(memory_format=torch.contiguous_format)
            for name, tensor in self.to_book(dict(self.trained())).items()
        }

    def load_book_weights(self, book: Tensors) -> None:
        """Copy weights under the book's names into the model; ValueError names the first of a wrong name or shape."""
        shapes = {name: tuple(tensor.shape) for name, tensor in self.book_weights().items()}
        given = {name: tuple(tensor.shape) for name, tensor in book.items()}
        if wrong := [name for name in shapes | given if shapes.get(name) != given.get(name)]:
            name = wrong[0]
            raise ValueError(f"weight {name!r}: expected shape {shapes.get(name)}, got {given.get(name)}")
        own = self.trained()
        with torch.no_grad():
            for name, tensor in self.from_book(book).items():
                own[name].copy_(tensor)
