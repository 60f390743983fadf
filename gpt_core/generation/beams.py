"""Beam search: the continuations that are most probable as a whole, found with a few at a time.

Shapes: B beams, V vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gpt_core.errors import DataError
from gpt_core.generation.active import check_prompt
from gpt_core.models import GPT, KVCache, evaluating


@dataclass(frozen=True, slots=True)
class Beam:
    """A continuation with its log-probability."""

    token_ids: tuple[int, ...]
    """The new tokens; one that ends with the end of a document is complete."""

    log_probability: float
    """The sum over the new tokens, in nats."""


@torch.no_grad()
def beam_search(
    model: GPT, token_ids: Sequence[int], width: int, n_tokens: int, eos_id: int | None = None
) -> list[Beam]:
    """Extend the most probable continuations by a token at a time.

    Args:
        model: The language model; its mode is restored afterwards.
        token_ids: The prompt.
        width: How many continuations are kept after each token.
        n_tokens: Length of the continuations, fewer where the context ends.
        eos_id: A continuation that has it is complete and is kept as it is.

    Returns:
        At most ``width`` continuations, the most probable first.

    Raises:
        DataError: If the prompt does not fit the model, or a number is below 1.

    References:
        Graves 2012, "Sequence Transduction with Recurrent Neural Networks", section 3.
    """
    check_prompt(token_ids, model.config)
    if width < 1 or n_tokens < 1:
        raise DataError(f"beam search needs a width and a length of 1 or more: {width}, {n_tokens}")
    n_free = model.config.context_length - len(token_ids)
    if n_free < 0:
        raise DataError(
            f"the prompt has {len(token_ids)} tokens and the context of the model "
            f"{model.config.context_length}: give a shorter one"
        )
    device, dtype = model.wte.weight.device, model.wte.weight.dtype
    if torch.is_autocast_enabled(device.type):
        dtype = torch.get_autocast_dtype(device.type)
    cache = KVCache(model.config, 1, device, dtype, len(token_ids) + n_tokens)
    open_beams, complete = [Beam((), 0.0)], list[Beam]()
    n_steps = min(n_tokens, n_free + 1)  # the last token is not fed
    with evaluating(model):
        logits = model.next_logits(torch.tensor([list(token_ids)], device=device), cache)
        for step in range(n_steps):
            kept = _keep_best(_extend(open_beams, logits, width), complete, width)
            complete = [beam for _, beam in kept if _is_complete(beam, eos_id)]
            extended = [each for each in kept if not _is_complete(each[1], eos_id)]
            open_beams = [beam for _, beam in extended]
            if not open_beams or step == n_steps - 1:
                break
            cache.keep_rows([row for row, _ in extended])
            newest = torch.tensor([[beam.token_ids[-1]] for beam in open_beams], device=device)
            logits = model.next_logits(newest, cache)
    return sorted([*complete, *open_beams], key=lambda beam: -beam.log_probability)


_Candidate = tuple[int, Beam]
"""A beam after the row of the cache that it extends; that of a complete one does not matter."""


def _extend(beams: list[Beam], logits: Tensor, width: int) -> list[_Candidate]:
    """The most probable continuations by one token of every beam, from logits (B, V)."""
    logprobs = logits.float().log_softmax(dim=-1)
    values, indices = logprobs.topk(min(width, logits.size(-1)), dim=-1)  # (B, k)
    return [
        (row, Beam((*beam.token_ids, token_id), beam.log_probability + value))
        for row, beam in enumerate(beams)
        for value, token_id in zip(values[row].tolist(), indices[row].tolist(), strict=True)
    ]


def _keep_best(extended: list[_Candidate], complete: list[Beam], width: int) -> list[_Candidate]:
    """The most probable of the extended and the complete beams."""
    every = [*((0, beam) for beam in complete), *extended]
    return sorted(every, key=lambda each: -each[1].log_probability)[:width]


def _is_complete(beam: Beam, eos_id: int | None) -> bool:
    return eos_id is not None and bool(beam.token_ids) and beam.token_ids[-1] == eos_id
