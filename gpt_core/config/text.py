"""Settings of reading and cleaning text and of training the tokenizer."""

import re
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Literal

from gpt_core.config.checks import (
    require,
    require_at_least,
    require_at_most,
    require_named,
    require_share,
)
from gpt_core.config.patterns import NAMED_PATTERNS, require_pattern
from gpt_core.config.section import RECORDED_IF_SET, UNRECORDED, Section

TokenizerKind = Literal[
    "unigram", "sentencepiece-bpe", "bpe", "gpt2", "byte", "codepoint", "character", "word"
]
FIXED_VOCAB_SIZES = {"byte": 257, "gpt2": 50_257}
"""Vocabulary sizes of the tokenizer kinds that are not trained."""

_MIN_SIMILARITY = 0.3
_LANGUAGE_CODE = re.compile("[a-z]{2,3}")


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadingConfig(Section):
    """How the files of a source become documents."""

    format: Literal[
        "auto", "text", "openiti", "json", "jsonl", "csv", "tsv", "parquet", "arrow", "html",
        "epub", "warc",
    ] = "auto"  # fmt: skip
    """The file format. ``auto`` decides for each file by its suffix: ``.txt``, ``.md``, ``.text``,
    ``.raw`` or none is text; ``.json``, ``.jsonl``, ``.ndjson``, ``.csv``, ``.tsv``, ``.parquet``,
    ``.arrow``; ``.html``, ``.htm``, ``.xhtml``; ``.epub``; ``.warc``, ``.wet``. A file that begins
    with ``######OpenITI#`` is OpenITI mARkdown. All of them may be compressed (``.gz``, ``.zst``)
    or in a ``.zip``."""

    split: Literal["blank-line", "line", "file"] = "blank-line"
    """Where a document of a text file ends: at a ``blank-line``, at each ``line``, or with the
    ``file``. In OpenITI mARkdown a paragraph is a line, and a blank line follows it."""

    keep_heads: bool = field(default=True, metadata=RECORDED_IF_SET)
    """OpenITI mARkdown: keep the heads of chapters and sections, each as a line before its first
    paragraph."""

    html: Literal["main", "all"] = field(default="main", metadata=RECORDED_IF_SET)
    """HTML pages and web archives: read the ``main`` text, without menus, headers and footers, or
    ``all`` that is visible."""

    text_column: str = "text"
    """Name of the column (CSV, TSV, Parquet) or key (JSON, JSON lines) that holds the text."""

    boundaries: str | None = None
    """Name of a TSV file in the folder of the text file, with the columns ``char_offset`` and
    ``char_length`` (in Unicode characters) of each document. If that file exists, it is used
    instead of ``split``; none to always use ``split``."""

    encoding: str = "utf-8"
    """Character encoding of text, JSON, CSV and TSV files, by its name in Python, such as
    ``utf-8``, ``cp1256`` or ``utf-16``. A byte-order mark is dropped. An HTML page that declares
    another one is read by that, unless this is set."""

    def __post_init__(self) -> None:
        require_named(self, "text_column", "boundaries")
        require(
            self.boundaries is None or PurePath(self.boundaries).name == self.boundaries,
            f"boundaries must be the name of a file beside the text, got {self.boundaries!r}",
        )
        require(
            is_encoding(self.encoding),
            f"encoding must be one that Python knows, such as utf-8 or cp1256, got "
            f"{self.encoding!r}",
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class CleaningConfig(Section):
    """Cleaning rules, deduplication, and the split into train, validation and test."""

    language: Literal["auto", "arabic", "english", "none"] = "auto"
    """The language whose rules apply. ``auto`` decides for each document by the script of most of
    its first letters: Arabic, else English. ``none`` leaves the text as it is."""

    fold_presentation_forms: bool = True
    """Arabic: replace contextual forms and ligatures (U+FB50 to U+FDFF, U+FE70 to U+FEFC), which
    old files and extracted PDFs have, by the letters themselves."""

    strip_diacritics: bool = True
    """Arabic: remove combining marks (vowel signs, shadda, superscript alef) and Quranic
    annotation signs."""

    strip_tatweel: bool = True
    """Arabic: remove tatweel (U+0640), which elongates words."""

    unify_letters: bool = False
    """Arabic: normalize all forms of alef to bare alef, alef maqsura to ya, ta marbuta to ha,
    hamza on waw or ya to that letter, and the Persian kaf and ya to the Arabic ones."""

    strip_brackets: bool = True
    """Arabic: remove bracketed numbers, bracketed page references and notes in square brackets. Of
    other brackets, such as those around a quotation of the Quran, remove only the characters."""

    strip_page_marks: bool = True
    """Arabic: remove lines that hold only a page number."""

    strip_digits: bool = True
    """Arabic: remove numbers in ASCII, Arabic-Indic and Eastern Arabic-Indic digits."""

    strip_separators: bool = True
    """Arabic: remove lines of dashes, stars and the like that separate pages or sections."""

    strip_punctuation: bool = False
    """Arabic: remove Arabic and Latin punctuation."""

    straighten_quotes: bool = True
    """English: replace typographic quotation marks and apostrophes by ASCII."""

    straighten_dashes: bool = True
    """English: replace dashes, the minus sign and the ellipsis by ASCII."""

    strip_controls: bool = True
    """Arabic and English: remove control, bidirectional and zero-width characters and byte-order
    marks. The joiners U+200C and U+200D are kept, because Persian words and emoji need them."""

    collapse_whitespace: bool = True
    """Arabic and English: reduce runs of spaces to one space and blank lines to at most one, and
    strip spaces at line ends."""

    min_characters: int = 1
    """Drop documents with fewer characters than this after cleaning."""

    deduplicate: bool = True
    """Drop documents that equal an earlier one after cleaning."""

    near_duplicates: bool = field(default=False, metadata=RECORDED_IF_SET)
    """Drop documents that nearly equal an earlier one, found by MinHash-LSH over sets of three
    words in a row; case, marks and punctuation do not count. Needs ``gptflow[filters]``."""

    near_duplicate_similarity: float = field(default=0.8, metadata=RECORDED_IF_SET)
    """Least Jaccard similarity of near duplicates, in [0.3, 1]."""

    languages: tuple[str, ...] = field(default=(), metadata=RECORDED_IF_SET)
    """Drop documents that are in none of these languages, by their ISO 639 codes, such as
    ``["ar", "en"]``; an empty list keeps all. Needs ``gptflow[filters]``."""

    quality: bool = field(default=False, metadata=RECORDED_IF_SET)
    """Drop documents that the filters of Gopher and FineWeb drop: too short or long, odd words or
    symbols, lists, repeated lines, paragraphs and phrases."""

    quality_min_words: int = field(default=50, metadata=RECORDED_IF_SET)
    """``quality``: least number of words of a document. Gopher's 50 is for web pages."""

    contamination: str | None = field(default=None, metadata=UNRECORDED)
    """Source of evaluation texts, by name or path: documents that share 13 words in a row with one
    of them are dropped, see ``contaminated``."""

    contaminated: Literal["drop", "keep"] = field(default="drop", metadata=RECORDED_IF_SET)
    """Fate of documents that share 13 words with an evaluation text: ``drop`` them, or
    ``keep`` and only count them."""

    validation_share: float = 0.05
    """Fraction of documents for validation, in [0, 1), chosen by a hash of the document id."""

    test_share: float = 0.05
    """Fraction of documents for test, in [0, 1), chosen by the same hash."""

    def __post_init__(self) -> None:
        require_at_least(self, 1, "min_characters", "quality_min_words")
        require_share(self, "validation_share", "test_share")
        require_named(self, "contamination")
        require_at_least(self, _MIN_SIMILARITY, "near_duplicate_similarity")
        require_at_most(self, 1, "near_duplicate_similarity")
        for code in self.languages:
            require(
                bool(_LANGUAGE_CODE.fullmatch(code)),
                f'languages must be codes of two or three letters, such as ["ar", "en"], got '
                f"{code!r}",
            )
        held_out = self.validation_share + self.test_share
        require(
            held_out < 1,
            f"validation_share + test_share must leave text to train on, got {held_out}",
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenizerConfig(Section):
    """Kind of tokenizer and its training."""

    kind: TokenizerKind = "unigram"
    """``unigram`` and ``sentencepiece-bpe`` (SentencePiece), ``bpe`` (byte-level BPE) and ``gpt2``
    (GPT-2's released vocabulary) make subword tokens; ``byte``, ``codepoint``, ``character`` (a
    letter with its marks) and ``word`` make one token each. The last three map text that is not in
    the training text to an unknown token; all others cover every text."""

    vocab_size: int | None = 8000
    """Number of tokens, special tokens included. It must be none for ``byte`` (257) and ``gpt2``
    (50,257), whose size is fixed; for ``codepoint``, ``character`` and ``word`` none takes all of
    the training text."""

    pattern: str = "marks"
    """``bpe``: the pattern that cuts text into pieces, which merges do not cross: ``gpt2``,
    ``gpt4``, ``marks`` (GPT-2's, with combining marks kept with their letters, as Arabic needs) or
    a regular expression that matches the pieces, in syntax that all engines read alike."""

    character_coverage: float = 0.9995
    """SentencePiece: fraction of the text's characters that get a piece, in (0, 1]; the rarest
    others are encoded as bytes."""

    cross_words: bool = False
    """SentencePiece: allow pieces that span several words, such as recurring formulas."""

    split_scripts: bool = True
    """SentencePiece: do not mix two scripts in a piece."""

    split_digits: bool = False
    """SentencePiece: make each digit a piece of its own."""

    max_piece_length: int = 16
    """SentencePiece: longest piece, in characters."""

    max_sentences: int = 1_000_000
    """SentencePiece: number of lines to train on; a random sample if the text has more."""

    seed_pieces: int = 1_000_000
    """Unigram: number of candidate pieces at the start of training."""

    shrinking_factor: float = 0.75
    """Unigram: fraction of the pieces that each pruning round keeps, in (0, 1)."""

    em_steps: int = 2
    """Unigram: EM (expectation-maximization) steps in each round."""

    directory: str | None = None
    """``gpt2``: folder with ``encoder.json`` and ``vocab.bpe`` (or ``vocab.json`` and
    ``merges.txt``); required for this kind."""

    def __post_init__(self) -> None:
        require_named(self, "directory")
        require_at_most(self, _MAX_VOCAB_SIZE, "vocab_size")
        require_at_least(self, 1, "max_piece_length", "max_sentences", "seed_pieces", "em_steps")
        require(
            0 < self.character_coverage <= 1,
            f"character_coverage must be in (0, 1], got {self.character_coverage}",
        )
        require(
            0 < self.shrinking_factor < 1,
            f"shrinking_factor must be in (0, 1), got {self.shrinking_factor}",
        )
        if self.kind == "bpe" and self.pattern not in NAMED_PATTERNS:
            require_pattern(self.pattern)
        self._check_vocab_size()

    def _check_vocab_size(self) -> None:
        size, kind = self.vocab_size, self.kind
        if kind in FIXED_VOCAB_SIZES:
            require(
                size in (None, FIXED_VOCAB_SIZES[kind]),
                f"vocab_size must be none for a {kind} tokenizer, which has "
                f"{FIXED_VOCAB_SIZES[kind]} tokens, got {size}",
            )
            return
        smallest, contents = _MIN_SIZES[kind]
        require(
            size is not None or smallest <= 3,
            f"vocab_size must be a number for a {kind} tokenizer, got none",
        )
        require(
            size is None or size >= smallest,
            f"vocab_size must be at least {smallest} for a {kind} tokenizer ({contents}), "
            f"got {size}",
        )


_MAX_VOCAB_SIZE = 1 << 24
_SENTENCE_PIECE_SIZE = (261, "256 bytes, 4 specials and a piece")
_UNITS_SIZE = (3, "unk, the end of a document and a unit")
_MIN_SIZES = {
    "unigram": _SENTENCE_PIECE_SIZE,
    "sentencepiece-bpe": _SENTENCE_PIECE_SIZE,
    "bpe": (257, "256 bytes and the end of a document"),
    "codepoint": _UNITS_SIZE,
    "character": _UNITS_SIZE,
    "word": _UNITS_SIZE,
}


def is_encoding(name: str) -> bool:
    """Whether Python knows a text encoding of that name."""
    try:
        "".encode(name)
    except (LookupError, ValueError):
        return False
    return True
