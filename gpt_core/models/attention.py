"""Attention, step by step: without a mask, with one, with many heads.

Attention is a soft dictionary lookup. Every token emits a query, a key and a value; its output is
the average of all values, weighted by how well their keys match its query. Three steps lead to
the form that GPT-2 uses:

1. ``SelfAttention``: one head, every token attends to every other.
2. ``CausalAttention``: the same, but a token attends only to itself and earlier tokens.
3. ``MultiHeadAttention``: H of those in parallel, each in its own D of the C dimensions.

Given the weights of the step before, each step computes the same numbers; the tests check that.

Shapes: B batch, H heads, T time (queries), S time (keys: T plus the cached tokens), C width,
D head width (C = H × D).
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gpt_core.config import GPTConfig
from gpt_core.models.kv_cache import KVCache
from gpt_core.models.layers import Dropout
from gpt_core.models.manual_attention import manual_attention, prefers_manual_backward
from gpt_core.models.packing import Packing
from gpt_core.models.slot_cache import SlotStep


def explicit_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    causal: bool,
    dropout: float = 0.0,
    mask: Tensor | None = None,
) -> Tensor:
    """Scaled dot-product attention, computed step by step: ``softmax(q k^T / sqrt(D)) v``.

    The dot product of two vectors of D independent entries of variance 1 has a variance of D;
    divided by sqrt(D), the scores keep a variance of 1 and the softmax does not saturate. With
    ``causal`` the last query sees all keys, the one before it all but the last, and so on,
    whether or not the earlier keys come from a cache.

    Args:
        query: Shape (..., T, D).
        key: Shape (..., S, D), S at least T.
        value: Shape (..., S, D).
        causal: Mask the keys after each query.
        dropout: Probability of dropping an attention weight.
        mask: Added to the scores: 0, or -inf to mask a key; broadcasts to (..., T, S).

    Returns:
        Shape (..., T, D).

    References:
        Vaswani et al. 2017, "Attention Is All You Need", section 3.2.1.

    Example:
        Two keys that match a query equally well: the output is the mean of their values.

        >>> query, key = torch.zeros(1, 4), torch.ones(2, 4)
        >>> explicit_attention(query, key, torch.tensor([[2.0], [4.0]]), causal=False)
        tensor([[3.]])
    """
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.size(-1))  # (..., T, S)
    if causal:
        scores = scores.masked_fill(
            ~causal_mask(scores.size(-2), scores.size(-1), query.device), -torch.inf
        )
    if mask is not None:
        scores = scores + mask
    weights = F.dropout(scores.softmax(dim=-1), dropout)
    return weights @ value  # (..., T, D)


def causal_mask(n_queries: int, n_keys: int, device: torch.device) -> Tensor:
    """The causal mask, aligned at the end: which keys each query may attend to.

    Args:
        n_queries: T.
        n_keys: S, at least T; the first S - T keys come from a cache.
        device: Device of the mask.

    Returns:
        True where the key does not come after the query, shape (T, S).

    Example:
        >>> causal_mask(2, 3, torch.device("cpu")).int()
        tensor([[1, 1, 0],
                [1, 1, 1]], dtype=torch.int32)
    """
    ones = torch.ones(n_queries, n_keys, dtype=torch.bool, device=device)
    return ones.tril(diagonal=n_keys - n_queries)


class SelfAttention(nn.Module):
    """One head without a mask: every token attends to every token.

    ``q = x W_q, k = x W_k, v = x W_v, y = softmax(q k^T / sqrt(D)) v``: "self", because queries,
    keys and values come from the same tokens.

    Args:
        width: C of the input.
        head_width: D of queries, keys and values.

    References:
        Vaswani et al. 2017, "Attention Is All You Need", section 3.2.1.
    """

    def __init__(self, width: int, head_width: int) -> None:
        super().__init__()
        self.query = nn.Linear(width, head_width, bias=False)
        self.key = nn.Linear(width, head_width, bias=False)
        self.value = nn.Linear(width, head_width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Compute each token's attention over all tokens.

        Args:
            x: Shape (B, T, C).

        Returns:
            Shape (B, T, D).
        """
        return explicit_attention(self.query(x), self.key(x), self.value(x), causal=False)


class CausalAttention(SelfAttention):
    """One head with a causal mask: a token cannot see the tokens that it must predict.

    The scores of later tokens become -inf before the softmax, so their weights are exactly 0 and
    the other weights still add up to 1. One pass over T tokens then trains T predictions.

    Args:
        width: C of the input.
        head_width: D of queries, keys and values.
        dropout: Probability of dropping an attention weight in training.

    References:
        Vaswani et al. 2017, "Attention Is All You Need", section 3.2.3.
    """

    def __init__(self, width: int, head_width: int, dropout: float = 0.0) -> None:
        super().__init__(width, head_width)
        self.dropout = dropout

    def forward(self, x: Tensor) -> Tensor:
        """Compute each token's attention over itself and earlier tokens.

        Args:
            x: Shape (B, T, C).

        Returns:
            Shape (B, T, D).
        """
        dropout = self.dropout if self.training else 0.0
        query, key, value = self.query(x), self.key(x), self.value(x)
        return explicit_attention(query, key, value, causal=True, dropout=dropout)


class MultiHeadAttention(nn.Module):
    """H causal heads in parallel and an output projection: the attention of GPT-2.

    ``y = concat(head_1, ..., head_H) W_o``, each head a causal attention of width D = C / H: one
    head can follow the syntax while another finds the name last mentioned, at the cost of a
    single head of width C. Queries, keys and values of all heads come from one matrix product
    (``c_attn``, its outputs in that order). ``GPTConfig.attention`` chooses between
    ``explicit_attention`` and fused kernels: torch's, or ``manual_attention`` where it is faster.

    Args:
        config: The model's shape.
        layer: Index of the block, which selects this layer's part of a KV cache.

    References:
        Vaswani et al. 2017, "Attention Is All You Need", section 3.2.2.
    """

    def __init__(self, config: GPTConfig, layer: int = 0) -> None:
        super().__init__()
        self.n_head = config.n_head
        self.layer = layer
        self.backend = config.attention
        self.dropout = config.attention_dropout
        self.c_attn = nn.Linear(config.n_embd, 3 * config.n_embd, bias=config.bias)
        self.c_proj = nn.Linear(config.n_embd, config.n_embd, bias=config.bias)
        self.residual_dropout = Dropout(config.dropout)

    def forward(
        self,
        x: Tensor,
        cache: KVCache | SlotStep | None = None,
        packing: Packing | None = None,
    ) -> Tensor:
        """Compute the update of the residual stream.

        Args:
            x: The normalized residual stream, shape (B, T, C).
            cache: Keys and values of earlier tokens; those of ``x`` are appended to it.
            packing: The sequences that one row holds (B is 1): each attends to itself alone.

        Returns:
            Shape (B, T, C), to be added to the stream.
        """
        qkv = self.c_attn(x)  # (B, T, 3 C)
        if packing is not None:
            qkv = packing.unpack(qkv)  # a row for each sequence
        B, T, C = qkv.size(0), qkv.size(1), x.size(2)
        qkv = qkv.view(B, T, 3, self.n_head, C // self.n_head)
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)  # each (B, H, T, D)
        if cache is not None:
            key, value = cache.extend(self.layer, key, value)  # each (B, H, S, D)
        mask = cache.mask if isinstance(cache, SlotStep) else None
        heads = self.attend(query, key, value, mask)  # (B, H, T, D)
        concatenated = heads.transpose(1, 2).reshape(B, T, C)
        if packing is not None:
            concatenated = packing.pack(concatenated)
        out: Tensor = self.residual_dropout(self.c_proj(concatenated))
        return out

    def attend(
        self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None
    ) -> Tensor:
        """Compute causal attention in all heads with the configured backend.

        Args:
            query: Shape (B, H, T, D).
            key: Shape (B, H, S, D).
            value: Shape (B, H, S, D).
            mask: Added to the scores instead of the causal mask, shape (B, 1, T, S).

        Returns:
            Shape (B, H, T, D).
        """
        dropout = self.dropout if self.training else 0.0
        T, S = query.size(-2), key.size(-2)
        if self.backend == "explicit":
            return explicit_attention(
                query, key, value, causal=mask is None, dropout=dropout, mask=mask
            )
        if mask is not None:
            return F.scaled_dot_product_attention(
                query, key, value, attn_mask=mask.to(query.dtype), dropout_p=dropout
            )
        if prefers_manual_backward(query, key, dropout):
            return manual_attention(query, key, value)
        if T == 1:  # the newest token sees all keys: no mask
            return F.scaled_dot_product_attention(query, key, value, dropout_p=dropout)
        if T == S:  # nothing cached: the kernel masks by itself
            return F.scaled_dot_product_attention(
                query, key, value, dropout_p=dropout, is_causal=True
            )
        mask = causal_mask(T, S, query.device)
        return F.scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=dropout)
