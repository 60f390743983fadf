"""Train and load tokenizers by their kind."""

import time
from collections.abc import Iterator
from pathlib import Path

from gpt_core.artifact import Artifact, new_artifact
from gpt_core.config import TokenizerConfig
from gpt_core.errors import ConfigError, DataError
from gpt_core.files import Progress
from gpt_core.text import iter_texts
from gpt_core.tokenizers.base import Tokenizer, read_description
from gpt_core.tokenizers.bpe import BPETokenizer
from gpt_core.tokenizers.bpe_training import train_bpe
from gpt_core.tokenizers.character import ByteTokenizer, CharacterTokenizer, CodePointTokenizer
from gpt_core.tokenizers.gpt2 import GPT2Tokenizer
from gpt_core.tokenizers.metrics import held_out_metrics
from gpt_core.tokenizers.remapped import RemappedBPETokenizer
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
    progress: Progress | None = None,
) -> Artifact:
    """Train a tokenizer on the training split of a corpus.

    Args:
        documents: The corpus.
        config: The kind and its settings.
        out_dir: Directory of the artifact.
        progress: Called with ``documents`` and ``merges``.

    Returns:
        A tokenizer artifact; its metrics are those of ``held_out_metrics`` and ``train_seconds``.

    Raises:
        ConfigError: If the split pattern cannot be used, or the folder of GPT-2's files is not set.
        DataError: If the text does not support the vocabulary size, or GPT-2's files are missing.
    """
    with new_artifact(out_dir, kind="tokenizer", config=config, parents=[documents]) as draft:
        started = time.perf_counter()
        tokenizer = _train(_counted(documents, progress), config, progress)
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


def _train(texts: Iterator[str], config: TokenizerConfig, progress: Progress | None) -> Tokenizer:
    if config.kind == "byte":
        return ByteTokenizer()
    if config.kind == "gpt2":
        if config.directory is None:
            raise ConfigError(
                "tokenizer.directory must name the folder with GPT-2's encoder.json and vocab.bpe"
            )
        return GPT2Tokenizer.from_release(Path(config.directory))
    if config.kind == "bpe":
        return train_bpe(texts, config.vocab_size or 0, config.pattern, progress=progress)
    if config.kind in _VOCABULARIES:
        return _VOCABULARIES[config.kind].train(texts, config.vocab_size)
    return _SENTENCE_PIECES[config.kind].train(texts, config)


def _counted(documents: Artifact, progress: Progress | None) -> Iterator[str]:
    for number, text in enumerate(iter_texts(documents, "train"), start=1):
        if progress is not None and number % 500 == 0:
            progress("documents", number, None)
        yield text
