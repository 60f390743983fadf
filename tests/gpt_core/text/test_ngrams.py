"""N-grams have equal hashes exactly where their words are equal."""

import random

import numpy as np

from gpt_core.text.ngrams import WordHasher, hash_ngrams


def test_equal_hashes_are_equal_ngrams() -> None:
    words = random.choices("ab", k=200)
    hashes = WordHasher().hash_words(words)
    for n in (1, 2, 3, 7, 200):
        found = hash_ngrams(hashes, n)
        ngrams = [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
        assert len(found) == len(ngrams)
        assert len(set(found.tolist())) == len(set(ngrams))
        assert len(set(zip(found.tolist(), ngrams, strict=True))) == len(set(ngrams))
    assert len(hash_ngrams(hashes, 201)) == 0


def test_the_hash_of_a_word_does_not_depend_on_what_was_hashed_before() -> None:
    one, other = WordHasher(), WordHasher()
    other.hash_words([f"word{number}" for number in range(100)])
    words = ["قال", "half \ud800", "", "word7"]
    assert np.array_equal(one.hash_words(words), other.hash_words(words))
