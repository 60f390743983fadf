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
