"""The mode of a model is restored, also when the block raises."""

import pytest
from helpers.forms import make_model

from lstmlm.model.evaluation_mode import evaluation_mode


@pytest.mark.parametrize("mode", [True, False])
def test_the_mode_of_before_is_restored_also_after_an_error(mode):
    model = make_model("nn").train(mode)
    with evaluation_mode(model):
        assert not any(module.training for module in model.modules())
    assert all(module.training == mode for module in model.modules())
    with pytest.raises(KeyboardInterrupt), evaluation_mode(model):
        raise KeyboardInterrupt
    assert all(module.training == mode for module in model.modules())
