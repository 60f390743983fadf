"""Bad steps are detected by their loss and gradient norm."""

import math

import pytest
import torch

from gpt_core.training.health import Health

CPU = torch.device("cpu")


def judged(health: Health, losses: list[float], norm: float = 1.0, first: int = 1) -> list[bool]:
    return [
        bool(health.judge(step, torch.tensor(loss), torch.tensor(norm)))
        for step, loss in enumerate(losses, start=first)
    ]


@pytest.mark.parametrize(("loss", "norm"), [(math.nan, 1.0), (math.inf, 1.0), (2.0, math.inf)])
def test_a_loss_or_norm_that_is_not_finite_is_bad_from_the_first_step(
    loss: float, norm: float
) -> None:
    health = Health(None, CPU)
    assert judged(health, [2.0, 2.0]) == [False, False]
    assert judged(health, [loss], norm, first=3) == [True]
    assert judged(health, [math.nan, 2.0], first=4) == [True, False]
    assert health.first_bad() == (3, "is not a number")


def test_a_loss_jumps_relative_to_the_mean_of_good_losses() -> None:
    health = Health(1.5, CPU)
    assert not any(judged(health, [9.0, 8.0] + [2.0] * 200))
    assert judged(health, [2.9, 3.4, 2.0], first=203) == [False, True, False]
    found = health.first_bad()
    assert found is not None
    assert found[0] == 204
    assert found[1].startswith("has jumped to 3.400, its mean was 2.1")
    health.reset()
    assert health.first_bad() is None


def test_early_steps_may_jump_and_without_a_factor_any_step() -> None:
    assert not any(judged(Health(1.5, CPU), [1.0] * 19 + [100.0]))
    assert not any(judged(Health(None, CPU), [1.0] * 50 + [1e6]))


def test_bad_steps_do_not_update_the_mean() -> None:
    health = Health(2.0, CPU)
    judged(health, [1.0] * 30)
    assert judged(health, [math.nan, 50.0, 50.0, 1.9], first=31) == [True, True, True, False]


def test_a_restored_state_judges_alike() -> None:
    first, second = Health(1.2, CPU), Health(1.2, CPU)
    judged(first, [2.0] * 25)
    second.restore(first.state())
    assert judged(first, [2.3, 2.5]) == judged(second, [2.3, 2.5]) == [False, True]
