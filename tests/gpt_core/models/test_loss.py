import math

import pytest
import torch

from gpt_core.models import IGNORED, next_token_loss, perplexity

B, T, V = 2, 5, 11
LOGITS = torch.randn(B, T, V, generator=torch.Generator().manual_seed(0))
TARGETS = torch.randint(V, (B, T), generator=torch.Generator().manual_seed(1))


def test_the_loss_is_the_mean_negative_log_probability_of_the_targets() -> None:
    probabilities = LOGITS.exp() / LOGITS.exp().sum(-1, keepdim=True)
    chosen = probabilities.gather(-1, TARGETS.unsqueeze(-1)).squeeze(-1)
    torch.testing.assert_close(next_token_loss(LOGITS, TARGETS), -chosen.log().mean())


def test_uniform_logits_cost_the_logarithm_of_the_vocabulary_size() -> None:
    loss = next_token_loss(torch.zeros(B, T, V), TARGETS)
    assert loss.item() == pytest.approx(math.log(V), rel=1e-6)


def test_ignored_targets_are_excluded_from_sum_and_mean() -> None:
    targets = TARGETS.clone()
    targets[0] = IGNORED
    torch.testing.assert_close(
        next_token_loss(LOGITS, targets), next_token_loss(LOGITS[1:], TARGETS[1:])
    )
    each = next_token_loss(LOGITS, targets, reduction="none")
    assert each.shape == (B, T)
    assert not each[0].any()
    torch.testing.assert_close(each.sum(), next_token_loss(LOGITS, targets, reduction="sum"))


def test_the_loss_of_bfloat16_logits_is_computed_in_float32() -> None:
    in_bf16 = LOGITS.bfloat16()
    loss = next_token_loss(in_bf16, TARGETS)
    assert loss.dtype == torch.float32
    assert torch.equal(loss, next_token_loss(in_bf16.float(), TARGETS))


def test_perplexity_is_the_exponential_of_the_loss_and_never_overflows() -> None:
    assert perplexity(0.0) == 1.0
    assert perplexity(math.log(257)) == pytest.approx(257)
    assert math.isfinite(perplexity(1e4))
    assert perplexity(1e4) == perplexity(math.inf) == math.exp(700)
    assert math.isnan(perplexity(math.nan))
