"""Three kinds of dropout: of activations, of activations with one mask for a window, of recurrent weights.

T = num_steps, B = batch_size, F = number of features, H = num_hiddens.

`rate` is the probability that a number is set to zero; the others are divided by 1 - rate, so that the expectation
stays the same. At rate 0 nothing is changed and nothing is drawn. Masks are drawn from `generator` (None: torch's
global generator).

Where several processes share a run, each draws the masks of all lanes and takes those of its `share`: what a lane drops
does not depend on the number of processes, and their generators stay in step.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.func import functional_call

from lstmlm.layers.contract import LayerState, RecurrentLayer
from lstmlm.text.lanes import ALL_LANES, Share
from lstmlm.text.spans import Spans

Step = Callable[[Tensor, LayerState, Spans | None], tuple[Tensor, LayerState]]  # what calling a layer does


def draw_mask(shape: tuple[int, ...], rate: float, like: Tensor, generator: torch.Generator | None) -> Tensor:
    """0 with probability `rate`, else 1 / (1 - rate), in the dtype and on the device of `like`."""
    drawn = torch.rand(shape, generator=generator, device=like.device, dtype=like.dtype)
    return (drawn >= rate).to(like.dtype).mul_(1 / (1 - rate))


def draw_lane_mask(T: int, like: Tensor, rate: float, generator: torch.Generator | None, share: Share) -> Tensor:
    """A mask (T, B, F) for the own lanes, of `like` (_, B, F)."""
    lanes, features = like.shape[1:]
    drawn = torch.rand((T, lanes * share.count, features), generator=generator, device=like.device, dtype=like.dtype)
    return (share.take(drawn, 1) >= rate).to(like.dtype).mul_(1 / (1 - rate))


def drop_elements(Y: Tensor, rate: float, generator: torch.Generator | None, share: Share = ALL_LANES) -> Tensor:
    """Y (T, B, F) with a mask of the same shape (Srivastava et al. 2014)."""
    return Y if rate == 0 else Y * draw_lane_mask(len(Y), Y, rate, generator, share)


def drop_locked(Y: Tensor, rate: float, generator: torch.Generator | None, share: Share = ALL_LANES) -> Tensor:
    """Y (T, B, F) with one mask (1, B, F) for all steps of the window.

    Also called variational: Gal & Ghahramani 2016, "A Theoretically Grounded Application of Dropout in Recurrent Neural
    Networks"; as here, between layers and not inside them, Merity, Keskar & Socher 2018, "Regularizing and Optimizing
    LSTM Language Models".
    """
    return Y if rate == 0 else Y * draw_lane_mask(1, Y, rate, generator, share)


def drop_weights(layer: RecurrentLayer, rate: float, generator: torch.Generator | None) -> Step:
    """The layer with some weights of its W_h* set to zero: the same ones at all steps and for all lanes.

    DropConnect (Wan et al. 2013, "Regularization of Neural Networks using DropConnect") on the recurrent matrices
    alone, as in Merity, Keskar & Socher 2018. The masks (H, H) are drawn in the book's layout, gate by gate,
    so every backend drops the same weights. Gradients go to the layer's own parameters.
    """
    if rate == 0:
        return layer
    book = layer.to_book(dict(layer.named_parameters()))
    book |= {name: W * draw_mask(W.shape, rate, W, generator) for name, W in book.items() if name.startswith("W_h")}
    masked = layer.from_book(book)

    def call_masked(X: Tensor, state: LayerState, spans: Spans | None) -> tuple[Tensor, LayerState]:
        output: tuple[Tensor, LayerState] = functional_call(layer, masked, (X, state, spans))
        return output

    return call_masked
