"""Train and load tokenizers by their kind."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gpt_core.artifact import Artifact, new_artifact
from gpt_core.config import TokenizerConfig
from gpt_core.engine import Engine, run_serially
from gpt_core.errors import ConfigError, DataError
from gpt_core.files import Progress
from gpt_core.finished_parts import PartStore, open_parts
from gpt_core.text import RowGroup, iter_texts
from gpt_core.tokenizers.base import Tokenizer, read_description
from gpt_core.tokenizers.bpe import BPETokenizer
from gpt_core.tokenizers.bpe_training import train_bpe_on_counts
from gpt_core.tokenizers.character import ByteTokenizer, CharacterTokenizer, CodePointTokenizer
from gpt_core.tokenizers.counting import PART_BYTES, Counts, count_pieces, plan_texts
from gpt_core.tokenizers.gpt2 import GPT2Tokenizer
from gpt_core.tokenizers.metrics import held_out_metrics
from gpt_core.tokenizers.remapped import RemappedBPETokenizer
from gpt_core.tokenizers.sampling import plan_sample
from gpt_core.tokenizers.sentence_piece import (
    SentencePieceBPETokenizer,
    SentencePieceTokenizer,
    UnigramTokenizer,
)
from gpt_core.tokenizers.vocabulary import VocabularyTokenizer
from gpt_core.tokenizers.word import WordTokenizer

_VOCABULARIES: dict[str, type[VocabularyTokenizer]] = {
    cls.kind: cls for cls in (CharacterTokenizer, CodePointTokenizer, WordTokenizer)
}
_SENTENCE_PIECES: dict[str, type[SentencePieceTokenizer]] = {
    cls.kind: cls for cls in (SentencePieceBPETokenizer, UnigramTokenizer)
}
_KINDS: dict[str, type[Tokenizer]] = {
    **{cls.kind: cls for cls in (BPETokenizer, RemappedBPETokenizer, ByteTokenizer, GPT2Tokenizer)},
    **_VOCABULARIES,
    **_SENTENCE_PIECES,
}


def train_tokenizer(
    documents: Artifact,
    config: TokenizerConfig,
    out_dir: Path,
    *,
    engine: Engine = run_serially,
    part_bytes: int = PART_BYTES,
    progress: Progress | None = None,
) -> Artifact:
    """Train a tokenizer on the training split of a corpus.

    Byte-level BPE and the vocabularies of words and characters train on counts of the parts of the
    corpus, SentencePiece on its lines, or on a sample of its documents.

    Args:
        documents: The corpus.
        config: The kind and its settings.
        out_dir: Directory of the artifact.
        engine: Counts the parts.
        part_bytes: Bytes of text in a part, about; the tokenizer does not depend on it.
        progress: Called with ``documents`` and ``merges``.

    Returns:
        A tokenizer artifact; its metrics are those of ``held_out_metrics``, ``train_seconds`` and
        what was counted or sampled, see ``describe_training``.

    Raises:
        ConfigError: If the split pattern cannot be used, or the folder of GPT-2's files is not set.
        DataError: If the text does not support the vocabulary size, or GPT-2's files are missing.
    """
    planned = plan_texts(documents, part_bytes)
    with (
        open_parts(out_dir, keep=len(planned) > 1) as store,
        new_artifact(out_dir, kind="tokenizer", config=config, parents=[documents]) as draft,
    ):
        started = time.perf_counter()
        corpus = _Corpus(documents, planned, store, engine, progress)
        tokenizer, found = _train(corpus, config)
        draft.metrics |= found
        draft.metrics["train_seconds"] = time.perf_counter() - started
        draft.metrics |= held_out_metrics(tokenizer, documents)
        draft.info["kind"] = config.kind
        draft.info |= {"vocab_size": tokenizer.vocab_size, "eos_id": tokenizer.eos_id}
        tokenizer.save(draft.directory)
    return draft.artifact


def load_tokenizer(directory: Path) -> Tokenizer:
    """Load a tokenizer artifact, or the ``tokenizer`` folder of shards and checkpoints.

    Raises:
        DataError: If it is missing, of an unknown kind or version, or was altered.
    """
    kind = read_description(directory).get("kind")
    if not isinstance(kind, str) or kind not in _KINDS:
        raise DataError(f"{directory}: there is no tokenizer kind {kind!r} in this gptflow")
    return _KINDS[kind].load(directory)


def describe_training(metrics: Mapping[str, float]) -> str | None:
    """Say which parts or which sample of a large corpus a tokenizer was trained on.

    Args:
        metrics: The metrics of its artifact.

    Returns:
        None if it was trained on a corpus of a single part, or not at all.

    Example:
        >>> describe_training({"counted_pieces": 5000, "counted_parts": 3, "counted_documents": 90})
        'counted 5,000 distinct pieces of 90 documents in 3 parts'
    """
    n_documents = f"{metrics.get('counted_documents', 0):,.0f} documents"
    if "sampled_documents" in metrics:
        sampled, seed = metrics["sampled_documents"], metrics.get("sample_seed", 0)
        return f"was trained on a sample of {sampled:,.0f} of {n_documents}, seed {seed:.0f}"
    if metrics.get("counted_parts", 0) < 2:
        return None
    pieces, parts = metrics["counted_pieces"], metrics.get("counted_parts", 0)
    dropped = metrics.get("dropped_pieces", 0)
    rest = f", without the {dropped:,.0f} rarest pieces" if dropped else ""
    return f"counted {pieces:,.0f} distinct pieces of {n_documents} in {parts:.0f} parts{rest}"


@dataclass(frozen=True, slots=True)
class _Corpus:
    """A corpus in parts, and what runs and keeps them."""

    documents: Artifact
    planned: Sequence[tuple[RowGroup, ...]]
    store: PartStore
    engine: Engine
    progress: Progress | None

    def count(self, config: TokenizerConfig, kind: type[VocabularyTokenizer] | None) -> Counts:
        """Count the pieces of the training texts."""
        return count_pieces(
            self.documents, config, kind, self.planned, self.store, self.engine, self.progress
        )

    def texts(self) -> Iterator[str]:
        """Stream all training texts."""
        for number, text in enumerate(iter_texts(self.documents, "train"), start=1):
            if self.progress is not None and number % 500 == 0:
                self.progress("documents", number, None)
            yield text


def _train(corpus: _Corpus, config: TokenizerConfig) -> tuple[Tokenizer, dict[str, float]]:
    """Train a tokenizer; with it come metrics of what it was trained on."""
    if config.kind == "byte":
        return ByteTokenizer(), {}
    if config.kind == "gpt2":
        if config.directory is None:
            raise ConfigError(
                "tokenizer.directory must name the folder with GPT-2's encoder.json and vocab.bpe"
            )
        return GPT2Tokenizer.from_release(Path(config.directory)), {}
    if config.kind in _SENTENCE_PIECES:
        return _train_sentence_piece(corpus, config)
    vocabulary = _VOCABULARIES.get(config.kind)
    counts = corpus.count(config, vocabulary)
    if vocabulary is not None:
        return vocabulary.from_counts(counts.pieces, config.vocab_size), counts.metrics()
    size, pattern = config.vocab_size or 0, config.pattern
    trained = train_bpe_on_counts(counts.pieces, size, pattern, progress=corpus.progress)
    return trained, counts.metrics()


def _train_sentence_piece(
    corpus: _Corpus, config: TokenizerConfig
) -> tuple[Tokenizer, dict[str, float]]:
    """Train on all lines, or on a sample of the documents of a corpus that has too many."""
    train, found = _SENTENCE_PIECES[config.kind].train, dict[str, float]()
    if len(corpus.planned) > 1:
        sample = plan_sample(
            corpus.documents, config.max_sentences, corpus.planned, corpus.store, corpus.engine,
            corpus.progress,
        )  # fmt: skip
        if sample.n_sampled < sample.n_documents:
            return train(sample.texts(corpus.documents), config), sample.metrics()
    return train(corpus.texts(), config), found
