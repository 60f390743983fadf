"""What no vocabulary of other numbers can be."""

import pytest

from gpt_core.errors import DataError
from gpt_core.tokenizers import BPETokenizer, RemappedBPETokenizer

BASE = BPETokenizer([], "gpt2")


def test_the_end_of_a_document_is_a_control_token() -> None:
    with pytest.raises(DataError, match="the id 5 that ends a document is of no control token"):
        RemappedBPETokenizer(BASE, range(1, 257), {"<s>": 0}, 5, 257)


@pytest.mark.parametrize("first", [-1, 300])
def test_ids_are_below_the_size_of_the_vocabulary(first: int) -> None:
    with pytest.raises(DataError, match="ids of a vocabulary of 257 must be below that number"):
        RemappedBPETokenizer(BASE, [first, *range(1, 256)], {"<s>": 0}, 0, 257)
