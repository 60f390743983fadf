"""The fast forms of the split patterns equal the published ones."""

from collections import Counter

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from gpt_core.errors import ConfigError
from gpt_core.tokenizers import split_pattern
from gpt_core.tokenizers.split_patterns import name_of_pattern

NAMES = ("gpt2", "gpt4", "marks")
FRAGMENTS = ["a", "Ab", "'s", "'LL", "12345", "?!", " ", "  ", "\n", "\r\n", "\t", "\x1c", "\x85",
             "\u00a0", "ſ", "قُلْ", "\u064e", "٣٤", "日本", "e\u0301", "👩", "_"]  # fmt: skip
TEXTS = st.one_of(st.text(), st.lists(st.sampled_from(FRAGMENTS)).map("".join))


@pytest.mark.parametrize("name", NAMES)
@given(text=TEXTS)
def test_the_fast_form_equals_the_published_one(name: str, text: str) -> None:
    pattern = split_pattern(name)
    assert pattern.split(text) == regex.findall(pattern.published, text)
    assert "".join(pattern.split(text)) == text


@pytest.mark.parametrize("name", [*NAMES, r"\w+| +"])
@given(texts=st.lists(TEXTS))
def test_counting_equals_splitting_every_text(name: str, texts: list[str]) -> None:
    pattern = split_pattern(name)
    assert pattern.count(texts) == Counter(p for text in texts for p in pattern.split(text))


def test_counting_continues_after_the_chunks_were_flushed(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["one two three one", "two two one four"]
    expected = split_pattern("gpt2").count(texts)
    monkeypatch.setattr("gpt_core.tokenizers.split_patterns._MAX_CHUNKS", 1)
    assert split_pattern("gpt2").count(texts) == expected


def test_a_huge_piece_is_counted_in_parts() -> None:
    assert split_pattern("gpt2").count(["a" * 150_000]) == {"a" * 65_536: 2, "a" * 18_928: 1}


def test_the_marks_pattern_keeps_marks_with_their_letter() -> None:
    assert split_pattern("marks").split("قُلْ هُوَ") == ["قُلْ", " هُوَ"]
    assert len(split_pattern("gpt2").split("قُلْ هُوَ")) == 8


def test_characters_that_a_users_pattern_does_not_match_become_pieces() -> None:
    assert split_pattern(r"(a|b)+").split("ab-abba") == ["ab", "-", "abba"]


@pytest.mark.parametrize(
    ("pattern", "sentence"),
    [
        ("[a", "neither gpt2, gpt4, marks nor a regular expression: unterminated character set"),
        (r"\w*", r"'\\\\w\*' matches the empty text"),
        ("", "matches the empty text"),
    ],
)
def test_an_invalid_or_empty_pattern_is_refused(pattern: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        split_pattern(pattern)


@pytest.mark.parametrize("name", NAMES)
def test_the_name_of_a_known_expression_is_found(name: str) -> None:
    pattern = split_pattern(name)
    assert [name_of_pattern(p) for p in (pattern.published, pattern.fast)] == [name, name]
    assert name_of_pattern(r"\w+") == r"\w+"
