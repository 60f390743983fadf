"""Adapters start as the identity, are all that is trained, and merge into the weights."""

import re
import sys

import pytest
import torch

from gpt_core.config import GPTConfig, LoRAConfig
from gpt_core.errors import ConfigError
from gpt_core.finetuning.lora import add_adapters, merge_adapters
from gpt_core.models import GPT, GPTClassifier, build_model

SHAPE = GPTConfig(n_layer=3, n_head=2, n_embd=16, vocab_size=50, context_length=12)
TOKEN_IDS = torch.arange(24).view(2, 12)


def build() -> GPT:
    return build_model(SHAPE, seed=4).eval()


def disturb(trained: torch.nn.Module) -> None:
    """Gives the adapters weights, as training would."""
    with torch.no_grad():
        for parameter in trained.parameters():
            if parameter.requires_grad:
                parameter.normal_(0.0, 0.3)


def test_fresh_adapters_change_nothing() -> None:
    expected = build()(TOKEN_IDS)
    adapted = add_adapters(build(), LoRAConfig(rank=2), range(3))
    torch.testing.assert_close(adapted(TOKEN_IDS), expected)


def test_merged_weights_give_the_logits_of_the_adapters() -> None:
    adapted = add_adapters(build(), LoRAConfig(rank=2, alpha=12.0), range(3))
    disturb(adapted)
    expected = adapted(TOKEN_IDS)
    merged, adapters = merge_adapters(adapted)
    assert isinstance(merged, GPT)
    assert dict(merged.named_parameters()).keys() == dict(build().named_parameters()).keys()
    torch.testing.assert_close(merged(TOKEN_IDS), expected, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(expected, build()(TOKEN_IDS), atol=0.1)
    assert len(adapters) == 3 * 4 * 2


def test_a_merged_weight_is_the_sum_that_the_paper_gives() -> None:
    adapted = add_adapters(build(), LoRAConfig(rank=2, alpha=12.0), range(3))
    disturb(adapted)
    merged, adapters = merge_adapters(adapted)
    for layer in range(3):
        place = f"base_model.model.h.{layer}.mlp.c_fc.lora_"
        B, A = adapters[f"{place}B.weight"], adapters[f"{place}A.weight"]
        expected = build().h[layer].mlp.c_fc.weight + 12.0 / 2 * B @ A
        torch.testing.assert_close(merged.h[layer].mlp.c_fc.weight, expected)


def test_only_the_adapters_of_the_chosen_blocks_and_the_head_are_trained() -> None:
    adapted = add_adapters(GPTClassifier(build(), 2), LoRAConfig(rank=4), range(1, 3), ("score",))
    names = [n for n, p in adapted.named_parameters() if p.requires_grad]
    adapters = [name for name in names if "lora_" in name]
    assert {re.findall(r"h\.(\d+)\.", name)[0] for name in adapters} == {"1", "2"}
    assert len(adapters) == 2 * 4 * 2
    assert all("score" in name for name in set(names) - set(adapters))
    assert len(names) == len(adapters) + 2


def test_the_head_that_was_trained_is_the_merged_classifiers() -> None:
    adapted = add_adapters(GPTClassifier(build(), 2), LoRAConfig(rank=2), range(3), ("score",))
    disturb(adapted)
    lengths = torch.tensor([12, 5])
    expected = adapted(TOKEN_IDS, lengths)
    merged, adapters = merge_adapters(adapted)
    torch.testing.assert_close(merged(TOKEN_IDS, lengths), expected, atol=1e-5, rtol=1e-5)
    fresh = GPTClassifier(build(), 2)
    assert dict(merged.named_parameters()).keys() == dict(fresh.named_parameters()).keys()
    assert any("score" in name for name in adapters)


def test_a_model_without_adapters_is_returned_unchanged() -> None:
    model = build()
    assert merge_adapters(model) == (model, {})


def test_a_missing_package_is_named_with_the_way_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ConfigError, match=re.escape("pip install 'gptflow[lora]'")):
        add_adapters(build(), LoRAConfig(rank=2), range(3))
