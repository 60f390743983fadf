"""How text is read, cleaned and cut into tokens."""

from dataclasses import dataclass
from typing import Literal

from gpt_core.config.checks import require, require_at_least, require_share
from gpt_core.config.section import Section

TokenizerKind = Literal[
    "unigram", "sentencepiece-bpe", "bpe", "gpt2", "byte", "codepoint", "character", "word"
]
FIXED_VOCAB_SIZES = {"byte": 257, "gpt2": 50_257}
"""Vocabulary sizes of the tokenizer kinds that are not trained."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadingConfig(Section):
    """How a source becomes documents."""

    format: Literal["auto", "text", "json", "jsonl", "csv", "tsv", "parquet"] = "auto"
    """The source's form; ``auto`` goes by the file name, compression aside."""

    split: Literal["blank-line", "line", "file"] = "blank-line"
    """Where one document of a text file ends and the next begins."""

    text_column: str = "text"
    """The column (CSV, TSV, Parquet) or key (JSON, JSONL) that holds the text."""

    boundaries: str | None = None
    """A TSV beside the source with ``char_offset`` and ``char_length`` (in Unicode characters) of
    each document; used instead of ``split`` where that file exists."""

    encoding: str = "utf-8"
    """The encoding of text, CSV, TSV and JSON files, by a name that Python knows."""

    def __post_init__(self) -> None:
        require(
            _is_encoding(self.encoding),
            f"encoding must be one that Python knows, such as utf-8 or cp1256, got "
            f"{self.encoding!r}",
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class CleaningConfig(Section):
    """Which rules clean a document, and into which shares the documents are split."""

    language: Literal["auto", "arabic", "english", "none"] = "auto"
    """Whose rules apply; ``auto`` decides for each document by the script of most letters."""

    strip_diacritics: bool = True
    """Arabic: remove vowel signs, superscript alef and Quranic marks."""

    strip_tatweel: bool = True
    """Arabic: remove the stretching stroke U+0640."""

    unify_letters: bool = False
    """Arabic: write all forms of alef as bare alef, alef maqsura as ya, ta marbuta as ha, hamza on
    waw or ya as that letter, the Persian kaf and ya as the Arabic ones."""

    strip_brackets: bool = True
    """Arabic: remove bracketed numbers and page references and notes in square brackets; of other
    brackets, such as those around a quotation of the Quran, only the signs."""

    strip_page_marks: bool = True
    """Arabic: remove page numbers that stand on a line of their own."""

    strip_digits: bool = True
    """Arabic: remove ASCII, Arabic-Indic and Eastern Arabic-Indic digits."""

    strip_separators: bool = True
    """Arabic: remove lines of strokes, stars and the like that separate pages."""

    strip_punctuation: bool = False
    """Arabic: remove the punctuation of both scripts."""

    straighten_quotes: bool = True
    """English: write typographic quotation marks and apostrophes as ASCII."""

    straighten_dashes: bool = True
    """English: write dashes, the minus sign and the ellipsis as ASCII."""

    strip_controls: bool = True
    """Both: remove control, bidirectional and zero-width characters and byte-order marks; the
    joiners U+200C and U+200D stay, for Persian words and emoji are spelled with them."""

    collapse_whitespace: bool = True
    """Both: one space for each run of spaces, at most one blank line, no space at line ends."""

    min_characters: int = 1
    """Documents shorter than this many characters after cleaning are dropped."""

    deduplicate: bool = True
    """Keep only the first of documents that are equal after cleaning."""

    validation_share: float = 0.05
    """Share of documents for validation, chosen by a hash of the document id."""

    test_share: float = 0.05
    """Share of documents for the final test, chosen by the same hash."""

    def __post_init__(self) -> None:
        require_at_least(self, 1, "min_characters")
        require_share(self, "validation_share", "test_share")
        held_out = self.validation_share + self.test_share
        require(
            held_out < 1,
            f"validation_share + test_share must leave text to train on, got {held_out}",
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenizerConfig(Section):
    """Which tokenizer, and how it is trained."""

    kind: TokenizerKind = "unigram"
    """``unigram`` and ``sentencepiece-bpe``: SentencePiece; ``bpe``: our byte-level BPE; ``gpt2``:
    the released vocabulary; ``byte``, ``codepoint``, ``character`` (a letter with its marks),
    ``word``: one token each, of which only bytes can write every text."""

    vocab_size: int | None = 8000
    """Number of tokens, specials included; None for ``byte`` and ``gpt2``, whose size is fixed,
    and for code points, characters or words to take all of the text."""

    pattern: str = "marks"
    """``bpe``: where it may not merge: ``gpt2``, ``gpt4``, ``marks`` (GPT-2's with combining marks
    kept at their letters, as Arabic needs) or a regular expression for the pieces."""

    character_coverage: float = 0.9995
    """SentencePiece: share of the text's characters that get a piece; the rest is written in
    bytes."""

    cross_words: bool = False
    """SentencePiece: a piece may span several words, such as a formula that always recurs."""

    split_scripts: bool = True
    """SentencePiece: no piece mixes two scripts."""

    split_digits: bool = False
    """SentencePiece: each digit is a piece of its own."""

    max_piece_length: int = 16
    """SentencePiece: longest piece, in characters."""

    max_sentences: int = 1_000_000
    """SentencePiece: at most this many lines are sampled for training."""

    seed_pieces: int = 1_000_000
    """Unigram: number of pieces to begin with."""

    shrinking_factor: float = 0.75
    """Unigram: share of the pieces that each round keeps."""

    em_steps: int = 2
    """Unigram: steps of expectation and maximization in each round."""

    directory: str | None = None
    """GPT-2: the folder with ``encoder.json`` and ``vocab.bpe``."""

    def __post_init__(self) -> None:
        require_at_least(self, 1, "max_piece_length", "max_sentences", "seed_pieces", "em_steps")
        require(
            0 < self.character_coverage <= 1,
            f"character_coverage must be in (0, 1], got {self.character_coverage}",
        )
        require(
            0 < self.shrinking_factor < 1,
            f"shrinking_factor must be in (0, 1), got {self.shrinking_factor}",
        )
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


def _is_encoding(name: str) -> bool:
    """Whether Python knows an encoding of text by that name."""
    try:
        "".encode(name)
    except (LookupError, ValueError):
        return False
    return True
