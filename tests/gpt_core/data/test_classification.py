"""Labelled texts are encoded and padded."""

from gpt_core.data import encode_texts, pad
from gpt_core.tokenizers import ByteTokenizer


def test_rows_are_padded_at_the_end() -> None:
    rows = encode_texts(["abc", "", "abcdef"], ByteTokenizer(), max_tokens=4)
    token_ids, lengths = pad(rows, pad_id=9)
    assert token_ids.tolist() == [[97, 98, 99, 9], [256, 9, 9, 9], [97, 98, 99, 100]]
    assert lengths.tolist() == [3, 1, 4]
