"""The learning rate is a pure function of the step."""

import math

import pytest

from gpt_core.config import ScheduleConfig
from gpt_core.optim import learning_rate_at


def rates(total: int, **schedule: object) -> list[float]:
    config = ScheduleConfig(**schedule)
    return [learning_rate_at(s, config, peak=2.0, total_steps=total) for s in range(total)]


def test_the_warm_up_is_linear_and_ends_at_the_peak() -> None:
    assert rates(10, warmup_steps=4, kind="constant")[:6] == [0.5, 1.0, 1.5, 2.0, 2.0, 2.0]
    line = rates(8, warmup_steps=4, kind="linear", final_ratio=0.0)
    assert line == pytest.approx([0.5, 1.0, 1.5, 2.0, 1.5, 1.0, 0.5, 0.0])


def test_the_cosine_decays_to_the_final_ratio() -> None:
    curve = rates(11, warmup_steps=1, final_ratio=0.1)
    assert curve[0] == 2.0
    assert curve[5] == pytest.approx(0.2 + 0.5 * 1.8 * (1 + math.cos(math.pi * 0.5)))
    assert curve[10] == pytest.approx(0.2)
    assert curve == sorted(curve, reverse=True)


def test_linear_and_constant_schedules() -> None:
    line = rates(5, kind="linear", warmup_steps=0, final_ratio=0.0)
    assert line == pytest.approx([2.0, 1.5, 1.0, 0.5, 0.0])
    assert rates(3, kind="linear", warmup_steps=2, final_ratio=0.5) == [1.0, 2.0, 1.0]
    assert rates(4, kind="constant", warmup_steps=0) == [2.0] * 4


def test_after_the_last_step_the_rate_stays_the_final_one() -> None:
    for kind in ("cosine", "linear", "wsd"):
        config = ScheduleConfig(kind=kind, warmup_steps=2, final_ratio=0.1)
        assert learning_rate_at(15, config, peak=2.0, total_steps=10) == pytest.approx(0.2)


def test_wsd_decays_only_at_the_end() -> None:
    curve = rates(10, kind="wsd", warmup_steps=2, final_ratio=0.0, decay_share=0.4)
    assert curve == pytest.approx([1.0, 2.0, 2.0, 2.0, 2.0, 2.0, 1.5, 1.0, 0.5, 0.0])
    all_of_it = rates(6, kind="wsd", warmup_steps=2, final_ratio=0.0, decay_share=1.0)
    assert all_of_it == rates(6, kind="linear", warmup_steps=2, final_ratio=0.0)
