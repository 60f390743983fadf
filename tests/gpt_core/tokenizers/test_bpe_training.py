"""The fast training learns the same merges as the textbook algorithm."""

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpt_core.errors import ConfigError, DataError
from gpt_core.tokenizers import learn_merges, train_bpe
from gpt_core.tokenizers.bpe import N_BYTES, Pair, merge_pair

PIECES = st.dictionaries(
    st.binary(min_size=1, max_size=12).map(lambda b: bytes(x % 3 for x in b)),
    st.integers(1, 5),
    max_size=12,
)


def textbook(pieces: dict[bytes, int], n_merges: int) -> list[Pair]:
    """Count every pair, merge the most frequent (the smallest of equals), count again."""
    words = [(list(piece), count) for piece, count in pieces.items()]
    merges: list[Pair] = []
    while len(merges) < n_merges:
        counts: Counter[Pair] = Counter()
        for ids, count in words:
            for pair in pairwise(ids):
                counts[pair] += count
        if not counts:
            break
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        words = [(merge_pair(ids, best, N_BYTES + len(merges)), count) for ids, count in words]
        merges.append(best)
    return merges


@given(pieces=PIECES, n_merges=st.integers(0, 40))
def test_training_learns_the_merges_of_the_textbook_algorithm(
    pieces: dict[bytes, int], n_merges: int
) -> None:
    assert learn_merges(pieces, n_merges) == textbook(pieces, n_merges)


@given(pieces=PIECES)
def test_no_two_merges_make_the_same_token(pieces: dict[bytes, int]) -> None:
    tokens = [bytes([i]) for i in range(N_BYTES)]
    for first, second in learn_merges(pieces, 100):
        tokens.append(tokens[first] + tokens[second])
    assert len(set(tokens)) == len(tokens)


def test_ties_go_to_the_pair_of_smaller_ids() -> None:
    assert learn_merges({b"\5\6": 2, b"\1\2": 2, b"\1\1": 2}, 3) == [(1, 1), (1, 2), (5, 6)]


def test_a_run_of_one_letter_is_merged_by_doubling() -> None:
    assert learn_merges({b"\7" * 64: 1}, 100) == [
        (7, 7), (256, 256), (257, 257), (258, 258), (259, 259), (260, 260)
    ]  # fmt: skip


def test_training_does_not_depend_on_the_order_of_the_texts(made_up_texts: list[str]) -> None:
    forward = train_bpe(made_up_texts, 400, "marks")
    assert train_bpe(reversed(made_up_texts), 400, "marks").merges == forward.merges


@pytest.mark.parametrize("texts", [[], [""], ["a"], ["ab ab"], ["a" * 100_000]])
def test_too_little_text_names_the_largest_vocabulary(texts: list[str]) -> None:
    with pytest.raises(DataError, match=r"vocabulary of at most (\d+), .* is 5000") as error:
        train_bpe(texts, 5000, "gpt2")
    largest = int(str(error.value).split("at most ")[1].split(",")[0])
    assert train_bpe(texts, largest, "gpt2").vocab_size == largest


def test_a_vocabulary_smaller_than_the_bytes_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"at least 257 for byte-level BPE, .* got 256"):
        train_bpe(["abab"], 256, "gpt2")
    assert train_bpe(["abab"], 257, "gpt2").encode("ab") == train_bpe([], 257, "gpt2").encode("ab")


def test_a_lone_surrogate_is_refused() -> None:
    with pytest.raises(DataError, match=r"lone surrogate U\+D800"):
        train_bpe(["ab \ud800"], 300, "gpt2")


def test_a_users_pattern_is_used() -> None:
    tokenizer = train_bpe(["abab" * 9], 258, "ab")
    assert len(tokenizer.encode("abab")) == 2
    with pytest.raises(ConfigError, match="matches the empty text"):
        train_bpe(["abab"], 258, "(ab)*")


def test_progress_counts_merges() -> None:
    calls: list[tuple[str, int, int | None]] = []
    texts = [f"{i:x}{i * 7919:x}{i * 104729:o}" for i in range(2000)]
    train_bpe(texts, 257 + 1200, r"\w+", progress=lambda *args: calls.append(args))
    assert calls == [("merges", 500, 1200), ("merges", 1000, 1200)]
