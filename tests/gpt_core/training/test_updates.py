"""Clipping, the size of an update, and the weight average that is evaluated and saved."""

import copy
from dataclasses import replace

import pytest
import torch

from gpt_core.artifact import Artifact
from gpt_core.config import PretrainConfig
from gpt_core.execution.placement import build_layout
from gpt_core.models import build_model
from gpt_core.training import pretrain
from gpt_core.training.updates import Updates


@pytest.fixture
def config(config_of) -> PretrainConfig:
    return config_of(model={"vocab_size": 31})


def updates_of(config: PretrainConfig) -> tuple[torch.nn.Module, Updates]:
    model = build_model(config.model, seed=1)
    layout = build_layout(model, torch.device("cpu"), config.compute)
    for i, parameter in enumerate(model.parameters()):
        parameter.grad = torch.full_like(parameter, 1.0 + i)
    return model, Updates(layout, config)


def gradient_norm(model: torch.nn.Module) -> float:
    gradients = [parameter.grad.flatten() for parameter in model.parameters()]
    return torch.cat(gradients).norm().item()


def test_gradients_are_clipped_to_the_maximum_norm(config: PretrainConfig) -> None:
    model, updates = updates_of(config)
    before = gradient_norm(model)
    assert before > 1
    assert updates.clip().item() == pytest.approx(before)
    assert gradient_norm(model) == pytest.approx(1.0, rel=1e-5)


def test_without_a_maximum_norm_gradients_are_not_clipped(config: PretrainConfig) -> None:
    free = replace(config, optimizer=replace(config.optimizer, max_grad_norm=None))
    model, updates = updates_of(free)
    before = gradient_norm(model)
    assert updates.clip().item() == pytest.approx(before)
    assert gradient_norm(model) == pytest.approx(before)


def test_the_update_ratio_is_the_norm_of_the_change_over_that_of_the_weights(
    config: PretrainConfig,
) -> None:
    model, updates = updates_of(config)
    before = torch.cat([parameter.detach().flatten() for parameter in model.parameters()])
    ratio = updates.apply(0.01, measure=True)
    after = torch.cat([parameter.detach().flatten() for parameter in model.parameters()])
    assert ratio is not None
    assert ratio.item() == pytest.approx(((after - before).norm() / before.norm()).item())
    assert updates.apply(0.01, measure=False) is None


def test_zero_grad_frees_the_gradients(config: PretrainConfig) -> None:
    model, updates = updates_of(config)
    updates.zero_grad()
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_restored_state_gives_the_same_next_update(config: PretrainConfig, tmp_path) -> None:
    averaged = replace(config, training=replace(config.training, ema_decay=0.5))
    first, updates = updates_of(averaged)
    updates.apply(0.01, measure=False)
    second, _ = updates_of(averaged)
    with updates.use_average():
        second.load_state_dict(first.state_dict())
        layout = build_layout(second, torch.device("cpu"), averaged.compute)
        restored = Updates(layout, averaged)
    restored.restore(copy.deepcopy(updates.state()), tmp_path)
    for each in (updates, restored):
        each.apply(0.01, measure=False)
    for one, other in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, other)
    with updates.use_average(), restored.use_average():
        for one, other in zip(first.parameters(), second.parameters(), strict=True):
            torch.testing.assert_close(one, other)


def test_the_saved_average_follows_its_formula(
    shards: Artifact, config_of, weights, tmp_path
) -> None:
    every = {"save_every": 1, "keep_last": 12, "eval_every": 12}
    pretrain(shards, config_of(**every), tmp_path / "raw")
    pretrain(shards, config_of(**every, ema_decay=0.9), tmp_path / "average")
    shape = replace(config_of().model, vocab_size=257)
    model = build_model(shape, config_of().training.seed)
    mean = {name: value.detach().double() for name, value in model.named_parameters()}
    for step in range(1, 13):
        decay = min(0.9, (1 + step) / (10 + step))
        raw = weights(tmp_path / "raw" / f"step-{step:08d}")
        mean = {name: decay * value + (1 - decay) * raw[name] for name, value in mean.items()}
    saved = weights(tmp_path / "average" / "step-00000012")
    for name, value in mean.items():
        torch.testing.assert_close(saved[name].double(), value, rtol=1e-5, atol=1e-6)
