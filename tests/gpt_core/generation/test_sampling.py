"""Rows with settings of their own are sampled as ``build_sampler`` samples each of them."""

import pytest
import torch
from torch import Tensor

from gpt_core.config import DecodingConfig
from gpt_core.generation import Choice, Request, build_sampler
from gpt_core.generation.active import ActiveRequest
from gpt_core.generation.sampling import adjust_logits, choices, sample_rows

SETTINGS = [
    {"temperature": temperature, "top_k": top_k, "top_p": top_p}
    for temperature in (0.0, 0.4, 1.0, 3.0)
    for top_k in (None, 1, 20, 2000)
    for top_p in (None, 0.1, 0.9, 0.999, 1.0)
]


def rows_of(settings: list[dict[str, float | None]], seed: int = 0) -> list[ActiveRequest]:
    requests = [
        Request(prompt=(1, 2), max_new_tokens=1, seed=seed + i, **each)  # type: ignore[arg-type]
        for i, each in enumerate(settings)
    ]
    return [ActiveRequest(i, each, i, 1, slides=False) for i, each in enumerate(requests)]


def one_by_one(logits: Tensor, rows: list[ActiveRequest]) -> list[int]:
    """The samplers' answer for each row."""
    ids = []
    for row, active in zip(logits, rows, strict=True):
        request = active.request
        sample = build_sampler(
            DecodingConfig(
                temperature=request.temperature, top_k=request.top_k, top_p=request.top_p
            )
        )
        ids.append(int(sample(row[None], torch.tensor([active.uniform]))))
    return ids


@pytest.mark.parametrize(("size", "scale"), [(30, 1.0), (3000, 1.0), (3000, 8.0), (3000, 0.01)])
def test_the_draws_are_those_of_the_samplers(size: int, scale: float) -> None:
    for seed in range(3):
        generator = torch.Generator().manual_seed(seed)
        logits = scale * torch.randn(len(SETTINGS), size, generator=generator)
        rows = rows_of(SETTINGS, seed)
        assert sample_rows(logits, rows) == one_by_one(logits, rows)


def test_ties_are_kept_or_broken_as_the_samplers_do() -> None:
    logits = torch.zeros(len(SETTINGS), 700)
    logits[:, 300:600] = 2.0
    rows = rows_of([each for each in SETTINGS if each["top_p"] is None])
    assert sample_rows(logits[: len(rows)], rows) == one_by_one(logits[: len(rows)], rows)


def test_numbers_that_are_not_finite_give_an_id_of_the_vocabulary() -> None:
    for value in (torch.nan, torch.inf, -torch.inf):
        sampled = sample_rows(torch.full((len(SETTINGS), 50), value), rows_of(SETTINGS))
        assert all(0 <= token_id < 50 for token_id in sampled)


def test_choices_are_log_probabilities_and_the_best_come_first() -> None:
    logits = torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8]]).log() + 5
    first, second = choices(logits, [1, 2], n_top=2)
    assert first.logprob == pytest.approx(torch.tensor(0.3).log().item())
    assert [token_id for token_id, _ in first.top] == [0, 1]
    assert second == Choice(2, second.top[0][1], second.top)
    assert [each.top for each in choices(logits, [0, 0], n_top=0)] == [(), ()]


def test_adjusting_leaves_the_model_s_logits_unchanged() -> None:
    logits = torch.tensor([[1.0, 2.0, -2.0, 0.0]])
    plain, changed = rows_of([{}, {"repetition_penalty": 2.0, "logit_bias": {3: 1.5, 1: 1.0}}])
    assert adjust_logits(logits, [plain]) is logits
    assert adjust_logits(logits, [changed]).tolist() == [[1.0, 2.0, -4.0, 1.5]]
    assert logits.tolist() == [[1.0, 2.0, -2.0, 0.0]]
