"""Decode token ids: prefill the prompts, then sample one token per row at a time.

This module sees ids only, never text.

Prompts of different lengths are batched without padding. All rows start at position 0 and the
shortest prompt's length is prefilled at once; from there a row whose prompt is longer is fed its
next prompt token instead of the sampled one. Every token therefore has the position that it would
have alone, and a row's output does not depend on the other rows.

Shapes: B rows, T time, V vocabulary.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from gpt_core.config import DecodingConfig, GPTConfig
from gpt_core.errors import DataError
from gpt_core.generation.samplers import RowUniforms, build_sampler
from gpt_core.models import GPT, KVCache, evaluating

_MAX_ROWS = 64
_MAX_CACHE_BYTES = 1 << 30
_MAX_LENGTH_SPREAD = 32  # tokens, in a batch: the excess of longer prompts is fed one at a time


def stream(
    model: GPT,
    prompt: Sequence[int] | Tensor,
    decoding: DecodingConfig,
    eos_id: int | None = None,
) -> Iterator[int]:
    """Generate the continuation of one prompt, yielding each id as soon as it is sampled.

    When the context is full, decoding continues from its newer half.

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
    for _, token_id in _decode(model, [prompt], [0], decoding, eos_id):
        yield token_id


def generate(
    model: GPT,
    prompts: Sequence[Sequence[int] | Tensor],
    decoding: DecodingConfig,
    eos_id: int | None = None,
) -> list[list[int]]:
    """Generate the continuations of many prompts in batches.

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
    outputs: list[list[int]] = [[] for _ in prompts]
    lengths = [len(_to_list(prompt)) for prompt in prompts]
    for indices in _batches(lengths, model, decoding):
        batch = [prompts[i] for i in indices]
        for row, token_id in _decode(model, batch, indices, decoding, eos_id):
            outputs[indices[row]].append(token_id)
    return outputs


def _batches(lengths: Sequence[int], model: GPT, decoding: DecodingConfig) -> Iterator[list[int]]:
    """Group prompts of similar length, bounding the rows and the KV cache of a batch.

    Yields:
        Indices of the prompts of each batch.
    """
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lengths.__getitem__):
        too_long = batch and lengths[index] - lengths[batch[0]] > _MAX_LENGTH_SPREAD
        tokens = min(lengths[index] + decoding.max_new_tokens, model.config.context_length)
        n_bytes = (len(batch) + 1) * tokens * _cache_bytes_per_token(model.config)
        if too_long or len(batch) == _MAX_ROWS or (batch and n_bytes > _MAX_CACHE_BYTES):
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def _cache_bytes_per_token(config: GPTConfig) -> int:
    return 2 * config.n_layer * config.n_embd * torch.float32.itemsize


def _decode(
    model: GPT,
    prompts: Sequence[Sequence[int] | Tensor],
    seed_offsets: Sequence[int],
    decoding: DecodingConfig,
    eos_id: int | None,
) -> Iterator[tuple[int, int]]:
    """Decode one batch.

    Args:
        model: The language model.
        prompts: Ids, one sequence per row.
        seed_offsets: Added to ``decoding.seed``, one per row.
        decoding: Sampling, and the maximum number of new tokens.
        eos_id: A row stops before it.

    Yields:
        A row and its new id, in the order of sampling.
    """
    sequences = [_read_prompt(prompt, model.config) for prompt in prompts]
    max_lengths = [len(sequence) + decoding.max_new_tokens for sequence in sequences]
    device = model.wte.weight.device
    seeds = [decoding.seed + offset for offset in seed_offsets]
    row_uniforms = RowUniforms(seeds, decoding.max_new_tokens)
    sample = build_sampler(decoding)
    window = _ContextWindow(model, max(max_lengths))
    n = min(map(len, sequences))  # tokens of each row that the model has been fed
    active, finished = list(range(len(sequences))), set[int]()
    with evaluating(model):
        while active:
            logits = window.next_logits([sequences[row] for row in active], n)
            draws = [n - max_lengths[row] for row in active]
            token_ids = sample(logits, row_uniforms.take(active, draws, device)).tolist()
            for row, token_id in zip(active, token_ids, strict=True):
                if n < len(sequences[row]):
                    continue  # still inside its prompt
                if token_id == eos_id or row in finished:
                    finished.add(row)
                else:
                    yield row, token_id
                sequences[row].append(token_id)
                if len(sequences[row]) == max_lengths[row]:
                    finished.add(row)
            n += 1
            if len(finished) * 2 >= len(active):  # copying the cache costs; so do idle rows
                active = window.drop_rows(active, finished)
                finished = set()


class _ContextWindow:
    """The model's context and its KV cache; when full, it restarts from the newer half.

    Args:
        model: The language model.
        n_tokens: Length that the longest sequence may reach.
    """

    def __init__(self, model: GPT, n_tokens: int) -> None:
        self.model = model
        self.n_tokens = n_tokens
        self.cache: KVCache | None = None

    @torch.inference_mode()
    def next_logits(self, sequences: Sequence[Sequence[int]], n: int) -> Tensor:
        """Logits of the token after the first ``n`` of each sequence, shape (B, V)."""
        context_length = self.model.config.context_length
        start = n - 1
        if self.cache is None or self.cache.length == context_length:
            start = 0 if self.cache is None else n - max(1, context_length // 2)
            self.cache = self._new_cache(len(sequences))
        new = torch.tensor([sequence[start:n] for sequence in sequences], device=self._device)
        return self.model.next_logits(new, self.cache)

    @torch.inference_mode()
    def drop_rows(self, active: Sequence[int], finished: set[int]) -> list[int]:
        """Drop the finished rows from the cache.

        Returns:
            The rows that remain.
        """
        kept = [index for index, row in enumerate(active) if row not in finished]
        if self.cache is not None and kept:
            self.cache.keep_rows(kept)
        return [active[index] for index in kept]

    def _new_cache(self, n_rows: int) -> KVCache:
        device_type = self._device.type
        dtype = self.model.wte.weight.dtype
        if torch.is_autocast_enabled(device_type):
            dtype = torch.get_autocast_dtype(device_type)
        return KVCache(self.model.config, n_rows, self._device, dtype, self.n_tokens)

    @property
    def _device(self) -> torch.device:
        return self.model.wte.weight.device


def _read_prompt(prompt: Sequence[int] | Tensor, config: GPTConfig) -> list[int]:
    """The last ``context_length`` ids of a prompt, as a new list.

    Raises:
        DataError: If the prompt is empty, or an id is outside the vocabulary.
    """
    token_ids = _to_list(prompt)
    if not token_ids:
        raise DataError("the prompt is empty: give at least one token to continue")
    outside = [i for i in token_ids if not 0 <= i < (config.vocab_size or 0)]
    if outside:
        raise DataError(
            f"token id {outside[0]} of the prompt is outside the model's vocabulary of "
            f"{config.vocab_size}: encode it with the model's own tokenizer"
        )
    return token_ids[-config.context_length :]


def _to_list(prompt: Sequence[int] | Tensor) -> list[int]:
    if isinstance(prompt, Tensor):
        return [int(i) for i in prompt.flatten().tolist()]
    return list(prompt)
