"""Exact match and ROUGE-L against definitions and published examples."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpt_core.evaluation import exact_match, longest_common_subsequence, rouge_l

short_texts = st.text(alphabet="abc", max_size=7)
sentences = st.lists(st.sampled_from(["the", "cat", "sat", "Down", "!", "7"]), max_size=8)


def brute_force(first: str, second: str) -> int:
    """Length of the longest subsequence of one text that is a subsequence of the other."""

    def within(part: tuple[str, ...]) -> bool:
        rest = iter(second)
        return all(letter in rest for letter in part)

    lengths = range(len(first), -1, -1)
    return next(n for n in lengths if any(map(within, combinations(first, n))))


@given(short_texts, short_texts)
def test_the_longest_common_subsequence_equals_brute_force(first: str, second: str) -> None:
    assert longest_common_subsequence(first, second) == brute_force(first, second)


@given(sentences, sentences)
def test_rouge_l_is_symmetric_and_in_0_to_1(a: list[str], b: list[str]) -> None:
    first, second = " ".join(a), " ".join(b)
    assert 0.0 <= rouge_l(first, second) <= 1.0
    assert rouge_l(first, second) == rouge_l(second, first)
    assert rouge_l(first, first) == 1.0


@pytest.mark.parametrize(
    ("answer", "score"),
    [("police kill the gunman", 3 / 4), ("the gunman kill police", 2 / 4)],
)
def test_rouge_l_equals_the_examples_of_its_paper(answer: str, score: float) -> None:
    # Lin 2004, section 3.2: the reference is "police killed the gunman"
    assert rouge_l(answer, "police killed the gunman") == score


def test_rouge_l_is_the_harmonic_mean_of_precision_and_recall() -> None:
    assert rouge_l("the cat sat on the mat", "the cat") == pytest.approx(2 * (2 / 6) / (2 / 6 + 1))


def test_rouge_l_ignores_case_and_punctuation() -> None:
    assert rouge_l("The CAT, sat!", "the cat sat") == 1.0


def test_vowel_signs_do_not_split_a_word() -> None:
    assert rouge_l("كِتَابٌ جَدِيدٌ", "كِتَابٌ قَدِيمٌ") == 0.5


def test_answers_without_words_score_1_only_if_equal() -> None:
    assert rouge_l("", "") == rouge_l("+", "+") == 1.0
    assert rouge_l("+", "-") == rouge_l("", "-") == rouge_l("", "word") == 0.0


@pytest.mark.parametrize("answer", ["Paris", " paris.\n", "PARIS . "])
def test_exact_match_ignores_case_space_and_the_final_stop(answer: str) -> None:
    assert exact_match(answer, "Paris.")


@pytest.mark.parametrize("answer", ["", "Paris, France", "Pari s"])
def test_any_other_difference_is_no_exact_match(answer: str) -> None:
    assert not exact_match(answer, "Paris.")
