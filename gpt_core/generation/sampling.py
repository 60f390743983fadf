"""Sample a token for each row of a step, each row with settings of its own.

Shapes: B rows, V vocabulary.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from gpt_core.generation.active import ActiveRequest
from gpt_core.generation.requests import Choice, Request
from gpt_core.generation.row_draws import (
    draw_nucleus,
    draw_sorted_nucleus,
    draw_top_k,
    draw_unfiltered,
)


def sample_rows(logits: Tensor, rows: Sequence[ActiveRequest]) -> list[int]:
    """Sample the next token of each row.

    Args:
        logits: Shape (B, V).
        rows: The request of each row.

    Returns:
        B ids.
    """
    adjusted = adjust_logits(logits.float(), rows)
    kinds = [_kind(active.request) for active in rows]
    sampled = [0] * len(rows)
    for kind in set(kinds):
        selected = [row for row, each in enumerate(kinds) if each == kind]
        ids: list[int] = _draw(kind, adjusted, selected, rows).tolist()
        for row, token_id in zip(selected, ids, strict=True):
            sampled[row] = token_id
    return sampled


def _draw(kind: str, logits: Tensor, selected: list[int], rows: Sequence[ActiveRequest]) -> Tensor:
    """Draw for the selected rows, which are all of one kind."""
    if kind == "greedy":
        return _select(logits, selected).argmax(dim=-1)
    scaled, uniforms = _scaled(logits, selected, rows)
    if kind == "all":
        return draw_unfiltered(scaled, uniforms)
    requests = [rows[row].request for row in selected]
    top_p = [request.top_p for request in requests]
    if kind == "top_k":
        return draw_top_k(scaled, uniforms, [request.top_k or 1 for request in requests], top_p)
    limits = torch.tensor([p or 1.0 for p in top_p], device=logits.device).double()
    draw = draw_nucleus if logits.device.type == "cpu" else draw_sorted_nucleus
    return draw(scaled, uniforms, limits)


def _kind(request: Request) -> str:
    """The way of drawing that a request needs."""
    if request.temperature == 0:
        return "greedy"
    if request.top_k is not None:
        return "top_k"
    return "top_p" if request.top_p is not None and request.top_p < 1 else "all"


def _select(logits: Tensor, selected: list[int]) -> Tensor:
    return logits if len(selected) == len(logits) else logits[selected]


def _scaled(
    logits: Tensor, selected: list[int], rows: Sequence[ActiveRequest]
) -> tuple[Tensor, Tensor]:
    """The logits of some rows divided by their temperatures, and their uniform numbers."""
    temperatures = torch.tensor([rows[row].request.temperature for row in selected])
    uniforms = torch.tensor([rows[row].uniform for row in selected], dtype=torch.float64)
    scaled = _select(logits, selected) / temperatures[:, None].to(logits.device)
    return scaled, uniforms.to(logits.device)


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
