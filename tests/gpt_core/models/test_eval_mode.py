"""A model is evaluated without dropout and gets its mode back."""

import pytest
from torch import nn

from gpt_core.models import evaluating


@pytest.mark.parametrize("training", [True, False])
def test_the_mode_is_restored_in_all_submodules(training: bool) -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5)).train(training)
    with evaluating(model):
        assert not any(module.training for module in model.modules())
    assert all(module.training is training for module in model.modules())


def test_the_mode_is_restored_after_an_exception() -> None:
    model = nn.Dropout(0.5)
    with pytest.raises(ZeroDivisionError), evaluating(model):
        raise ZeroDivisionError
    assert model.training
