import math

import pytest
import torch
from torch import Tensor, nn

from gpt_core.config import GPTConfig
from gpt_core.models import (
    CausalAttention,
    KVCache,
    MultiHeadAttention,
    SelfAttention,
    TransformerBlock,
    explicit_attention,
)
from gpt_core.models.attention import causal_mask

B, T, C, H = 2, 7, 24, 3
D = C // H


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_attention_weights_sum_to_one() -> None:
    ones = torch.ones(B, T, D)
    for causal in (False, True):
        out = explicit_attention(random(B, T, D), random(B, T, D, seed=1), ones, causal=causal)
        torch.testing.assert_close(out, ones)


def test_attention_equals_the_formula_computed_by_hand() -> None:
    query, key = torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, -1.0], [0.5, 0.5]])
    value = torch.tensor([[1.0], [0.0]])
    first, second = (3 - 2) / math.sqrt(2), (0.5 + 1) / math.sqrt(2)
    expected = math.exp(first) / (math.exp(first) + math.exp(second))
    out = explicit_attention(query, key, value, causal=False)
    assert out.item() == pytest.approx(expected, rel=1e-6)


def test_self_attention_is_permutation_equivariant() -> None:
    layer = SelfAttention(C, D)
    x, order = random(B, T, C), torch.randperm(T, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(layer(x[:, order]), layer(x)[:, order])


def test_causal_attention_of_the_last_token_is_self_attention() -> None:
    without_mask, causal = SelfAttention(C, D), CausalAttention(C, D)
    causal.load_state_dict(without_mask.state_dict())
    x = random(B, T, C)
    torch.testing.assert_close(causal(x)[:, -1], without_mask(x)[:, -1])


def test_multi_head_attention_equals_concatenated_single_heads() -> None:
    for backend in ("explicit", "sdpa"):
        layer = MultiHeadAttention(GPTConfig(n_embd=C, n_head=H, attention=backend))
        heads = [head_of(layer, index) for index in range(H)]
        x = random(B, T, C)
        torch.testing.assert_close(layer(x), layer.c_proj(torch.cat([h(x) for h in heads], -1)))


def head_of(layer: MultiHeadAttention, index: int) -> CausalAttention:
    """One of the heads as a ``CausalAttention`` with its weights; biases are set to zero."""
    nn.init.zeros_(layer.c_attn.bias)
    head = CausalAttention(C, D)
    with torch.no_grad():
        for offset, name in enumerate(("query", "key", "value")):
            start = offset * C + index * D
            getattr(head, name).weight.copy_(layer.c_attn.weight[start : start + D])
    return head


@pytest.mark.parametrize(
    "layer",
    [
        CausalAttention(C, D),
        MultiHeadAttention(GPTConfig(n_embd=C, n_head=H, attention="explicit")),
        MultiHeadAttention(GPTConfig(n_embd=C, n_head=H, attention="sdpa")),
    ],
    ids=["one head", "explicit", "sdpa"],
)
@pytest.mark.parametrize("changed", range(1, T))
def test_attention_is_causal(layer: nn.Module, changed: int) -> None:
    x = random(B, T, C)
    other = torch.cat([x[:, :changed], random(B, T - changed, C, seed=9)], dim=1)
    before, after = layer(x), layer(other)
    torch.testing.assert_close(after[:, :changed], before[:, :changed])
    assert not torch.allclose(after[:, changed], before[:, changed])


@pytest.mark.parametrize(("n_queries", "n_keys"), [(T, T), (1, T), (3, T)])
def test_both_backends_agree_with_and_without_cached_keys(n_queries: int, n_keys: int) -> None:
    explicit, fused = (
        MultiHeadAttention(GPTConfig(n_embd=C, n_head=H, attention=backend))
        for backend in ("explicit", "sdpa")
    )
    query = random(B, H, n_queries, D)
    key, value = random(B, H, n_keys, D, seed=1), random(B, H, n_keys, D, seed=2)
    torch.testing.assert_close(explicit.attend(query, key, value), fused.attend(query, key, value))


def test_a_single_head_needs_no_dimension_for_heads() -> None:
    query, key, value = random(B, 3, D), random(B, T, D, seed=1), random(B, T, D, seed=2)
    alone = explicit_attention(query, key, value, causal=True)
    as_one_of_heads = explicit_attention(
        *(each.unsqueeze(1) for each in (query, key, value)), causal=True
    )
    torch.testing.assert_close(alone, as_one_of_heads.squeeze(1))


@pytest.mark.parametrize("kind", [MultiHeadAttention, TransformerBlock])
@torch.inference_mode()
def test_a_lone_layer_continues_from_a_cache_of_one_layer(kind: type[nn.Module]) -> None:
    config = GPTConfig(n_layer=1, n_embd=C, n_head=H, context_length=T)
    layer, x, cache = kind(config), random(B, T, C), KVCache(config, B)
    first = layer(x[:, :4], cache)
    cache.advance(4)
    torch.testing.assert_close(torch.cat([first, layer(x[:, 4:], cache)], dim=1), layer(x))


def test_the_causal_mask_is_aligned_at_the_last_key() -> None:
    mask = causal_mask(3, 5, torch.device("cpu"))
    assert mask.sum(dim=1).tolist() == [3, 4, 5]
    assert mask[:, 0].all()


@pytest.mark.parametrize("backend", ["explicit", "sdpa"])
def test_attention_weights_are_dropped_in_training_only(backend: str) -> None:
    torch.manual_seed(0)
    layer = MultiHeadAttention(
        GPTConfig(n_embd=C, n_head=H, attention=backend, attention_dropout=0.5)
    )
    x = random(B, T, C)
    without = MultiHeadAttention(GPTConfig(n_embd=C, n_head=H, attention=backend))
    without.load_state_dict(layer.state_dict())
    assert not torch.equal(layer(x), layer(x))
    assert torch.equal(layer.eval()(x), without(x))


def test_one_head_drops_attention_weights_in_training_only() -> None:
    torch.manual_seed(0)
    layer, x = CausalAttention(C, D, dropout=0.5), random(B, T, C)
    without = CausalAttention(C, D)
    without.load_state_dict(layer.state_dict())
    assert not torch.equal(layer(x), layer(x))
    assert torch.equal(layer.eval()(x), without(x))


@pytest.mark.parametrize("backend", ["explicit", "sdpa"])
@pytest.mark.parametrize(("n_queries", "n_keys"), [(T, T), (1, T), (3, T)])
def test_attention_weights_are_dropped_with_cached_keys_too(
    backend: str, n_queries: int, n_keys: int
) -> None:
    torch.manual_seed(0)
    layer = MultiHeadAttention(
        GPTConfig(n_embd=C, n_head=H, attention=backend, attention_dropout=0.5)
    )
    query, key = random(B, H, n_queries, D), random(B, H, n_keys, D, seed=1)
    assert not torch.equal(layer.attend(query, key, key), layer.attend(query, key, key))
