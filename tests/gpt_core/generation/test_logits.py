import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from gpt_core.generation import apply_temperature, keep_top_k, keep_top_p

B, V = 3, 9


def random_logits(seed: int) -> Tensor:
    return torch.randn(B, V, generator=torch.Generator().manual_seed(seed)) * 3


seeds = st.integers(0, 2**32 - 1)


@given(seeds, st.integers(1, 2 * V))
def test_top_k_keeps_the_k_most_likely_logits_unchanged(seed: int, k: int) -> None:
    logits = random_logits(seed)
    kept = keep_top_k(logits, k)
    survives = kept > -torch.inf
    assert (survives.sum(-1) == min(k, V)).all()
    assert torch.equal(kept[survives], logits[survives])
    for row, alive in zip(logits, survives, strict=True):
        assert alive.all() or row[alive].min() > row[~alive].max()


def test_top_k_keeps_ties() -> None:
    kept = keep_top_k(torch.tensor([[1.0, 2.0, 2.0, 3.0]]), k=2)
    assert kept.isfinite().tolist() == [[False, True, True, True]]


@given(seeds, st.floats(0.01, 1.0))
def test_top_p_keeps_the_smallest_set_that_reaches_p(seed: int, p: float) -> None:
    logits = random_logits(seed).double()
    kept = keep_top_p(logits, p)
    survives = kept > -torch.inf
    assert torch.equal(kept[survives], logits[survives])
    for probability, alive in zip(logits.softmax(-1), survives, strict=True):
        assert probability[alive].sum() >= p - 1e-9
        assert probability[alive].sum() - probability[alive].min() < p, "one fewer does not reach"
        assert alive.all() or probability[alive].min() > probability[~alive].max()


def test_top_p_keeps_one_token_however_small_p_is() -> None:
    kept = keep_top_p(torch.tensor([[0.1, 0.7, 0.2]]).log(), p=1e-9)
    assert kept.isfinite().tolist() == [[False, True, False]]


@given(seeds, st.floats(0.05, 20.0))
def test_temperature_divides_the_logits_and_keeps_their_order(seed: int, t: float) -> None:
    logits = random_logits(seed)
    warmer = apply_temperature(logits, t)
    assert torch.equal(warmer.argsort(stable=True), logits.argsort(stable=True))
    torch.testing.assert_close(warmer * t, logits)


def test_filters_do_not_modify_their_input() -> None:
    logits = random_logits(0)
    before = logits.clone()
    keep_top_k(logits, 2)
    keep_top_p(logits, 0.5)
    apply_temperature(logits, 0.5)
    assert torch.equal(logits, before)


@pytest.mark.parametrize("temperature", [0.0, -1.0])
def test_a_nonpositive_temperature_is_refused(temperature: float) -> None:
    with pytest.raises(ValueError, match="temperature must be greater than 0"):
        apply_temperature(random_logits(0), temperature)


def test_top_k_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="k must be at least 1, got 0"):
        keep_top_k(random_logits(0), 0)


@pytest.mark.parametrize("p", [0.0, -0.1, 1.1])
def test_top_p_outside_0_to_1_is_refused(p: float) -> None:
    with pytest.raises(ValueError, match="p must be in"):
        keep_top_p(random_logits(0), p)


def test_top_p_excludes_what_follows_a_set_that_reaches_p_exactly() -> None:
    equal = torch.zeros(1, 4)  # a quarter each
    assert [int(keep_top_p(equal, p).isfinite().sum()) for p in (0.25, 0.5, 0.51, 1.0)] == [
        1, 2, 3, 4
    ]  # fmt: skip


def test_filters_work_on_each_row_alone() -> None:
    logits = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.2, 0.7]]).log()
    assert keep_top_p(logits, 0.6).isfinite().tolist() == [
        [True, False, False],
        [False, False, True],
    ]
    assert keep_top_k(logits, 1).isfinite().tolist() == [[True, False, False], [False, False, True]]
