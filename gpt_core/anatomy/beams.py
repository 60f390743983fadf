"""Beam search: the continuations that are most probable as a whole, found with a few at a time.

Shapes: B beams, V vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from gpt_core.anatomy.recording import require_ids
from gpt_core.errors import DataError
from gpt_core.models import GPT, evaluating


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
    prompt = list(require_ids(model, token_ids))
    if width < 1 or n_tokens < 1:
        raise DataError(f"beam search needs a width and a length of 1 or more: {width}, {n_tokens}")
    beams = [Beam((), 0.0)]
    with evaluating(model):
        for _ in range(min(n_tokens, model.config.context_length - len(prompt) + 1)):
            open_beams = [beam for beam in beams if not _is_complete(beam, eos_id)]
            if not open_beams:
                break
            done = [beam for beam in beams if _is_complete(beam, eos_id)]
            beams = _best([*done, *_extend(model, prompt, open_beams, width)], width)
    return beams


def _is_complete(beam: Beam, eos_id: int | None) -> bool:
    return eos_id is not None and eos_id in beam.token_ids


def _best(beams: list[Beam], width: int) -> list[Beam]:
    return sorted(beams, key=lambda beam: -beam.log_probability)[:width]


def _extend(model: GPT, prompt: list[int], beams: list[Beam], width: int) -> list[Beam]:
    """The most probable continuations by one token of every beam."""
    rows = [[*prompt, *beam.token_ids] for beam in beams]
    logits = model.next_logits(torch.tensor(rows, device=model.wte.weight.device)).float()
    values, indices = logits.log_softmax(dim=-1).topk(min(width, logits.size(-1)), dim=-1)  # (B, k)
    return [
        Beam((*beam.token_ids, token_id), beam.log_probability + value)
        for beam, row, ids in zip(beams, values.tolist(), indices.tolist(), strict=True)
        for value, token_id in zip(row, ids, strict=True)
    ]
