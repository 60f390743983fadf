"""Learning rates that differ by parameter."""

import pytest
import torch
from torch import nn

from gpt_core.config import GPTConfig, LoRAConfig, OptimizerConfig
from gpt_core.models import GPT, GPTClassifier
from gpt_core.optim import build_optimizer, rate_factors

SHAPE = GPTConfig(n_layer=3, n_head=2, n_embd=16, vocab_size=40, context_length=8)


def test_rates_fall_from_the_head_to_the_embeddings() -> None:
    factors = rate_factors(GPTClassifier(GPT(SHAPE), 2), 0.5, 3.0)
    assert (factors["score.weight"], factors["score.bias"], factors["gpt.ln_f.weight"]) == (3, 3, 1)
    assert [factors[f"gpt.h.{i}.mlp.c_fc.weight"] for i in range(3)] == [0.125, 0.25, 0.5]
    assert factors["gpt.wte.weight"] == factors["gpt.wpe.weight"] == 0.0625


def test_adapters_have_the_rates_of_their_blocks_and_a_saved_head_its_own() -> None:
    from gpt_core.finetuning.lora import add_adapters

    model = GPTClassifier(GPT(SHAPE), 2)
    wrapped = add_adapters(model, LoRAConfig(rank=2), range(3), ("score",))
    factors = rate_factors(wrapped, 0.5, 3.0)
    trained = {name for name, value in wrapped.named_parameters() if value.requires_grad}
    found = {name: factors[name] for name in trained}
    assert {value for name, value in found.items() if "h.2." in name} == {0.5}
    assert {value for name, value in found.items() if "score" in name} == {3.0}


def test_each_parameter_moves_by_its_own_rate() -> None:
    model = GPTClassifier(GPT(SHAPE), 2)
    factors = rate_factors(model, 0.5, 3.0)
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    optimizer = build_optimizer(model, OptimizerConfig(weight_decay=0.0), factors)
    optimizer.set_learning_rate(1e-2)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()  # the first step of Adam moves everything by the learning rate
    for name, value in model.named_parameters():
        moved = (before[name] - value).abs().max().item()
        assert moved == pytest.approx(1e-2 * factors[name], rel=1e-3), name


def test_equal_factors_change_nothing_of_the_optimizer() -> None:
    model: nn.Module = GPT(SHAPE)
    plain = build_optimizer(model, OptimizerConfig())
    equal = build_optimizer(model, OptimizerConfig(), rate_factors(model, 1.0, 1.0))
    assert plain.state_dict() == equal.state_dict()
