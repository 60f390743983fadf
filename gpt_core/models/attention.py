"""Attention, step by step: without a mask, with one, with many heads.

Shapes: B batch, H heads, T time (queries), S time (keys: T plus what is cached), C width,
D head width (C = H × D).
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gpt_core.config import GPTConfig
from gpt_core.models.kv_cache import KVCache


def explicit_attention(
    query: Tensor, key: Tensor, value: Tensor, *, causal: bool, dropout: float = 0.0
) -> Tensor:
    """Each query's average of the values, weighted by how well the keys answer it.

    ``softmax(q k^T / sqrt(D)) v``. With ``causal`` the last query sees all keys, the one before
    it all but the last, and so on, whether or not earlier keys come from a cache.

    Args:
        query: Shape (..., T, D).
        key: Shape (..., S, D), S at least T.
        value: Shape (..., S, D).
        causal: Hide the keys that come after a query.
        dropout: Probability of dropping a weight.

    Returns:
        Shape (..., T, D).

    References:
        Vaswani et al. 2017, "Attention Is All You Need", section 3.2.1.
    """
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.size(-1))  # (..., T, S)
    if causal:
        scores = scores.masked_fill(
            ~visible(scores.size(-2), scores.size(-1), query.device), -torch.inf
        )
    weights = F.dropout(scores.softmax(dim=-1), dropout)
    return weights @ value  # (..., T, D)


def visible(n_queries: int, n_keys: int, device: torch.device) -> Tensor:
    """Which keys each query may see: the causal mask, aligned at the end.

    Returns:
        True where the key does not come after the query, shape (T, S).

    Example:
        >>> visible(2, 3, torch.device("cpu")).int()
        tensor([[1, 1, 0],
                [1, 1, 1]], dtype=torch.int32)
    """
    ones = torch.ones(n_queries, n_keys, dtype=torch.bool, device=device)
    return ones.tril(diagonal=n_keys - n_queries)


class SelfAttention(nn.Module):
    """One head, no mask: every token looks at every token. The first rung of the ladder.

    Args:
        width: C of the input.
        head_width: D of queries, keys and values.
    """

    def __init__(self, width: int, head_width: int) -> None:
        super().__init__()
        self.query = nn.Linear(width, head_width, bias=False)
        self.key = nn.Linear(width, head_width, bias=False)
        self.value = nn.Linear(width, head_width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Mix the tokens: (B, T, C) to (B, T, D)."""
        return explicit_attention(self.query(x), self.key(x), self.value(x), causal=False)


class CausalAttention(SelfAttention):
    """One head that looks back only, so that a token cannot see what it is to predict.

    Args:
        width: C of the input.
        head_width: D of queries, keys and values.
        dropout: Probability of dropping an attention weight in training.
    """

    def __init__(self, width: int, head_width: int, dropout: float = 0.0) -> None:
        super().__init__(width, head_width)
        self.dropout = dropout

    def forward(self, x: Tensor) -> Tensor:
        """Mix each token with those before it: (B, T, C) to (B, T, D)."""
        dropout = self.dropout if self.training else 0.0
        query, key, value = self.query(x), self.key(x), self.value(x)
        return explicit_attention(query, key, value, causal=True, dropout=dropout)


class MultiHeadAttention(nn.Module):
    """H causal heads side by side and a projection that mixes them: the attention of GPT-2.

    Queries, keys and values of all heads come from one matrix product (``c_attn``). The heads go
    to ``explicit_attention`` or to torch's fused kernel, by ``GPTConfig.attention``.

    References:
        Vaswani et al. 2017, "Attention Is All You Need", section 3.2.2.
    """

    def __init__(self, config: GPTConfig, layer: int = 0) -> None:
        super().__init__()
        self.n_head = config.n_head
        self.layer = layer
        self.backend = config.attention
        self.dropout = config.dropout
        self.c_attn = nn.Linear(config.n_embd, 3 * config.n_embd, bias=config.bias)
        self.c_proj = nn.Linear(config.n_embd, config.n_embd, bias=config.bias)
        self.residual_dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, cache: KVCache | None = None) -> Tensor:
        """Mix each token with those before it.

        Args:
            x: The normalized residual stream, shape (B, T, C).
            cache: Keys and values of earlier tokens; this layer's are added to it.

        Returns:
            What is added to the stream, shape (B, T, C).
        """
        B, T, C = x.shape
        qkv = self.c_attn(x).view(B, T, 3, self.n_head, C // self.n_head)
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)  # each (B, H, T, D)
        if cache is not None:
            key, value = cache.extend(self.layer, key, value)  # each (B, H, S, D)
        mixed = self.attend(query, key, value)  # (B, H, T, D)
        mixed = mixed.transpose(1, 2).reshape(B, T, C)
        out: Tensor = self.residual_dropout(self.c_proj(mixed))
        return out

    def attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Causal attention of all heads by the chosen backend: (B, H, T, D)."""
        dropout = self.dropout if self.training else 0.0
        T, S = query.size(-2), key.size(-2)
        if self.backend == "explicit":
            return explicit_attention(query, key, value, causal=True, dropout=dropout)
        if T == 1:  # the newest token sees everything: no mask
            return F.scaled_dot_product_attention(query, key, value, dropout_p=dropout)
        if T == S:
            return F.scaled_dot_product_attention(
                query, key, value, dropout_p=dropout, is_causal=True
            )
        mask = visible(T, S, query.device)
        return F.scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=dropout)
