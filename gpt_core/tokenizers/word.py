"""Tokenizer with one token per word: short sequences, but a large vocabulary and unknown words."""

from gpt_core.tokenizers.vocabulary import VocabularyTokenizer


class WordTokenizer(VocabularyTokenizer):
    """Words, each with the space before it, and single punctuation characters.

    Example:
        >>> WordTokenizer.split("Well, well.")
        ['Well', ',', ' well', '.']
        >>> tokenizer = WordTokenizer.train(["a rose is a rose"], None)
        >>> tokenizer.decode(tokenizer.encode("a rose is red"))
        'a rose is�'
    """

    kind = "word"
    # Marks belong to words: Python's \w would cut vocalized Arabic at every vowel sign.
    unit_pattern = r" ?[\p{L}\p{M}\p{N}_]+| ?[^\s\p{L}\p{M}\p{N}_]|\s"
