"""What a run will take, said before it is made: parameters, memory, time. By arithmetic: nothing is allocated.

B = batch_size, T = num_steps, V = vocab_size, H = num_hiddens, L = num_layers. `arguments` are those of RNNModel.
"""

import math

from lstmlm.layers.weight_names import WEIGHT_NAMES


def count_params(arguments: dict) -> int:
    return sum(math.prod(shape) for shape in compute_shapes(arguments).values())


def estimate_training_memory(arguments: dict, batch_size: int, num_steps: int) -> int:
    """Bytes of a training step, about: weights, gradients, AdamW's two moments, and what lies between loss and inputs.

    The last is 8 numbers for each gate of each unit and 10 for each symbol, at each of B*T places: peaks measured on a
    CPU, over three backends and three sizes, were 0.5 to 1.1 of that. Weight drop adds masks, and weights without some.
    """
    gates = len(WEIGHT_NAMES[arguments["cell"]]) // 3
    between = 8 * gates * arguments["num_hiddens"] * arguments["num_layers"] + 10 * arguments["vocab_size"]
    copies = 6 if arguments["weight_drop"] else 4
    return 4 * (copies * count_params(arguments) + batch_size * num_steps * between)


def compute_shapes(model: dict) -> dict[str, list[int]]:
    """The weights' names and shapes that a model's arguments imply, by arithmetic alone."""
    V, H, E = model["vocab_size"], model["num_hiddens"], model["embedding_dim"]
    shapes = {} if E is None else {"W_e": [V, E]}
    for k in range(model["num_layers"]):
        of_kind = {"W_x": [H if k else E or V, H], "W_h": [H, H]}
        for name in WEIGHT_NAMES[model["cell"]]:
            shapes[f"layers.{k}.{name}"] = of_kind.get(name[:3], [H])
    return shapes | {"W_hq": [H, V], "b_q": [V]}
