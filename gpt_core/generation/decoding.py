"""Continue prompts of ids with the engine: one as a stream, or many at once.

This module sees ids only, never text. Unlike a server's requests, a text may outgrow the context:
decoding then continues from its newer half.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from gpt_core.config import DecodingConfig, GPTConfig
from gpt_core.generation.active import check_prompt
from gpt_core.generation.beams import beam_search
from gpt_core.generation.engine import Engine, run
from gpt_core.generation.requests import Request
from gpt_core.models import GPT, LinearKind, evaluating

_MAX_SLOTS = 64
_MAX_CACHE_BYTES = 1 << 30
_MIN_PACKED_WIDTH = 512


def stream(
    model: GPT,
    prompt: Sequence[int] | Tensor,
    decoding: DecodingConfig,
    eos_id: int | None = None,
) -> Iterator[int]:
    """Generate the continuation of one prompt, yielding each id as soon as it is sampled.

    When the context is full, decoding continues from its newer half; beam search ends there.

    Args:
        model: The language model; its mode (training or evaluation) is restored afterwards.
        prompt: Ids, at least one, as a sequence or of shape (T,) or (1, T); only the last
            ``context_length`` are used.
        decoding: Sampling, and the maximum number of new tokens.
        eos_id: Stop before this id; None decodes to the maximum.

    Yields:
        The new ids.

    Raises:
        DataError: If the prompt is empty, or an id is outside the vocabulary.
    """
    if decoding.beams > 1:
        yield from _most_probable(model, prompt, decoding, eos_id)
        return
    for _, token_id in _decode(model, [prompt], decoding, eos_id):
        yield token_id


def generate(
    model: GPT,
    prompts: Sequence[Sequence[int] | Tensor],
    decoding: DecodingConfig,
    eos_id: int | None = None,
) -> list[list[int]]:
    """Generate the continuations of many prompts, as many at once as fit.

    The output for prompt i is that of ``stream`` with the seed ``decoding.seed + i``.

    Args:
        model: The language model; its mode (training or evaluation) is restored afterwards.
        prompts: Ids, at least one each; only the last ``context_length`` are used.
        decoding: Sampling, and the maximum number of new tokens per prompt.
        eos_id: A row stops before this id; None decodes to the maximum.

    Returns:
        The new ids of each prompt, without ``eos_id``.

    Raises:
        DataError: If a prompt is empty, or an id is outside the vocabulary.
    """
    if decoding.beams > 1:
        return [_most_probable(model, prompt, decoding, eos_id) for prompt in prompts]
    outputs: list[list[int]] = [[] for _ in prompts]
    if prompts:
        for index, token_id in _decode(model, prompts, decoding, eos_id):
            outputs[index].append(token_id)
    return outputs


def _decode(
    model: GPT,
    prompts: Sequence[Sequence[int] | Tensor],
    decoding: DecodingConfig,
    eos_id: int | None,
) -> Iterator[tuple[int, int]]:
    """Decode prompts; those of similar length at the same time, so that little is padded.

    Yields:
        A prompt's index and its new id, in the order of sampling.
    """
    sequences = [_read_prompt(prompt, model.config) for prompt in prompts]
    order = sorted(range(len(sequences)), key=lambda index: len(sequences[index]))
    requests = [to_request(sequences[i], decoding, decoding.seed + i, eos_id) for i in order]
    longest = len(sequences[order[-1]]) + decoding.max_new_tokens
    capacity = min(longest, model.config.context_length)
    with evaluating(model):
        n_slots = _count_slots(len(sequences), capacity, model.config)
        engine = Engine(
            model,
            n_slots=n_slots,
            prefill_budget=n_slots * capacity,  # nobody waits for the next token meanwhile
            capacity=capacity,
            linears=_linears(model.config, n_slots),
        )
        for place, update in run(engine, requests, slides=True):
            for choice in update.tokens:
                yield order[place], choice.token_id


def _most_probable(
    model: GPT, prompt: Sequence[int] | Tensor, decoding: DecodingConfig, eos_id: int | None
) -> list[int]:
    """The continuation that beam search finds, without the end of the document."""
    token_ids = _read_prompt(prompt, model.config)
    best = beam_search(model, token_ids, decoding.beams, decoding.max_new_tokens, eos_id)[0]
    return [token_id for token_id in best.token_ids if token_id != eos_id]


def to_request(
    prompt: tuple[int, ...], decoding: DecodingConfig, seed: int, eos_id: int | None
) -> Request:
    """A request to the engine.

    Args:
        prompt: Ids.
        decoding: Sampling, and the maximum number of new tokens; its seed and beams are not used.
        seed: Random seed.
        eos_id: Stop before this id; None decodes to the maximum.
    """
    return Request(
        prompt=prompt,
        max_new_tokens=decoding.max_new_tokens,
        temperature=decoding.temperature,
        top_k=decoding.top_k,
        top_p=decoding.top_p,
        seed=seed,
        lookup=decoding.lookup,
        stop_ids=frozenset(() if eos_id is None else (eos_id,)),
    )


def _count_slots(n_prompts: int, capacity: int, config: GPTConfig) -> int:
    """How many prompts are decoded at once: bounded in number, and in memory of the cache."""
    bytes_per_slot = 2 * config.n_layer * config.n_embd * torch.float32.itemsize * capacity
    return max(1, min(n_prompts, _MAX_SLOTS, _MAX_CACHE_BYTES // bytes_per_slot))


def _linears(config: GPTConfig, n_slots: int) -> LinearKind:
    """Packed weights where they are faster, packing included; the same choice in every run."""
    return "packed" if n_slots > 1 and config.n_embd >= _MIN_PACKED_WIDTH else "plain"


def _read_prompt(prompt: Sequence[int] | Tensor, config: GPTConfig) -> tuple[int, ...]:
    """The last ``context_length`` ids of a prompt.

    Raises:
        DataError: If the prompt is empty, or an id is outside the vocabulary.
    """
    token_ids = prompt.flatten().tolist() if isinstance(prompt, Tensor) else prompt
    kept = tuple(map(int, token_ids))
    check_prompt(kept, config)
    return kept[-config.context_length :]
