"""Find documents that share long n-grams with evaluation texts.

References:
    Brown et al. 2020, "Language Models are Few-Shot Learners", appendix C, "Details of Test Set
    Contamination Studies": texts without case and punctuation that have 13 words in a row in
    common; of shorter texts all words, and of texts of fewer than 8 words nothing is compared.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache

import numpy as np

from gpt_core.config import ReadingConfig
from gpt_core.object_paths import Location
from gpt_core.text.near_duplicates import split_words
from gpt_core.text.ngrams import Hashes, WordHasher, hash_ngrams
from gpt_core.text.reading import read_texts
from gpt_core.text.records import RecordFormat, read_record_file
from gpt_core.text.sources import source_files

NGRAM_WORDS = 13
"""Words in a row by which a text is recognized."""

MIN_WORDS = 8
"""Words of the shortest text that is looked for."""

_JSON: dict[str, RecordFormat] = {".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl"}


class EvaluationTexts:
    """The n-grams of evaluation texts, eight bytes for each.

    Args:
        texts: The texts.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        self._hasher = WordHasher()
        ngrams: dict[int, list[Hashes]] = defaultdict(list)
        self.n_texts = self.n_short = 0
        for text in texts:
            words = split_words(text)
            self.n_texts += 1
            if len(words) < MIN_WORDS:
                self.n_short += 1
                continue
            n = min(NGRAM_WORDS, len(words))
            ngrams[n].append(hash_ngrams(self._hasher.hash_words(words), n))
        self._ngrams = {n: np.unique(np.concatenate(found)) for n, found in ngrams.items()}

    def shared_words(self, text: str) -> str | None:
        """The first words in a row that a text shares with an evaluation text, or None.

        Example:
            >>> held = EvaluationTexts(["One two three four five six seven eight!"])
            >>> held.shared_words("Zero, one, two, three, four, five, six, seven, eight, nine.")
            'one two three four five six seven eight'
        """
        words = split_words(text)
        hashes = self._hasher.hash_words(words)
        for n, held in self._ngrams.items():
            ngrams = hash_ngrams(hashes, n)
            places = np.minimum(np.searchsorted(held, ngrams), len(held) - 1)
            found = np.flatnonzero(held[places] == ngrams)
            if len(found):
                return " ".join(words[found[0] : found[0] + n])
        return None


@cache
def read_evaluation_texts(path: Location, reading: ReadingConfig) -> EvaluationTexts:
    """Read the evaluation texts of a file or folder: of JSON every string, whatever its key.

    Args:
        path: The file or folder.
        reading: How tables and plain text are read; its format and boundaries do not count.

    Raises:
        DataError: If a file cannot be read.
    """
    plain = replace(reading, format="auto", boundaries=None)
    return EvaluationTexts(text for file in source_files(path) for text in _texts(file, plain))


def _texts(file: Location, reading: ReadingConfig) -> Iterator[str]:
    form = _JSON.get(file.suffix.lower())
    if form is None:
        yield from (text for _, text in read_texts(file, reading))
        return
    for _, value in read_record_file(file, form, ()):
        yield from _strings(value)


def _strings(value: object) -> Iterator[str]:
    """All strings in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)
