"""One token a word: short texts, a vocabulary without end, and words that are lost."""

from gpt_core.tokenizers.vocabulary import VocabularyTokenizer


class WordTokenizer(VocabularyTokenizer):
    """Words, each with the space before it, and single marks of punctuation.

    Example:
        >>> WordTokenizer.split("Well, well.")
        ['Well', ',', ' well', '.']
        >>> tokenizer = WordTokenizer.train(["a rose is a rose"], None)
        >>> tokenizer.decode(tokenizer.encode("a rose is red"))
        'a rose is�'
    """

    kind = "word"
    # Marks belong to their word: Python's own \w would cut diacritised Arabic at every vowel sign.
    unit_pattern = r" ?[\p{L}\p{M}\p{N}_]+| ?[^\s\p{L}\p{M}\p{N}_]|\s"
