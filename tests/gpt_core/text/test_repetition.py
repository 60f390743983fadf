"""Repeated items and n-grams are counted as a plain count of texts has them."""

import random
from collections import Counter

from gpt_core.text.ngrams import WordHasher
from gpt_core.text.repetition import repeated, repeated_ngram_characters, top_ngram_characters


def top_by_counting(words: list[str], n: int) -> int:
    counts = Counter(" ".join(words[i : i + n]) for i in range(len(words) - n + 1))
    ngram, most = counts.most_common(1)[0] if counts else ("", 0)
    return most * len(ngram) if most > 1 else 0


def repeated_by_counting(words: list[str], n: int) -> int:
    seen, characters, start = set(), 0, 0
    while start + n <= len(words):
        ngram = tuple(words[start : start + n])
        if ngram in seen:
            characters += len("".join(ngram))
            start += n
        else:
            seen.add(ngram)
            start += 1
    return characters


def test_ngrams_are_counted_as_their_texts() -> None:
    for _ in range(60):
        words = random.choices(["a", "bb", "ccc", "dddd"], k=random.randint(0, 60))
        hashes = WordHasher().hash_words(words)
        for n in range(1, 11):
            assert top_ngram_characters(words, hashes, n) == top_by_counting(words, n)
            assert repeated_ngram_characters(words, hashes, n) == repeated_by_counting(words, n)


def test_repeated_items_are_all_but_the_first_of_equal_ones() -> None:
    assert repeated(["one", "two", "one", "", "one", ""]) == ["one", "one", ""]
    assert repeated([]) == []
