import math

import pytest
import torch
from torch import Tensor, nn

from gpt_core.config import GPTConfig
from gpt_core.models import CausalAttention, MultiHeadAttention, SelfAttention, explicit_attention
from gpt_core.models.attention import visible

B, T, C, H = 2, 7, 24, 3
D = C // H


def fresh(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_the_weights_of_a_query_add_up_to_one() -> None:
    ones = torch.ones(B, T, D)
    for causal in (False, True):
        mixed = explicit_attention(fresh(B, T, D), fresh(B, T, D, seed=1), ones, causal=causal)
        torch.testing.assert_close(mixed, ones)


def test_attention_is_the_formula_computed_by_hand() -> None:
    query, key = torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, -1.0], [0.5, 0.5]])
    value = torch.tensor([[1.0], [0.0]])
    first, second = (3 - 2) / math.sqrt(2), (0.5 + 1) / math.sqrt(2)
    expected = math.exp(first) / (math.exp(first) + math.exp(second))
    mixed = explicit_attention(query, key, value, causal=False)
    assert mixed.item() == pytest.approx(expected, rel=1e-6)


def test_self_attention_does_not_care_about_the_order_of_the_tokens() -> None:
    layer = SelfAttention(C, D)
    x, order = fresh(B, T, C), torch.randperm(T, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(layer(x[:, order]), layer(x)[:, order])


def test_causal_attention_of_the_last_token_is_self_attention() -> None:
    rung_1, rung_2 = SelfAttention(C, D), CausalAttention(C, D)
    rung_2.load_state_dict(rung_1.state_dict())
    x = fresh(B, T, C)
    torch.testing.assert_close(rung_2(x)[:, -1], rung_1(x)[:, -1])


def test_many_heads_are_single_heads_side_by_side() -> None:
    for backend in ("explicit", "sdpa"):
        layer = MultiHeadAttention(GPTConfig(n_embd=C, n_head=H, attention=backend))
        heads = [head_of(layer, index) for index in range(H)]
        x = fresh(B, T, C)
        torch.testing.assert_close(layer(x), layer.c_proj(torch.cat([h(x) for h in heads], -1)))


def head_of(layer: MultiHeadAttention, index: int) -> CausalAttention:
    """One head of many as a rung-2 module with the same weights; the biases are taken as zero."""
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
def test_a_later_token_moves_nothing_before_it(layer: nn.Module, changed: int) -> None:
    x = fresh(B, T, C)
    other = torch.cat([x[:, :changed], fresh(B, T - changed, C, seed=9)], dim=1)
    before, after = layer(x), layer(other)
    torch.testing.assert_close(after[:, :changed], before[:, :changed])
    assert not torch.allclose(after[:, changed], before[:, changed])


@pytest.mark.parametrize(("n_queries", "n_keys"), [(T, T), (1, T), (3, T)])
def test_both_backends_give_the_same_with_and_without_cached_keys(
    n_queries: int, n_keys: int
) -> None:
    written, fused = (
        MultiHeadAttention(GPTConfig(n_embd=C, n_head=H, attention=backend))
        for backend in ("explicit", "sdpa")
    )
    query = fresh(B, H, n_queries, D)
    key, value = fresh(B, H, n_keys, D, seed=1), fresh(B, H, n_keys, D, seed=2)
    torch.testing.assert_close(written.attend(query, key, value), fused.attend(query, key, value))


def test_the_mask_is_aligned_at_the_newest_key() -> None:
    mask = visible(3, 5, torch.device("cpu"))
    assert mask.sum(dim=1).tolist() == [3, 4, 5]
    assert mask[:, 0].all()


@pytest.mark.parametrize("backend", ["explicit", "sdpa"])
def test_attention_weights_are_dropped_in_training_only(backend: str) -> None:
    torch.manual_seed(0)
    layer = MultiHeadAttention(
        GPTConfig(n_embd=C, n_head=H, attention=backend, attention_dropout=0.5)
    )
    x = fresh(B, T, C)
    assert not torch.equal(layer(x), layer(x))
    layer.eval()
    assert torch.equal(layer(x), layer(x))
