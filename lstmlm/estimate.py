"""What a run will take, said before it is made: parameters, memory, time. By arithmetic: nothing is allocated.

B = batch_size, T = num_steps, V = vocab_size, H = num_hiddens, L = num_layers. `arguments` are those of RNNModel.
"""

import math

from lstmlm.backends import layer_class
from lstmlm.gate import expected_shapes


def num_params(arguments: dict) -> int:
    return sum(math.prod(shape) for shape in expected_shapes(arguments).values())


def training_memory(arguments: dict, batch_size: int, num_steps: int) -> int:
    """Bytes of a training step, about: weights, gradients, AdamW's two moments, and what lies between loss and inputs.

    The last is 8 numbers for each gate of each unit and 10 for each symbol, at each of B*T places: peaks measured on a
    CPU, over three backends and three sizes, were 0.5 to 1.1 of that. Weight drop adds masks, and weights without some.
    """
    gates = len(layer_class(arguments["cell"], "scratch").names) // 3
    between = 8 * gates * arguments["num_hiddens"] * arguments["num_layers"] + 10 * arguments["vocab_size"]
    copies = 6 if arguments["weight_drop"] else 4
    return 4 * (copies * num_params(arguments) + batch_size * num_steps * between)


def in_words(seconds: float) -> str:
    """'about 2 min 20 s': as exact as a guess deserves."""
    exact_to = next(step for below, step in ((9.5, 1), (57.5, 5), (595, 10), (math.inf, 60)) if seconds < below)
    whole = max(1, exact_to * round(seconds / exact_to))
    parts = {"h": whole // 3600, "min": whole // 60 % 60, "s": whole % 60}
    return "about " + " ".join(f"{count} {unit}" for unit, count in parts.items() if count)
