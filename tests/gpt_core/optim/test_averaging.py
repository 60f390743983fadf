"""The exponential moving average of the weights follows its formula."""

import torch
from torch import nn

from gpt_core.optim.averaging import WeightAverage


def test_the_average_follows_its_formula() -> None:
    model = nn.Linear(3, 2)
    average = WeightAverage(model, decay=0.8)
    expected = [parameter.detach().double().clone() for parameter in model.parameters()]
    for n in range(1, 40):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter))
        average.update()
        decay = min(0.8, (1 + n) / (10 + n))
        for mean, parameter in zip(expected, model.parameters(), strict=True):
            mean.mul_(decay).add_(parameter.detach().double(), alpha=1 - decay)
    own = [parameter.detach().clone() for parameter in model.parameters()]
    with average.use_average():
        for mean, parameter in zip(expected, model.parameters(), strict=True):
            torch.testing.assert_close(parameter.detach().double(), mean, rtol=1e-5, atol=1e-6)
    for before, parameter in zip(own, model.parameters(), strict=True):
        assert torch.equal(before, parameter)


def test_a_restored_average_continues_alike() -> None:
    model, twin = nn.Linear(4, 4), nn.Linear(4, 4)
    average = WeightAverage(model, decay=0.9)
    with torch.no_grad():
        model.weight.add_(1.0)
    average.update()
    state = average.state()
    with average.use_average():  # a checkpoint's weights are the average
        twin.load_state_dict(model.state_dict())
    restored = WeightAverage(twin, decay=0.9)
    restored.restore(state)
    assert torch.equal(twin.weight, model.weight)
    for each in (average, restored):
        each.update()
    with average.use_average(), restored.use_average():
        assert torch.equal(twin.weight, model.weight)
