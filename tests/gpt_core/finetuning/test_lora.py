"""Adapters start as the identity, are all that is trained, and merge into the weights."""

import re
import sys

import pytest
import torch

from gpt_core.config import GPTConfig, LoRAConfig
from gpt_core.errors import ConfigError
from gpt_core.finetuning.lora import add_adapters, count_adapter_parameters, merge_adapters
from gpt_core.models import GPT, GPTClassifier, build_model, count_parameters

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
    merged, adapter = merge_adapters(adapted)
    assert isinstance(merged, GPT)
    assert adapter is not None
    assert dict(merged.named_parameters()).keys() == dict(build().named_parameters()).keys()
    torch.testing.assert_close(merged(TOKEN_IDS), expected, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(expected, build()(TOKEN_IDS), atol=0.1)
    assert len(adapter.tensors) == 3 * 4 * 2


def test_a_merged_weight_is_the_sum_that_the_paper_gives() -> None:
    adapted = add_adapters(build(), LoRAConfig(rank=2, alpha=12.0), range(3))
    disturb(adapted)
    merged, adapter = merge_adapters(adapted)
    assert adapter is not None
    for layer in range(3):
        place = f"base_model.model.transformer.h.{layer}.mlp.c_fc.lora_"
        B, A = adapter.tensors[f"{place}B.weight"], adapter.tensors[f"{place}A.weight"]
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
    merged, adapter = merge_adapters(adapted)
    torch.testing.assert_close(merged(TOKEN_IDS, lengths), expected, atol=1e-5, rtol=1e-5)
    fresh = GPTClassifier(build(), 2)
    assert dict(merged.named_parameters()).keys() == dict(fresh.named_parameters()).keys()
    assert adapter is not None
    assert adapter.settings["modules_to_save"] == ["score"]
    assert {"base_model.model.score.weight", "base_model.model.score.bias"} <= {*adapter.tensors}


def test_only_the_chosen_layers_get_adapters() -> None:
    config = LoRAConfig(rank=2, targets=("attn.c_attn", "mlp.c_proj"))
    adapted = add_adapters(build(), config, range(3))
    names = {n.partition(".lora_")[0] for n, p in adapted.named_parameters() if p.requires_grad}
    assert names == {
        f"base_model.model.h.{i}.{layer}" for i in range(3) for layer in config.targets
    }
    trained = sum(p.numel() for p in adapted.parameters() if p.requires_grad)
    assert trained == count_adapter_parameters(SHAPE, config)


def test_rank_8_on_all_layers_of_gpt2_is_less_than_a_hundredth_of_it() -> None:
    shape = GPTConfig(vocab_size=50257)
    everything = count_adapter_parameters(shape, LoRAConfig(rank=8)) / count_parameters(shape)
    assert everything == pytest.approx(0.00948, abs=1e-5)
    attention = LoRAConfig(rank=8, targets=("attn.c_attn",))
    assert count_adapter_parameters(shape, attention) / count_parameters(shape) < 0.0025


def test_a_converted_pissa_adapter_gives_the_trained_model_on_the_unchanged_weights() -> None:
    config = LoRAConfig(rank=3, alpha=7.0, variant="pissa")
    adapted = add_adapters(build(), config, range(3))
    start = adapted(TOKEN_IDS)
    torch.testing.assert_close(start, build()(TOKEN_IDS), atol=1e-4, rtol=1e-4)
    disturb(adapted)
    merged, adapter = merge_adapters(adapted)
    assert adapter is not None
    assert (adapter.settings["r"], adapter.settings["lora_alpha"]) == (6, 14)
    place = "base_model.model.transformer.h.1.attn.c_attn.lora_"
    B, A = adapter.tensors[f"{place}B.weight"], adapter.tensors[f"{place}A.weight"]
    assert isinstance(merged, GPT)
    expected = build().h[1].attn.c_attn.weight + 14 / 6 * B @ A
    torch.testing.assert_close(merged.h[1].attn.c_attn.weight, expected, atol=1e-5, rtol=1e-5)


def test_a_model_without_adapters_is_returned_unchanged() -> None:
    model = build()
    assert merge_adapters(model) == (model, None)


def test_a_missing_package_is_named_with_the_way_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ConfigError, match=re.escape("pip install 'gptflow[lora]'")):
        add_adapters(build(), LoRAConfig(rank=2), range(3))
