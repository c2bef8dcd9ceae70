"""What a run will take is known before it is made, and is what it then takes."""

import pytest
import torch
import torch.nn.functional as functional
from helpers.forms import every_form, make_model

from lstmlm.model.model_config import ModelConfig
from lstmlm.model.shapes import count_params, estimate_training_memory


def sizes(cell: str, **changed) -> dict:
    return {"vocab_size": 40, "num_hiddens": 48, "num_layers": 2, "cell": cell} | changed


@pytest.mark.parametrize("embedding_dim", [None, 3])
@every_form
def test_the_parameters_counted_are_those_trained(cell, backend, embedding_dim):
    size = sizes(cell, embedding_dim=embedding_dim)
    model = make_model(backend, **size)
    numbers = {name: param.numel() for name, param in model.trained().items()}
    if cell == "gru" and backend == "nn":  # two thirds of its second bias are held at zero
        numbers |= {name: count // 3 for name, count in numbers.items() if "bias_hh" in name}
    assert count_params(ModelConfig(**size)) == sum(numbers.values())


@pytest.mark.parametrize(("weight_drop", "H", "B", "T"), [(0.0, 48, 8, 32), (0.5, 48, 8, 32), (0.5, 256, 4, 8)])
@every_form
def test_the_memory_holds_what_a_step_keeps_and_is_no_more_than_a_few_times_that(cell, backend, weight_drop, H, B, T):
    size = sizes(cell, num_hiddens=H, weight_drop=weight_drop)
    model, kept = make_model(backend, torch.float32, **size), {}

    def keep(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        ids = torch.randint(40, (B, T))
        functional.cross_entropy(model(ids)[0], ids.T.flatten())
    weights = {param.untyped_storage().data_ptr() for param in model.parameters()}
    between = sum(tensor.untyped_storage().nbytes() for place, tensor in kept.items() if place not in weights)
    needed = between + 4 * 4 * count_params(ModelConfig(**size))
    assert needed < estimate_training_memory(ModelConfig(**size), B, T) < 4 * needed
