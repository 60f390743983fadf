import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gpt_core.config import BigramConfig
from gpt_core.data import Batch
from gpt_core.errors import DataError
from gpt_core.evaluation.language_model import token_loss
from gpt_core.models import BigramLanguageModel, fit_bigram, next_token_loss

texts = st.lists(st.integers(0, 5), min_size=2, max_size=60)


@given(texts)
def test_probabilities_sum_to_one_and_none_is_zero(text: list[int]) -> None:
    bigram = fit_bigram([np.array(text)], vocab_size=6)
    first, second = np.meshgrid(np.arange(6), np.arange(6), indexing="ij")
    probability = bigram.probability(first, second)
    np.testing.assert_allclose(probability.sum(axis=1), 1.0, rtol=1e-12)
    assert (probability > 0).all()


@given(texts, st.lists(st.integers(0, 60), max_size=5))
def test_counts_do_not_depend_on_the_chunks(text: list[int], cuts: list[int]) -> None:
    token_ids = np.array(text, dtype=np.uint16)
    in_one = fit_bigram([token_ids], vocab_size=6)
    pieces = fit_bigram(np.split(token_ids, sorted(min(c, len(text)) for c in cuts)), 6)
    np.testing.assert_array_equal(pieces.pairs, in_one.pairs)
    np.testing.assert_array_equal(pieces.counts, in_one.counts)
    np.testing.assert_array_equal(pieces.unigram, in_one.unigram)


def test_smoothing_equals_the_formula_computed_by_hand() -> None:
    bigram = fit_bigram([np.array([0, 1, 0, 1, 0, 2])], vocab_size=4)
    unigram = np.array([3 + 1, 2 + 1, 1 + 1, 0 + 1]) / 10
    after_0 = np.array([0, 2, 1, 0])  # 0 has three successors, two of them distinct
    expected = (after_0 + 2 * unigram) / (3 + 2)
    np.testing.assert_allclose(bigram.probability(np.zeros(4, int), np.arange(4)), expected)
    after_1 = np.array([2, 0, 0, 0])
    expected = (after_1 + unigram) / (2 + 1)
    np.testing.assert_allclose(bigram.probability(np.ones(4, int), np.arange(4)), expected)


def test_a_token_without_successors_falls_back_to_the_unigram() -> None:
    bigram = fit_bigram([np.array([0, 1, 0, 1, 2])], vocab_size=4)
    for without_successor in (2, 3):
        probability = bigram.probability(np.full(4, without_successor), np.arange(4))
        np.testing.assert_allclose(probability, bigram.unigram)


def test_the_loss_equals_that_of_a_dense_table() -> None:
    generator = np.random.default_rng(0)
    text = generator.integers(0, 9, 500)
    bigram = fit_bigram([text], vocab_size=9)
    first, second = np.meshgrid(np.arange(9), np.arange(9), indexing="ij")
    table = -np.log(bigram.probability(first, second))
    held_out, targets = generator.integers(0, 9, 80), generator.integers(0, 9, 80)
    assert bigram.loss(held_out, targets) == pytest.approx(table[held_out, targets].mean())
    targets[:40] = -100
    expected = table[held_out[40:], targets[40:]].mean()
    assert bigram.loss(held_out, targets) == pytest.approx(expected)


def test_memory_grows_with_the_distinct_pairs_only() -> None:
    text = np.random.default_rng(0).integers(0, 22_000, 5_000).astype(np.uint16)
    bigram = fit_bigram([text], vocab_size=22_000)
    assert len(bigram.pairs) < len(text)
    assert bigram.counts.sum() == len(text) - 1
    assert bigram.loss(text[:-1], text[1:]) < np.log(22_000)


def test_gradient_descent_converges_to_the_counts() -> None:
    text = torch.tensor([0, 1, 0, 1, 0, 2, 1, 0, 2, 2, 0, 1])
    torch.manual_seed(0)
    model = BigramLanguageModel(BigramConfig(vocab_size=3))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    for _ in range(400):
        loss = next_token_loss(model(text[None, :-1]), text[None, 1:])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    counts = torch.zeros(3, 3).index_put((text[:-1], text[1:]), torch.ones(11), accumulate=True)
    learned = model(torch.arange(3)[None])[0].softmax(-1)
    torch.testing.assert_close(learned, counts / counts.sum(1, keepdim=True), atol=1e-2, rtol=0)
    measured, _ = token_loss(model, [Batch(text[None, :-1], text[None, 1:])], "cpu")
    assert measured == pytest.approx(loss.item(), abs=1e-3)


def test_the_module_starts_nearly_uniform() -> None:
    torch.manual_seed(0)
    table = BigramLanguageModel(BigramConfig(vocab_size=200)).table.weight
    assert table.std().item() == pytest.approx(0.02, rel=0.05)


@pytest.mark.parametrize("chunks", [[], [np.empty(0, np.uint16)], [np.array([3])]])
def test_fewer_than_two_tokens_are_refused(chunks: list[np.ndarray]) -> None:
    with pytest.raises(DataError, match="at least two tokens"):
        fit_bigram(chunks, vocab_size=6)


@pytest.mark.parametrize("outside", [6, -1])
def test_an_id_outside_the_vocabulary_is_refused(outside: int) -> None:
    with pytest.raises(DataError, match=f"token id {outside} is outside the vocabulary of 6"):
        fit_bigram([np.array([0, outside, 1])], vocab_size=6)


def test_a_loss_without_targets_is_refused() -> None:
    bigram = fit_bigram([np.array([0, 1])], vocab_size=2)
    with pytest.raises(DataError, match="no target"):
        bigram.loss(np.array([0, 1]), np.array([-100, -100]))
