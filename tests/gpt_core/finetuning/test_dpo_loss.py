"""The loss of DPO and its gradients against the formula, computed token by token in float64."""

import copy
import math
from collections.abc import Sequence

import pytest
import torch

from gpt_core.config import IGNORED, GPTConfig, LoRAConfig, PreferenceConfig
from gpt_core.finetuning.dpo_loss import (
    EncodedPair,
    PreferenceLoss,
    log_probabilities,
    preference_losses,
    score_answers,
)
from gpt_core.finetuning.example_encoder import Row
from gpt_core.finetuning.lora import add_adapters
from gpt_core.models import GPT, build_model

V = 31
SHAPE = GPTConfig(n_layer=2, n_head=2, n_embd=16, vocab_size=V, context_length=24)


def build(seed: int) -> GPT:
    model = build_model(SHAPE, seed=seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    return model.eval()


def draw_row() -> Row:
    """A prompt and an answer of random tokens and lengths."""
    prompt = torch.randint(V, (int(torch.randint(2, 8, ())),)).tolist()
    answer = torch.randint(V, (int(torch.randint(1, 9, ())),)).tolist()
    return [*prompt, *answer][:-1], [IGNORED] * (len(prompt) - 1) + answer


def draw_pairs(n: int, before: GPT) -> list[EncodedPair]:
    pairs = []
    for _ in range(n):
        chosen, rejected = draw_row(), draw_row()
        known = score_answers(before, [chosen, rejected], 0)
        pairs.append(EncodedPair(chosen, rejected, *known))
    return pairs


def exact_log_probability(model: GPT, row: Row) -> torch.Tensor:
    """Token by token, without padding or batching."""
    token_ids, targets = row
    total = torch.zeros((), dtype=torch.float64)
    for position, target in enumerate(targets):
        if target != IGNORED:
            logits = model(torch.tensor([token_ids[: position + 1]]))[0, -1]
            total = total + logits[target] - logits.exp().sum().log()
    return total


def exact_loss(
    model: GPT, before: GPT, pairs: Sequence[EncodedPair], beta: float, smoothing: float
) -> torch.Tensor:
    total = torch.zeros((), dtype=torch.float64)
    for pair in pairs:
        rewards = [
            exact_log_probability(model, row) - exact_log_probability(before, row).detach()
            for row in (pair.chosen, pair.rejected)
        ]
        right = 1 / (1 + torch.exp(-beta * (rewards[0] - rewards[1])))
        total = total - (1 - smoothing) * right.log() - smoothing * (1 - right).log()
    return total


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_loss_and_gradients_are_those_of_the_formula(smoothing: float) -> None:
    model, before = build(1), build(2)
    pairs = draw_pairs(5, before)
    config = PreferenceConfig(beta=0.3, label_smoothing=smoothing)
    loss = PreferenceLoss(model, 0, [], config).loss(pairs)
    loss.backward()  # type: ignore[no-untyped-call]
    exact = copy.deepcopy(model).double()
    expected = exact_loss(exact, copy.deepcopy(before).double(), pairs, 0.3, smoothing)
    exact.zero_grad()
    expected.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == pytest.approx(expected.item(), abs=1e-4)
    for (name, parameter), other in zip(model.named_parameters(), exact.parameters(), strict=True):
        assert parameter.grad is not None
        assert other.grad is not None
        torch.testing.assert_close(
            parameter.grad.double(), other.grad, atol=1e-5, rtol=1e-4, msg=lambda m, n=name: n + m
        )


def test_batches_and_order_do_not_matter() -> None:
    model = build(1)
    rows = [draw_row() for _ in range(20)]
    alone = [exact_log_probability(copy.deepcopy(model).double(), row).item() for row in rows]
    assert score_answers(model, rows, 0) == pytest.approx(alone, abs=1e-4)
    with torch.inference_mode():
        assert log_probabilities(model, rows[:3], 7).tolist() == pytest.approx(alone[:3], abs=1e-4)


def test_the_untrained_model_has_margin_0_and_loss_log_2() -> None:
    model = build(1)
    pairs = draw_pairs(6, model)
    measured = PreferenceLoss(model, 0, [], PreferenceConfig()).measure(pairs)
    assert measured["loss"] == pytest.approx(math.log(2), abs=1e-6)
    assert measured["margin"] == pytest.approx(0.0, abs=1e-6)
    assert measured["likelier"] == measured["likelier_before"]
    expected = sum(pair.before_chosen > pair.before_rejected for pair in pairs) / 6
    assert measured["likelier_before"] == expected


@torch.no_grad()
def test_the_metrics_are_those_of_the_formula() -> None:
    model, before = build(1), build(2)
    pairs = draw_pairs(8, before)
    measured = PreferenceLoss(model, 0, pairs, PreferenceConfig(beta=0.5)).score()
    exact, exact_before = copy.deepcopy(model).double(), copy.deepcopy(before).double()
    margins = [
        0.5 * sum(
            sign * (exact_log_probability(exact, row) - exact_log_probability(exact_before, row))
            for sign, row in ((1, pair.chosen), (-1, pair.rejected))
        )
        for pair in pairs
    ]  # fmt: skip
    assert measured["margin"] == pytest.approx(sum(map(float, margins)) / 8, abs=1e-4)
    assert measured["accuracy"] == sum(float(margin) > 0 for margin in margins) / 8
    assert PreferenceLoss(model, 0, [], PreferenceConfig()).score() == {}


def test_with_smoothing_the_best_margin_is_the_odds_of_a_right_pair() -> None:
    margins = torch.linspace(-4, 4, 8001)
    best = margins[preference_losses(margins, 0.2).argmin()]
    assert best.item() == pytest.approx(math.log(0.8 / 0.2), abs=1e-3)


def test_disabled_adapters_are_the_model_before() -> None:
    model = build(1)
    rows = [draw_row() for _ in range(6)]
    before = score_answers(model, rows, 0)
    trained = add_adapters(model, LoRAConfig(rank=2), range(2))
    with torch.no_grad():
        for parameter in trained.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.3)
    assert score_answers(trained, rows, 0) != pytest.approx(before, abs=0.1)  # type: ignore[arg-type]
    with trained.disable_adapter():  # type: ignore[operator]
        assert score_answers(trained, rows, 0) == before  # type: ignore[arg-type]
