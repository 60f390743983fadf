"""Streams are decoded strictly; errors name the byte and its line."""

import io

import pytest

from gpt_core.errors import DataError
from gpt_core.text.streams import open_text


def decode(content: bytes, encoding: str = "utf-8", **options: str | None) -> str:
    with open_text(io.BytesIO(content), "a.txt", encoding, **options) as text:
        return text.read()


@pytest.mark.parametrize("name", ["utf-8", "UTF_8", "utf8"])
def test_a_byte_order_mark_is_dropped(name: str) -> None:
    assert decode("\ufeffa\ufeff".encode(), name) == "a\ufeff"


def test_line_ends_become_lf_unless_newline_is_empty() -> None:
    assert decode(b"a\r\nb\rc\n") == "a\nb\nc\n"
    assert decode(b"a\r\nb\rc\n", newline="") == "a\r\nb\rc\n"


@pytest.mark.parametrize(
    ("content", "encoding", "sentence"),
    [
        (b"ab\n\xff", "utf-8", r"a.txt is not utf-8: byte 0xff at offset 3 \(line 2\) cannot be"),
        (b"\xff\n", "ascii", r"byte 0xff at offset 0 \(line 1\)"),
        (b"a\n" * 700_000 + b"\xff", "utf-8", r"offset 1400000 \(line 700001\)"),
    ],
)
def test_an_undecodable_byte_is_named_with_its_line(
    content: bytes, encoding: str, sentence: str
) -> None:
    with pytest.raises(DataError, match=sentence):
        decode(content, encoding)


def test_a_nul_is_text_in_wide_encodings_only() -> None:
    assert decode("a".encode("utf-16"), "UTF_16") == "a"
    assert decode("a".encode("utf-32-le"), "utf-32-le") == "a"
    with pytest.raises(
        DataError, match=r"a.txt is a binary file, not text: its first bytes contain"
    ):
        decode(b"a\0")
    assert decode(b"a" * 8192 + b"\0").endswith("\0")


@pytest.mark.parametrize("wide", ["utf-16", "utf-32"])
def test_the_setting_is_advised_where_there_is_one(wide: str) -> None:
    content = "text".encode(wide)
    with pytest.raises(DataError, match=f"is {wide} text, not utf-8: set reading.encoding={wide}$"):
        decode(content, setting="reading.encoding")
    with pytest.raises(DataError, match=f"is {wide} text, not utf-8: save it as UTF-8$"):
        decode(content)
    with pytest.raises(DataError, match=r"set reading.encoding to what it was written in$"):
        decode(b"\xff", setting="reading.encoding")
    with pytest.raises(DataError, match=r"cannot be decoded; save it as UTF-8$"):
        decode(b"\xff")


def test_wide_text_without_a_byte_order_mark_raises() -> None:
    with pytest.raises(DataError, match=r"is not utf-16: .*; set reading.encoding$"):
        decode("long enough".encode("utf-16-le"), "utf-16", setting="reading.encoding")
