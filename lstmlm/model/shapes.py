"""Numbers of parameters, shapes and memory of a model, by arithmetic: nothing is allocated. No torch.

B = batch_size, T = num_steps, V = vocab_size, H = num_hiddens, E = embedding_dim.
"""

import math

from lstmlm.layers.weight_names import WEIGHT_NAMES
from lstmlm.model.model_config import ModelConfig


def compute_shapes(config: ModelConfig) -> dict[str, list[int]]:
    """The shapes of the weights under the book's names: `layers.0.W_xi`, ..., `W_hq` (H, V), `b_q` (V,)."""
    V, H, E = config.vocab_size, config.num_hiddens, config.embedding_dim
    shapes = {} if E is None else {"W_e": [V, E]}
    for k in range(config.num_layers):
        matrices = {"W_x": [H if k else E or V, H], "W_h": [H, H]}
        for name in WEIGHT_NAMES[config.cell]:
            shapes[f"layers.{k}.{name}"] = matrices.get(name[:3], [H])
    return shapes | {"W_hq": [H, V], "b_q": [V]}


def count_params(config: ModelConfig) -> int:
    """The number of trained parameters."""
    return sum(math.prod(shape) for shape in compute_shapes(config).values())


def estimate_training_memory(config: ModelConfig, batch_size: int, num_steps: int) -> int:
    """Bytes of a training step, estimated: weights, gradients, AdamW's two moments, activations.

    The activations are counted as 8 numbers for each gate of each unit and 10 for each symbol, at each of the B*T
    positions: peaks measured on a CPU, for three backends and three sizes, were 0.5 to 1.1 of that. Weight drop adds
    its masks and the masked weights.
    """
    num_gates = len(WEIGHT_NAMES[config.cell]) // 3
    activations = 8 * num_gates * config.num_hiddens * config.num_layers + 10 * config.vocab_size
    copies = 6 if config.weight_drop else 4
    return 4 * (copies * count_params(config) + batch_size * num_steps * activations)
