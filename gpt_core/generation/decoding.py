"""Decode: prefill the prompt, then one token at a time until the end of the document.

It deals in ids alone and never sees text.

Prompts of different length go through the model together without padding: all rows start at
position 0, the shortest prompt's length is prefilled at once, and after that a row whose prompt
goes on is fed its own next token in place of the model's choice. Every token thus stands where it
would stand alone, so a row's answer does not depend on the others.

Shapes: B rows, T time, V vocabulary.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from gpt_core.config import DecodingConfig, GPTConfig
from gpt_core.errors import DataError
from gpt_core.generation.samplers import Dice, build_sampler
from gpt_core.models import GPT, KVCache, evaluating

_MOST_ROWS = 64
_MOST_CACHE_BYTES = 1 << 30
_WIDEST_SPREAD = 32  # lengths in a batch: a longer prompt's surplus is fed a token at a time


def stream(
    model: GPT,
    prompt: Sequence[int] | Tensor,
    decoding: DecodingConfig,
    eos_id: int | None = None,
) -> Iterator[int]:
    """New tokens, one at a time, as they are decoded.

    When the context is full, decoding goes on from its newer half.

    Args:
        model: The language model; it is left in the mode (training or not) it came in.
        prompt: Ids to go on from, at least one, as a sequence or of shape (T,) or (1, T); only
            the last ``context_length`` are seen.
        decoding: How tokens are chosen, and how many at most.
        eos_id: Decoding stops before this id; None never stops early.

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
    """The new tokens of each prompt, decoded in batches.

    The answer to prompt i is what ``stream`` gives with the seed ``decoding.seed + i``.

    Args:
        model: The language model; it is left in the mode (training or not) it came in.
        prompts: Ids to go on from, at least one each; only the last ``context_length`` are seen.
        decoding: How tokens are chosen, and how many at most.
        eos_id: A row stops before this id; None never stops early.

    Returns:
        The new ids of each prompt, without ``eos_id``.

    Raises:
        DataError: If a prompt is empty, or an id is outside the vocabulary.
    """
    answers: list[list[int]] = [[] for _ in prompts]
    lengths = [len(_as_list(prompt)) for prompt in prompts]
    for rows in _batches(lengths, model, decoding):
        for row, token_id in _decode(model, [prompts[i] for i in rows], rows, decoding, eos_id):
            answers[rows[row]].append(token_id)
    return answers


def _batches(lengths: Sequence[int], model: GPT, decoding: DecodingConfig) -> Iterator[list[int]]:
    """Indices of prompts to decode together: of similar length, in a cache of bounded size."""
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lengths.__getitem__):
        wide = batch and lengths[index] - lengths[batch[0]] > _WIDEST_SPREAD
        tokens = min(lengths[index] + decoding.max_new_tokens, model.config.context_length)
        n_bytes = (len(batch) + 1) * tokens * _cache_bytes_per_token(model.config)
        if wide or len(batch) == _MOST_ROWS or (batch and n_bytes > _MOST_CACHE_BYTES):
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
    seeds: Sequence[int],
    decoding: DecodingConfig,
    eos_id: int | None,
) -> Iterator[tuple[int, int]]:
    """Rows and their new ids, in the order in which they are chosen.

    Args:
        model: The language model.
        prompts: Ids to go on from.
        seeds: Added to ``decoding.seed``, one for each row.
        decoding: How tokens are chosen.
        eos_id: A row ends before it.
    """
    texts = [_read_prompt(prompt, model.config) for prompt in prompts]
    ends = [len(text) + decoding.max_new_tokens for text in texts]
    device = model.wte.weight.device
    dice = Dice([decoding.seed + seed for seed in seeds], decoding.max_new_tokens)
    sample = build_sampler(decoding)
    window = _Window(model, max(ends))
    n = min(map(len, texts))  # tokens of each row that the model has been given
    live, ended = list(range(len(texts))), set[int]()
    with evaluating(model):
        while live:
            logits = window.score([texts[row] for row in live], n)
            throws = dice.throw(live, [n - ends[row] for row in live], device)
            for row, token_id in zip(live, sample(logits, throws).tolist(), strict=True):
                if n < len(texts[row]):
                    continue  # its prompt goes on
                if token_id == eos_id or row in ended:
                    ended.add(row)
                else:
                    yield row, token_id
                texts[row].append(token_id)
                if len(texts[row]) == ends[row]:
                    ended.add(row)
            n += 1
            if len(ended) * 2 >= len(live):  # few enough copies of the cache, little idle work
                live = window.keep(live, ended)
                ended = set()


class _Window:
    """What the model sees of the texts: all so far, or the newer half once that is too much.

    Args:
        model: The language model.
        n_tokens: The length that the longest text may reach.
    """

    def __init__(self, model: GPT, n_tokens: int) -> None:
        self.model = model
        self.n_tokens = n_tokens
        self.cache: KVCache | None = None

    @torch.inference_mode()
    def score(self, texts: Sequence[Sequence[int]], n: int) -> Tensor:
        """Logits of the token after the first n of each text, shape (B, V)."""
        limit = self.model.config.context_length
        start = n - 1
        if self.cache is None or self.cache.length == limit:
            start = 0 if self.cache is None else n - max(1, limit // 2)
            self.cache = self._new_cache(len(texts))
        token_ids = torch.tensor([text[start:n] for text in texts], device=self._device)
        return self.model.next_logits(token_ids, self.cache)

    @torch.inference_mode()
    def keep(self, live: Sequence[int], ended: set[int]) -> list[int]:
        """Go on without the rows that have ended: the rows that are left."""
        kept = [index for index, row in enumerate(live) if row not in ended]
        if self.cache is not None and kept:
            self.cache.keep_rows(kept)
        return [live[index] for index in kept]

    def _new_cache(self, n_rows: int) -> KVCache:
        kind = self._device.type
        dtype = self.model.wte.weight.dtype
        if torch.is_autocast_enabled(kind):
            dtype = torch.get_autocast_dtype(kind)
        return KVCache(self.model.config, n_rows, self._device, dtype, self.n_tokens)

    @property
    def _device(self) -> torch.device:
        return self.model.wte.weight.device


def _read_prompt(prompt: Sequence[int] | Tensor, config: GPTConfig) -> list[int]:
    """The part of a prompt that fits into the context, as a new list."""
    token_ids = _as_list(prompt)
    if not token_ids:
        raise DataError("the prompt is empty: give at least one token to go on from")
    outside = [i for i in token_ids if not 0 <= i < (config.vocab_size or 0)]
    if outside:
        raise DataError(
            f"token id {outside[0]} of the prompt is outside the model's vocabulary of "
            f"{config.vocab_size}: encode it with the model's own tokenizer"
        )
    return token_ids[-config.context_length :]


def _as_list(prompt: Sequence[int] | Tensor) -> list[int]:
    if isinstance(prompt, Tensor):
        return [int(i) for i in prompt.flatten().tolist()]
    return list(prompt)
