"""Characters, code points and bytes: three units of one text."""

import numpy as np
import pytest
import regex

from gpt_core.errors import DataError
from gpt_core.tokenizers import ByteTokenizer, CharacterTokenizer, CodePointTokenizer


def test_a_character_is_a_grapheme_cluster() -> None:
    assert CharacterTokenizer.split("e\u0301قُ👩\u200d👧\r\n") == [
        "e\u0301",
        "قُ",
        "👩\u200d👧",
        "\r\n",
    ]


def test_a_code_point_is_a_character_of_a_python_string() -> None:
    text = "e\u0301\n😀"
    assert CodePointTokenizer.split(text) == list(text)


def test_byte_ids_are_the_bytes_of_utf8() -> None:
    tokenizer = ByteTokenizer()
    assert (tokenizer.vocab_size, tokenizer.eos_id, tokenizer.unk_id) == (257, 256, None)
    assert tokenizer.encode("aéق") == list("aéق".encode())
    array = tokenizer.encode_array("é")
    assert array.dtype == np.uint32
    assert array.tolist() == [0xC3, 0xA9]
    assert tokenizer.decode([256, 0xC3, 0xA9, 256, 0xC3]) == "é\ufffd"
    assert [tokenizer.token_bytes(i) for i in (0, 255, 256)] == [b"\0", b"\xff", b""]


@pytest.mark.parametrize("token_id", [-1, 257])
def test_undefined_byte_ids_are_refused(token_id: int) -> None:
    with pytest.raises(DataError, match="ids are 0 to 256"):
        ByteTokenizer().decode([0, token_id, 0])
    with pytest.raises(DataError, match="ids are 0 to 256"):
        ByteTokenizer().token_bytes(token_id)


def test_a_long_run_of_flags_is_cut_as_the_regex_cuts_it() -> None:
    letters = "\U0001f1e6\U0001f1ea"
    for text in ("a" + letters * 70 + "b", letters * 32 + letters[0], letters * 64 + "\u0301"):
        assert CharacterTokenizer.split(text) == regex.findall(r"\X", text)
    assert len(CharacterTokenizer.split(letters * 20_000)) == 20_000
