"""Evaluate tokenizers: compression, split words, vocabulary use, speed."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import regex

from gpt_core.artifact import Artifact
from gpt_core.config import ComparisonConfig
from gpt_core.evaluation.report import Rows, write_report
from gpt_core.files import Progress
from gpt_core.text import iter_texts
from gpt_core.tokenizers import TokenCounts, Tokenizer, load_tokenizer

_BATCH_BYTES = 1 << 20  # of text, encoded at a time
_N_SENTENCES, _MAX_CHARACTERS = 5, 90  # of the corpus, as examples
_N_RANKS = 200  # points of a Zipf curve
_WORD = regex.compile(r"[\p{L}\p{M}\p{N}]+")


def measure_tokenizer(
    documents: Artifact,
    tokenizer: Artifact,
    config: ComparisonConfig,
    out_dir: Path,
    *,
    progress: Progress | None = None,
) -> Artifact:
    """Measure one tokenizer on validation text, or on training text if there is none.

    Args:
        documents: The corpus.
        tokenizer: The tokenizer, which need not be trained on this corpus.
        config: The tokenizer's name, the amount of text, and the example sentences.
        out_dir: Directory of the report.
        progress: Receives ``bytes`` encoded.

    Returns:
        A report artifact. Metrics: ``vocab_size``, ``tokens_per_word`` (words between spaces),
        ``bytes_per_token``, ``whole_words`` (fraction of words that are not split into pieces),
        ``vocabulary_used`` (fraction of ids that occur), ``unknown_share`` (fraction of tokens),
        ``exact_share`` (fraction of documents that decode to the original),
        ``megabytes_per_second`` of encoding, and ``train_seconds`` if it was trained here. Tables:
        ``ranks``, the token counts from the most frequent on (Zipf's curve), and ``sentences``
        with their pieces.
    """
    loaded = load_tokenizer(tokenizer.directory)
    tally = _Tally(loaded)
    sentences = list(config.sentences)
    for texts in _batches(documents, config.max_bytes):
        tally.add(texts)
        if not config.sentences and len(sentences) < _N_SENTENCES:
            sentences += [_first_words(text) for text in texts[: _N_SENTENCES - len(sentences)]]
        if progress is not None:
            progress("bytes", tally.encoded.n_bytes, None)
    trained = tokenizer.metrics().get("train_seconds")
    metrics = tally.metrics() | ({} if trained is None else {"train_seconds": trained})
    tables = {
        "ranks": tally.ranks(),
        "sentences": [_sentence_row(text, loaded) for text in sentences],
    }
    parents = (documents, tokenizer)
    return write_report(out_dir, metrics, tables, config=config, parents=parents)


@dataclass(slots=True)
class _Tally:
    """Counts over the text encoded so far."""

    tokenizer: Tokenizer
    n_documents: int = 0
    n_exact: int = 0
    n_words: int = 0
    """Runs of letters, marks and digits."""

    n_whole: int = 0
    """Words, among ``n_words``, that are not split."""

    seconds: float = 0.0
    encoded: TokenCounts = field(init=False)
    counts: npt.NDArray[np.int64] = field(init=False)
    """Occurrences of each id, shape (vocab_size,)."""

    def __post_init__(self) -> None:
        self.encoded = TokenCounts(self.tokenizer)
        self.counts = np.zeros(self.tokenizer.vocab_size, dtype=np.int64)

    def add(self, texts: Sequence[str]) -> None:
        """Encode texts and add them to the counts."""
        started = time.perf_counter()
        encoded = self.tokenizer.encode_batch(texts)
        self.seconds += time.perf_counter() - started
        self.n_documents += len(texts)
        for text, ids in zip(texts, encoded, strict=True):
            self.encoded.add(text, ids)
            self.n_exact += self.tokenizer.decode(ids) == text
            self.counts += np.bincount(ids, minlength=len(self.counts))
            n_words, n_whole = count_whole_words(
                text, self.tokenizer.pieces(text), self._known(ids)
            )
            self.n_words += n_words
            self.n_whole += n_whole

    def metrics(self) -> dict[str, float]:
        """Compute the metrics, see ``measure_tokenizer``."""
        encoded = self.encoded.metrics()
        return {
            "vocab_size": encoded["vocab_size"],
            "tokens_per_word": encoded["tokens_per_word"],
            "bytes_per_token": encoded["bytes_per_token"],
            "whole_words": self.n_whole / max(1, self.n_words),
            "vocabulary_used": float(np.count_nonzero(self.counts)) / len(self.counts),
            "unknown_share": encoded["unknown_share"],
            "exact_share": self.n_exact / max(1, self.n_documents),
            "megabytes_per_second": self.encoded.n_bytes / 1e6 / max(1e-9, self.seconds),
        }

    def ranks(self) -> Rows:
        """Zipf's curve at logarithmically spaced ranks."""
        sorted_counts = np.sort(self.counts[self.counts > 0])[::-1]
        ranks = np.unique(np.geomspace(1, len(sorted_counts), _N_RANKS).astype(int))
        return [{"rank": int(rank), "count": int(sorted_counts[rank - 1])} for rank in ranks]

    def _known(self, ids: Sequence[int]) -> npt.NDArray[np.bool_]:
        unk_id = self.tokenizer.unk_id
        return np.array([token_id != unk_id for token_id in ids], dtype=np.bool_)


def count_whole_words(
    text: str, pieces: Sequence[bytes], known: npt.NDArray[np.bool_]
) -> tuple[int, int]:
    """Count the words of a text, and those that tokenization does not split.

    Args:
        text: The text.
        pieces: The bytes of each token; joined, the text's UTF-8 bytes.
        known: Whether each token is in the vocabulary; unknown words do not count as unsplit.

    Returns:
        The number of words (runs of letters, marks and digits), and of those within one token.

    Example:
        >>> count_whole_words("to unlock", [b"to", b" un", b"lock"], np.array([True, True, True]))
        (2, 1)
    """
    spans = np.array([match.span() for match in _WORD.finditer(text)], dtype=np.int64)
    if not len(spans):
        return 0, 0
    code_points = np.frombuffer(text.encode("utf-32-le"), dtype="<u4")
    widths = 1 + (code_points > 0x7F) + (code_points > 0x7FF) + (code_points > 0xFFFF)
    offsets = np.concatenate([[0], np.cumsum(widths)])[spans]  # character offsets to byte offsets
    ends = np.cumsum([len(piece) for piece in pieces])  # byte offset at which each piece ends
    first = np.searchsorted(
        ends, offsets[:, 0], side="right"
    )  # index of the piece with the first byte
    last = np.searchsorted(ends, offsets[:, 1], side="left")
    return len(spans), int(((first == last) & known[first]).sum())


def _batches(documents: Artifact, max_bytes: int) -> Iterator[list[str]]:
    """Texts in batches of about a megabyte, until ``max_bytes`` are reached."""
    held_out = documents.manifest().info_int("splits", "validation", "documents")
    batch: list[str] = []
    size, left = 0, max_bytes
    for text in iter_texts(documents, "validation" if held_out else "train"):
        n_bytes = len(text.encode())
        batch.append(text)
        size, left = size + n_bytes, left - n_bytes
        if size >= _BATCH_BYTES or left <= 0:
            yield batch
            batch, size = [], 0
        if left <= 0:
            return
    if batch:
        yield batch


def _first_words(text: str) -> str:
    """The beginning of a text on one line, truncated after a word."""
    line = " ".join(text.split())
    return line if len(line) <= _MAX_CHARACTERS else line[:_MAX_CHARACTERS].rpartition(" ")[0]


def _sentence_row(sentence: str, tokenizer: Tokenizer) -> dict[str, object]:
    """A sentence with its pieces; incomplete characters are shown as hexadecimal bytes."""
    pieces = tokenizer.pieces(sentence)
    return {"sentence": sentence, "tokens": len(pieces), "pieces": [_display(p) for p in pieces]}


def _display(piece: bytes) -> str:
    try:
        return piece.decode()
    except UnicodeDecodeError:
        return "".join(f"<{byte:02X}>" for byte in piece)
