"""Words, characters and code points: the most frequent get an id, the rest is lost and shown so."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpt_core.errors import DataError
from gpt_core.tokenizers import CharacterTokenizer, CodePointTokenizer, WordTokenizer
from gpt_core.tokenizers.vocabulary import VocabularyTokenizer

KINDS = (CharacterTokenizer, CodePointTokenizer, WordTokenizer)


@pytest.mark.parametrize("kind", KINDS)
@given(text=st.text())
def test_the_units_of_a_text_are_the_text(kind: type[VocabularyTokenizer], text: str) -> None:
    units = kind.split(text)
    assert "".join(units) == text
    assert all(units)


@given(text=st.text(min_size=1))
def test_a_tokenizer_of_code_points_numbers_the_sorted_set(text: str) -> None:
    tokenizer = CodePointTokenizer.train([text], None)
    number = {character: i for i, character in enumerate(sorted(set(text)))}
    assert tokenizer.encode(text) == [number[character] for character in text]


def test_a_small_vocabulary_keeps_the_most_frequent_units() -> None:
    tokenizer = WordTokenizer.train(["a b b c c c", "c b a"], 4)
    assert set(tokenizer.units) == {" b", " c"}
    assert tokenizer.encode(" c x b") == [1, tokenizer.unk_id, 0]
    assert tokenizer.decode(tokenizer.encode(" c x b")) == " c\ufffd b"


def test_of_equally_frequent_units_the_first_in_code_points_is_kept() -> None:
    assert CodePointTokenizer.train(["zyx"], 3).units == ("x",)


@pytest.mark.parametrize("kind", KINDS)
def test_a_vocabulary_that_the_text_does_not_have_names_the_largest(
    kind: type[VocabularyTokenizer],
) -> None:
    with pytest.raises(DataError, match=f"{kind.kind} vocabulary of at most 3, .* is 9: set"):
        kind.train(["a", "aa"] if kind is not WordTokenizer else ["a"], 9)


@pytest.mark.parametrize("kind", KINDS)
def test_no_text_has_no_vocabulary(kind: type[VocabularyTokenizer]) -> None:
    with pytest.raises(DataError, match="no text in the training split"):
        kind.train(["", ""], None)


def test_words_and_characters_keep_their_marks() -> None:
    text = "قُلْ هُوَ cafe\u0301"
    assert WordTokenizer.split(text) == ["قُلْ", " هُوَ", " cafe\u0301"]
    for character in CharacterTokenizer.split(text):
        assert not unicodedata.combining(character[0])
    assert len(CodePointTokenizer.split(text)) == len(text)
