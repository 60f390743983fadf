"""Byte-level BPE: tiktoken and the reference implementation give the same ids."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpt_core.errors import ConfigError, DataError
from gpt_core.tokenizers import BPETokenizer, train_bpe
from gpt_core.tokenizers.bpe import byte_ids, merge_pair, merge_strings, parse_merges

LETTERS = st.text("ab ", max_size=60)


@given(trained_on=st.lists(LETTERS, min_size=1), text=LETTERS, n_merges=st.integers(0, 12))
def test_encode_equals_the_reference_for_trained_merges(
    trained_on: list[str], text: str, n_merges: int
) -> None:
    try:
        tokenizer = train_bpe(trained_on, 257 + n_merges, "gpt2")
    except DataError:
        return  # too little text for so many merges
    assert tokenizer.encode(text) == tokenizer.encode_reference(text)


@given(text=st.text())
def test_encode_equals_the_reference_on_any_text(bpe: BPETokenizer, text: str) -> None:
    assert bpe.encode(text) == bpe.encode_reference(text)
    assert bpe.decode(bpe.encode_reference(text)) == text


def test_the_merges_of_the_papers_example() -> None:
    words = {"low": 5, "lower": 2, "newest": 6, "widest": 3}
    texts = [word for word, count in words.items() for _ in range(count)]
    tokenizer = train_bpe(texts, 257 + 3, "gpt2")
    assert merge_strings(tokenizer.merges) == [("e", "s"), ("es", "t"), ("l", "o")]
    assert [tokenizer.token_bytes(i) for i in tokenizer.encode("lowest")] == [b"lo", b"w", b"est"]


def test_earlier_merges_go_first_from_left_to_right() -> None:
    a, b = byte_ids()[ord("a")], byte_ids()[ord("b")]
    tokenizer = BPETokenizer([(b, a), (a, a), (256, 257)], "gpt2")
    for text, ids in (("baaa", [258]), ("aaab", [257, a, b]), ("aaba", [257, 256])):
        assert tokenizer.encode(text) == tokenizer.encode_reference(text) == ids


def test_merge_pair_skips_overlapping_pairs() -> None:
    assert merge_pair([7, 7, 7, 7, 7], (7, 7), 9) == [9, 9, 7]
    assert merge_pair([], (7, 7), 9) == []


def test_byte_ids_are_in_gpt2s_order() -> None:
    assert sorted(byte_ids()) == list(range(256))
    assert [byte_ids()[byte] for byte in b"!~ \x00"] == [0, 93, 220, 188]


@pytest.mark.parametrize(
    ("merges", "sentence"),
    [
        ([(0, 256)], "merge 1 joins the ids 0 and 256, but there are only 256 tokens"),
        ([(0, 1), (-1, 2)], "merge 2 joins the ids -1 and 2, but there are only 257"),
        ([(0, 1), (0, 1)], "two merges make the same token"),
    ],
)
def test_impossible_merges_are_refused(merges: list[tuple[int, int]], sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        BPETokenizer(merges, "gpt2")


@pytest.mark.parametrize("line", ["a", "a b c", "a bc", "", "€ a"])
def test_an_invalid_merge_line_is_refused(line: str) -> None:
    with pytest.raises(DataError, match="merge 2 must be two tokens that are bytes or made by"):
        parse_merges(["a b", line])


def test_an_invalid_pattern_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"tokenizer\.pattern is neither"):
        BPETokenizer([], "(")


def test_a_million_equal_letters_are_encoded_fast(bpe: BPETokenizer) -> None:
    text = "a" * 1_000_000
    assert bpe.decode(bpe.encode(text)) == text


@pytest.mark.parametrize("space", [" ", "\n", "\u3000 "])
def test_a_run_of_a_million_spaces_gives_the_ids_of_the_reference(
    bpe: BPETokenizer, space: str
) -> None:
    text = "a" + space * (1_300_000 // len(space)) + "b"
    ids = bpe.encode(text)
    assert bpe.decode(ids) == text
    assert np.array_equal(bpe.encode_array(text), ids)
    short = "a" + space * 3000 + "b"
    assert bpe._encode_pieces(short) == bpe.encode_reference(short) == bpe.encode(short)


def test_a_panic_of_the_fast_encoder_is_answered_by_the_slow_one() -> None:
    tokenizer = BPETokenizer([], r"[^\n]+(?!q)|\n")
    text = "ab" * 600_000 + "\nx"
    assert tokenizer.encode(text) == tokenizer._encode_pieces(text)
    assert tokenizer.encode_array(text).tolist() == tokenizer._encode_pieces(text)
