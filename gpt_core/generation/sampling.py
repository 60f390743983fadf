"""Sample a token for each row of a step, each row with settings of its own.

Shapes: B rows, V vocabulary.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from gpt_core.config import DecodingConfig
from gpt_core.generation.active import ActiveRequest
from gpt_core.generation.requests import Choice, Request
from gpt_core.generation.samplers import build_sampler


def sample_rows(logits: Tensor, rows: Sequence[ActiveRequest]) -> list[int]:
    """Sample the next token of each row.

    Args:
        logits: Shape (B, V).
        rows: The request of each row.

    Returns:
        B ids.
    """
    adjusted = adjust_logits(logits.float(), rows)
    ids: list[int] = []
    for row, active in enumerate(rows):
        request = active.request
        decoding = DecodingConfig(
            temperature=request.temperature, top_k=request.top_k, top_p=request.top_p
        )
        uniform = torch.tensor([active.uniform], device=logits.device)
        token_id = int(build_sampler(decoding)(adjusted[row : row + 1], uniform))
        ids.append(min(token_id, logits.size(-1) - 1))  # past the end if the logits are NaN
    return ids


def adjust_logits(logits: Tensor, rows: Sequence[ActiveRequest]) -> Tensor:
    """Apply repetition penalties and biases.

    Args:
        logits: Shape (B, V), in float32; not changed.
        rows: The request of each row.

    Returns:
        Logits, shape (B, V).
    """
    if all(not _adjusts(active.request) for active in rows):
        return logits
    logits = logits.clone()
    for row, active in zip(logits, rows, strict=True):
        penalty, bias = active.request.repetition_penalty, active.request.logit_bias
        if penalty != 1:
            seen = torch.tensor(sorted(active.seen), device=logits.device)
            scores = row[seen]
            row[seen] = torch.where(scores > 0, scores / penalty, scores * penalty)
        if bias:
            row[torch.tensor(list(bias), device=logits.device)] += torch.tensor(
                list(bias.values()), device=logits.device
            )
    return logits


def _adjusts(request: Request) -> bool:
    return request.repetition_penalty != 1 or bool(request.logit_bias)


def choices(logits: Tensor, token_ids: Sequence[int], n_top: int) -> list[Choice]:
    """The log-probabilities of some tokens, and of the most likely ones at their place.

    Args:
        logits: By which each token was predicted, shape (B, V).
        token_ids: B ids.
        n_top: How many of the most likely tokens are reported.
    """
    logprobs = logits.float().log_softmax(dim=-1)
    chosen = logprobs.gather(1, torch.tensor(token_ids, device=logits.device)[:, None])
    top = logprobs.topk(min(n_top, logits.size(-1)), dim=-1)
    tops = [
        tuple(zip(ids, values, strict=True))
        for ids, values in zip(top.indices.tolist(), top.values.tolist(), strict=True)
    ]
    pairs = zip(token_ids, chosen[:, 0].tolist(), tops, strict=True)
    return [Choice(token_id, logprob, best) for token_id, logprob, best in pairs]
