"""One forward pass, step by step, with everything that it computes on the way.

The steps are those of ``GPT.forward``, written out on the model's own modules. Nothing is hooked
into the model, so it is neither changed nor slowed.

Shapes: T time, C width, H heads, D head width, V vocabulary.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gpt_core.errors import DataError
from gpt_core.models import GPT, evaluating
from gpt_core.models.attention import MultiHeadAttention, causal_mask
from gpt_core.models.block import TransformerBlock


@dataclass(frozen=True, kw_only=True, slots=True)
class BlockRecording:
    """Everything that one block computes."""

    stream_in: Tensor
    """The residual stream before the block, shape (T, C)."""

    normalized_1: Tensor
    """The input of attention, shape (T, C)."""

    query: Tensor
    """Shape (H, T, D)."""

    key: Tensor
    """Shape (H, T, D)."""

    value: Tensor
    """Shape (H, T, D)."""

    scores: Tensor
    """``q k^T / sqrt(D)``, -inf for keys after the query, shape (H, T, T)."""

    weights: Tensor
    """The softmax of the scores: how much each query (row) takes of each key, shape (H, T, T)."""

    head_updates: Tensor
    """The update of each head, without the bias of the output projection, shape (H, T, C)."""

    attention_update: Tensor
    """The update of attention: the sum of the heads and the bias, shape (T, C)."""

    stream_middle: Tensor
    """The residual stream between the sublayers, shape (T, C)."""

    normalized_2: Tensor
    """The input of the feed-forward network, shape (T, C)."""

    pre_activations: Tensor
    """The neurons before GELU, shape (T, 4 C)."""

    activations: Tensor
    """The neurons after GELU, shape (T, 4 C)."""

    feed_forward_update: Tensor
    """The update of the feed-forward network, shape (T, C)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Recording:
    """Everything that a model computes for one sequence, on the CPU in float32."""

    token_ids: tuple[int, ...]
    """The sequence, T ids."""

    token_embeddings: Tensor
    """Shape (T, C)."""

    position_embeddings: Tensor
    """Shape (T, C)."""

    blocks: tuple[BlockRecording, ...]
    """One for each block."""

    stream: Tensor
    """The residual stream after the last block, shape (T, C)."""

    normalized: Tensor
    """The input of the head, shape (T, C)."""

    logits: Tensor
    """The next token after each position, shape (T, V)."""

    @property
    def streams(self) -> list[Tensor]:
        """The residual stream before each block and after the last one, each (T, C)."""
        return [*(block.stream_in for block in self.blocks), self.stream]


@torch.no_grad()
def record(model: GPT, token_ids: Sequence[int]) -> Recording:
    """Compute the logits of a sequence and keep every intermediate result.

    Args:
        model: The language model, in float32; its mode is restored afterwards.
        token_ids: At least one id, at most ``context_length``.

    Raises:
        DataError: If there is no id, there are more than fit into the context, or one is outside
            the vocabulary.
    """
    ids = require_ids(model, token_ids)
    with evaluating(model):
        positions = torch.arange(len(ids), device=model.wte.weight.device)
        tokens, places = model.wte(torch.tensor(ids, device=positions.device)), model.wpe(positions)
        stream, blocks = tokens + places, list[BlockRecording]()
        for block in model.h:
            assert isinstance(block, TransformerBlock)
            recorded = _record_block(block, stream)
            stream = recorded.stream_middle + recorded.feed_forward_update
            blocks.append(recorded)
        normalized = model.ln_f(stream)
        logits = model.lm_head(normalized)
    return Recording(
        token_ids=ids, token_embeddings=tokens.cpu(), position_embeddings=places.cpu(),
        blocks=tuple(map(_on_cpu, blocks)), stream=stream.cpu(), normalized=normalized.cpu(),
        logits=logits.cpu(),
    )  # fmt: skip


def require_ids(model: GPT, token_ids: Sequence[int]) -> tuple[int, ...]:
    """A sequence that the model can read.

    Raises:
        DataError: If there is no id, there are more than fit into the context, or one is outside
            the vocabulary.
    """
    ids, config = tuple(int(token_id) for token_id in token_ids), model.config
    if not ids:
        raise DataError("the text has no token: give at least one word")
    if len(ids) > config.context_length:
        raise DataError(
            f"the text has {len(ids)} tokens and the model's context holds {config.context_length}:"
            " give a shorter one"
        )
    outside = [token_id for token_id in ids if not 0 <= token_id < (config.vocab_size or 0)]
    if outside:
        raise DataError(
            f"token id {outside[0]} is outside the model's vocabulary of {config.vocab_size}: "
            "encode the text with the model's own tokenizer"
        )
    return ids


def _record_block(block: TransformerBlock, stream: Tensor) -> BlockRecording:
    """Compute ``x + attn(ln_1(x))``, then ``x + mlp(ln_2(x))``."""
    attention, feed_forward = block.attn, block.mlp
    normalized_1 = block.ln_1(stream)
    query, key, value = split_heads(attention, normalized_1)
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.size(-1))  # (H, T, T)
    T = stream.size(0)
    scores = scores.masked_fill(~causal_mask(T, T, stream.device), -torch.inf)
    weights = scores.softmax(dim=-1)
    head_updates = (weights @ value) @ output_weights(attention)  # (H, T, C)
    attention_update = head_updates.sum(dim=0)
    if attention.c_proj.bias is not None:
        attention_update = attention_update + attention.c_proj.bias
    middle = stream + attention_update
    normalized_2 = block.ln_2(middle)
    pre_activations = feed_forward.c_fc(normalized_2)
    activations = feed_forward.activation(pre_activations)
    return BlockRecording(
        stream_in=stream, normalized_1=normalized_1, query=query, key=key, value=value,
        scores=scores, weights=weights, head_updates=head_updates,
        attention_update=attention_update, stream_middle=middle, normalized_2=normalized_2,
        pre_activations=pre_activations, activations=activations,
        feed_forward_update=feed_forward.c_proj(activations),
    )  # fmt: skip


def split_heads(attention: MultiHeadAttention, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values of every head, each (H, T, D), from normalized states (T, C)."""
    qkv = attention.c_attn(x).view(x.size(0), 3, attention.n_head, -1)  # (T, 3, H, D)
    query, key, value = qkv.permute(1, 2, 0, 3).unbind(0)
    return query, key, value


def output_weights(attention: MultiHeadAttention) -> Tensor:
    """Each head's part of the output projection, shape (H, D, C)."""
    weight = attention.c_proj.weight  # (C, H D)
    return weight.T.reshape(attention.n_head, -1, weight.size(0))


def _on_cpu(block: BlockRecording) -> BlockRecording:
    values = {name: getattr(block, name).cpu() for name in BlockRecording.__slots__}
    return BlockRecording(**values)
