"""Mean loss and throughput since the last reading."""

import itertools
import math

import pytest
import torch

from gpt_core.training.meter import Meter

CPU = torch.device("cpu")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes every reading of the clock one second later."""
    ticks = itertools.count()
    monkeypatch.setattr("time.perf_counter", lambda: float(next(ticks)))


def test_a_reading_is_the_mean_loss_and_the_speed_since_the_last_one(clock: None) -> None:
    meter = Meter(CPU)
    for loss in (1.0, 2.0, 6.0):
        meter.count(torch.tensor(loss))
    assert meter.read() == (3.0, 1.0, 3.0)
    meter.count(torch.tensor(4.0))
    assert meter.read() == (4.0, 1.0, 1.0)
    assert math.isnan(meter.read().loss)


def test_excluded_time_does_not_count(clock: None) -> None:
    meter = Meter(CPU)
    meter.count(torch.tensor(1.0))
    with meter.exclude_time(), pytest.raises(KeyError):
        raise KeyError
    assert meter.read().seconds == 2.0, "three ticks, one of them excluded"


def test_a_restored_meter_keeps_the_losses_but_not_the_time(clock: None) -> None:
    first, second = Meter(CPU), Meter(CPU)
    first.count(torch.tensor(1.0))
    first.count(torch.tensor(2.0))
    second.restore(first.state())
    second.count(torch.tensor(6.0))
    assert second.read() == (3.0, 1.0, 1.0), "one step was timed"
