"""Decode: prefill the prompt, then one token at a time until the end of the document.

It deals in ids alone and never sees text.

Shapes: B batch, T time, C width, V vocabulary.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from gpt_core.config import DecodingConfig
from gpt_core.errors import DataError
from gpt_core.generation.samplers import Sampler, build_sampler
from gpt_core.models import GPT, KVCache


def stream(
    model: GPT, prompt: Sequence[int], decoding: DecodingConfig, eos_id: int | None = None
) -> Iterator[int]:
    """New tokens, one at a time, as they are decoded.

    When the context is full, decoding goes on from its newer half.

    Args:
        model: The language model; it is left in the mode (training or not) it came in.
        prompt: Ids to go on from, at least one; only the last ``context_length`` are seen.
        decoding: How tokens are chosen, and how many at most.
        eos_id: Decoding stops before this id; None never stops early.

    Yields:
        The new ids.

    Raises:
        DataError: If the prompt is empty.
    """
    for row in _decode(model, [list(prompt)], decoding, eos_id):
        yield row[0]


def generate(
    model: GPT,
    prompts: Sequence[Sequence[int]],
    decoding: DecodingConfig,
    eos_id: int | None = None,
) -> list[list[int]]:
    """The new tokens of each prompt; prompts of equal length are decoded together.

    Args:
        model: The language model.
        prompts: Ids to go on from, at least one each.
        decoding: How tokens are chosen, and how many at most.
        eos_id: A row stops before this id; None never stops early.

    Returns:
        The new ids of each prompt, without ``eos_id``.

    Raises:
        DataError: If a prompt is empty.
    """
    by_length: dict[int, list[int]] = defaultdict(list)
    for index, prompt in enumerate(prompts):
        by_length[len(prompt)].append(index)
    answers: list[list[int]] = [[] for _ in prompts]
    for indices in by_length.values():
        rows = [list(prompts[index]) for index in indices]
        finished: set[int] = set()
        for new in _decode(model, rows, decoding, eos_id):
            for row, (index, token_id) in enumerate(zip(indices, new, strict=True)):
                if token_id == eos_id:
                    finished.add(row)
                if row not in finished:
                    answers[index].append(token_id)
    return answers


def _decode(
    model: GPT, prompts: list[list[int]], decoding: DecodingConfig, eos_id: int | None
) -> Iterator[list[int]]:
    """The next id of every row, until all rows have ended; prompts of one length.

    A single row ends before its ``eos_id``; of several rows, one that has ended goes on producing
    ids that the caller drops.
    """
    if not prompts[0]:
        raise DataError("the prompt is empty: give at least one token to go on from")
    was_training = model.training
    model.eval()
    device = model.wte.weight.device
    sampler = build_sampler(decoding, device)
    seen = torch.tensor(prompts, device=device)  # (B, T)
    ended = [False] * len(prompts)
    cache: KVCache | None = None
    try:
        for _ in range(decoding.max_new_tokens):
            cache, chosen = _next(model, seen, cache, sampler)
            seen = torch.cat([seen, chosen.unsqueeze(1)], dim=1)
            new = chosen.tolist()
            ended = [done or i == eos_id for done, i in zip(ended, new, strict=True)]
            if len(new) == 1 and ended[0]:
                return
            yield new
            if all(ended):
                return
    finally:
        model.train(was_training)


@torch.inference_mode()
def _next(
    model: GPT, seen: Tensor, cache: KVCache | None, sampler: Sampler
) -> tuple[KVCache, Tensor]:
    """Score and choose the next id of each row: the cache to go on with, and ids of shape (B,)."""
    limit = model.config.context_length
    if cache is None or cache.length == limit:
        kept = seen[:, -limit:] if cache is None else seen[:, -max(1, limit // 2) :]
        weight = model.wte.weight
        cache = KVCache(model.config, len(seen), weight.device, weight.dtype)
    else:
        kept = seen[:, -1:]
    hidden = model.hidden(kept, cache)[:, -1]  # (B, C)
    return cache, sampler(model.lm_head(hidden))
