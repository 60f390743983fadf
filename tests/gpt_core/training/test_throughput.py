"""Training throughput is the work of a timed pass over its seconds."""

from dataclasses import replace

import pytest

from gpt_core.errors import ConfigError
from gpt_core.models import flops_per_token
from gpt_core.training.throughput import describe_device, measure_training_flops


def test_the_throughput_is_the_second_pass_over_its_time(config_of) -> None:
    config = config_of(model={"vocab_size": 257, "n_layer": 1})
    readings = iter([0.0, 100.0, 200.0, 202.0])
    flops = measure_training_flops(config, lambda: next(readings))
    assert flops == pytest.approx(4 * 32 * flops_per_token(config.model) / 2.0)


def test_a_large_model_is_measured_as_a_small_copy(config_of) -> None:
    config = config_of(model={"vocab_size": 50_000, "n_layer": 40, "context_length": 32})
    small = replace(config.model, n_layer=2, vocab_size=8192)
    readings = iter([0.0, 1.0, 1.0, 2.0])
    flops = measure_training_flops(config, lambda: next(readings))
    assert flops == pytest.approx(4 * 32 * flops_per_token(small))


def test_a_model_without_a_vocabulary_size_is_refused(config_of) -> None:
    with pytest.raises(ConfigError, match="vocab_size"):
        measure_training_flops(config_of(), lambda: 0.0)


def test_the_device_has_a_name() -> None:
    assert describe_device()
