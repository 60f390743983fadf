"""A remapped BPE encodes as its base with other ids, and refuses inconsistent ids."""

import pytest

from gpt_core.errors import DataError
from gpt_core.tokenizers import BPETokenizer, RemappedBPETokenizer

BASE = BPETokenizer([], "gpt2")


def test_the_end_of_document_must_be_a_control_token() -> None:
    with pytest.raises(DataError, match="the id 5 that ends a document is of no control token"):
        RemappedBPETokenizer(BASE, range(1, 257), {"<s>": 0}, 5, 257)


@pytest.mark.parametrize("first", [-1, 300])
def test_ids_must_be_in_the_range_of_the_vocabulary(first: int) -> None:
    with pytest.raises(DataError, match="ids of a vocabulary of 257 must be below that number"):
        RemappedBPETokenizer(BASE, [first, *range(1, 256)], {"<s>": 0}, 0, 257)


@pytest.mark.parametrize(
    ("ids", "controls"),
    [
        (range(1, 256), {"<s>": 0}),
        (range(1, 258), {"<s>": 0}),
        ([1, *range(1, 256)], {"<s>": 0}),
        (range(256), {"<s>": 0}),
    ],
    ids=["one too few", "one too many", "one twice", "that of a control token"],
)
def test_every_token_needs_one_id_of_its_own(ids: list[int], controls: dict[str, int]) -> None:
    with pytest.raises(DataError, match="each token of a vocabulary needs one id, which no other"):
        RemappedBPETokenizer(BASE, ids, controls, 0, 300)


def test_ids_are_those_of_the_base_through_the_table() -> None:
    tokenizer = RemappedBPETokenizer(BASE, range(259, 3, -1), {"<s>": 1, "</s>": 2}, 2, 300)
    assert tokenizer.encode("ab") == [259 - i for i in BASE.encode("ab")]
    assert tokenizer.encode_array("ab").tolist() == tokenizer.encode("ab")
    assert tokenizer.decode([1, *tokenizer.encode("ab"), 2, 0]) == "ab"
    assert (tokenizer.vocab_size, tokenizer.eos_id) == (300, 2)
    assert [tokenizer.control_of(i) for i in (1, 2)] == ["<s>", "</s>"]
