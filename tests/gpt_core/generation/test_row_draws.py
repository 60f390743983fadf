"""The draws without sorting equal those of ``keep_top_k``, ``keep_top_p`` and ``sample_token``."""

import pytest
import torch
from torch import Tensor

from gpt_core.generation import keep_top_k, keep_top_p, sample_token
from gpt_core.generation.row_draws import (
    draw_nucleus,
    draw_sorted_nucleus,
    draw_top_k,
    draw_unfiltered,
)

V = 50_257


def distributions(size: int = V) -> Tensor:
    """Flat, ordinary and peaked logits, and some with many ties."""
    noise = torch.randn(4, size, generator=torch.Generator().manual_seed(size))
    noise[:3] *= torch.tensor([[0.01], [2.5], [9.0]])
    noise[3] = noise[3].round()
    return noise


UNIFORMS = torch.tensor([0.0, 1e-7, 0.1, 0.5, 0.9, 0.9999, 1 - 2**-24], dtype=torch.float64)


@pytest.mark.parametrize("size", [1, 255, 257, V])
def test_a_draw_over_blocks_is_a_draw_over_all(size: int) -> None:
    for row in distributions(size):
        logits = row.expand(len(UNIFORMS), -1)
        assert torch.equal(draw_unfiltered(logits, UNIFORMS), sample_token(logits, UNIFORMS))


@pytest.mark.parametrize("p", [1e-6, 0.3, 0.95, 0.9999])
def test_the_nucleus_is_that_of_the_sorted_vocabulary(p: float) -> None:
    for row in distributions()[:3]:
        logits = row.expand(len(UNIFORMS), -1)
        limits = torch.full((len(UNIFORMS),), p, dtype=torch.float64)
        expected = sample_token(keep_top_p(logits, p), UNIFORMS)
        assert torch.equal(draw_nucleus(logits, UNIFORMS, limits), expected)
        assert torch.equal(draw_sorted_nucleus(logits, UNIFORMS, limits), expected)


@pytest.mark.parametrize("k", [1, 50, 1024, 1025, 60_000])
@pytest.mark.parametrize("p", [None, 0.9])
def test_the_k_most_likely_are_drawn_from_with_those_that_tie(k: int, p: float | None) -> None:
    for row in distributions() if p is None else distributions()[:3]:
        logits = row.expand(len(UNIFORMS), -1)
        kept = keep_top_k(logits, k)
        expected = sample_token(kept if p is None else keep_top_p(kept, p), UNIFORMS)
        n = len(UNIFORMS)
        assert torch.equal(draw_top_k(logits, UNIFORMS, [k] * n, [p] * n), expected)


def test_an_excluded_token_is_never_drawn() -> None:
    logits = torch.full((1, 1000), -torch.inf)
    logits[0, ::100] = 0.0
    for uniform in UNIFORMS:
        drawn = [
            draw_unfiltered(logits, uniform[None]),
            draw_nucleus(logits, uniform[None], torch.tensor([0.999], dtype=torch.float64)),
            draw_top_k(logits, uniform[None], [500], [None]),
        ]
        assert all(int(each) % 100 == 0 for each in drawn)
