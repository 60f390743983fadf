"""Closed vocabularies keep the most frequent units; others become unk."""

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
def test_the_units_concatenate_to_the_text(kind: type[VocabularyTokenizer], text: str) -> None:
    units = kind.split(text)
    assert "".join(units) == text
    assert all(units)


@given(text=st.text(min_size=1))
def test_code_point_ids_are_ranks_in_the_sorted_set(text: str) -> None:
    tokenizer = CodePointTokenizer.train([text], None)
    number = {character: i for i, character in enumerate(sorted(set(text)))}
    assert tokenizer.encode(text) == [number[character] for character in text]


def test_a_small_vocabulary_keeps_the_most_frequent_units() -> None:
    tokenizer = WordTokenizer.train(["a b b c c c", "c b a"], 4)
    assert set(tokenizer.units) == {" b", " c"}
    assert tokenizer.encode(" c x b") == [1, tokenizer.unk_id, 0]
    assert tokenizer.decode(tokenizer.encode(" c x b")) == " c\ufffd b"


def test_ties_go_to_the_lower_code_point() -> None:
    assert CodePointTokenizer.train(["zyx"], 3).units == ("x",)


@pytest.mark.parametrize("kind", KINDS)
def test_too_large_a_vocabulary_names_the_largest(
    kind: type[VocabularyTokenizer],
) -> None:
    texts = ["a", "aa"] if kind is not WordTokenizer else ["a"]
    for size in (9, 4):
        with pytest.raises(
            DataError, match=f"{kind.kind} vocabulary of at most 3, .* is {size}: set"
        ):
            kind.train(texts, size)
    assert kind.train(texts, 3).units == ("a",)


@pytest.mark.parametrize("kind", KINDS)
def test_training_on_no_text_is_refused(kind: type[VocabularyTokenizer]) -> None:
    with pytest.raises(DataError, match="no text in the training split"):
        kind.train(["", ""], None)


def test_combining_marks_stay_with_their_letters() -> None:
    text = "قُلْ هُوَ cafe\u0301"
    assert WordTokenizer.split(text) == ["قُلْ", " هُوَ", " cafe\u0301"]
    for character in CharacterTokenizer.split(text):
        assert not unicodedata.combining(character[0])
    assert len(CodePointTokenizer.split(text)) == len(text)
