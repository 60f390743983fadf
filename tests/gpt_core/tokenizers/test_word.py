"""Words have the space before them; punctuation and other white space are units of their own."""

import pytest

from gpt_core.tokenizers import WordTokenizer


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("Well, well.", ["Well", ",", " well", "."]),
        ("a  b\n\tc", ["a", " ", " b", "\n", "\t", "c"]),
        ("snake_case 12x", ["snake_case", " 12x"]),
        ("(«قُلْ»)", ["(", "«", "قُلْ", "»", ")"]),
        (" - ", [" -", " "]),
    ],
)
def test_text_is_split_into_words_and_signs(text: str, units: list[str]) -> None:
    assert WordTokenizer.split(text) == units


def test_a_new_word_is_lost() -> None:
    tokenizer = WordTokenizer.train(["a rose is a rose"], None)
    assert tokenizer.units == (" a", " is", " rose", "a")
    assert tokenizer.encode("a rose is red") == [3, 2, 1, 4]
    assert tokenizer.decode([3, 2, 1, 4]) == "a rose is\ufffd"
