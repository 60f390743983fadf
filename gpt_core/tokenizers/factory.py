"""Tokenizers by their kind: trained from documents, loaded from a directory."""

import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from gpt_core.artifact import Artifact, new_artifact
from gpt_core.config import TokenizerConfig
from gpt_core.errors import ConfigError, DataError
from gpt_core.files import Progress
from gpt_core.text import iter_texts
from gpt_core.tokenizers.base import Tokenizer, read_description
from gpt_core.tokenizers.character import ByteTokenizer
from gpt_core.tokenizers.gpt2 import GPT2Tokenizer
from gpt_core.tokenizers.unigram import UnigramTokenizer, train_unigram

_KINDS: dict[str, type[Tokenizer]] = {
    cls.kind: cls for cls in (ByteTokenizer, GPT2Tokenizer, UnigramTokenizer)
}
_MEASURED_TEXTS = 500  # documents on which the figures are taken


def train_tokenizer(
    documents: Artifact,
    config: TokenizerConfig,
    out_dir: Path,
    *,
    progress: Progress | None = None,
) -> Artifact:
    """Train on the training split, so that held-out text stays unseen.

    Args:
        documents: The corpus.
        config: The kind and its settings.
        out_dir: Where the tokenizer goes.
        progress: Told of ``documents`` read.

    Returns:
        A tokenizer artifact; its metrics are bytes a token and tokens a word on held-out text.

    Raises:
        ConfigError: If the kind has a fixed vocabulary of another size.
        DataError: If the text supports no such vocabulary, or files of the kind are missing.
    """
    with new_artifact(out_dir, kind="tokenizer", config=config, parents=[documents]) as draft:
        started = time.perf_counter()
        tokenizer = _train(_counted(documents, progress), config)
        if config.kind != "unigram" and config.vocab_size not in (None, tokenizer.vocab_size):
            raise ConfigError(
                f"tokenizer.vocab_size is {config.vocab_size}, but a {config.kind} tokenizer has "
                f"{tokenizer.vocab_size} tokens: set tokenizer.vocab_size=none"
            )
        draft.metrics["train_seconds"] = time.perf_counter() - started
        draft.metrics |= measure(tokenizer, documents)
        draft.info |= {"kind": config.kind, "vocab_size": tokenizer.vocab_size}
        tokenizer.save(draft.directory)
    return draft.artifact


def load_tokenizer(directory: Path) -> Tokenizer:
    """The tokenizer of an artifact, or of the ``tokenizer`` folder in shards and checkpoints.

    Raises:
        DataError: If it is missing, of an unknown kind or version, or altered.
    """
    kind = read_description(directory).get("kind")
    if kind not in _KINDS:
        raise DataError(f"{directory}: there is no tokenizer kind {kind!r} in this gptflow")
    return _KINDS[kind].load(directory)


def measure(tokenizer: Tokenizer, documents: Artifact) -> dict[str, float]:
    """Bytes a token and tokens a word on held-out text, or on training text if none is held out."""
    texts = list(islice(iter_texts(documents, "validation"), _MEASURED_TEXTS))
    texts = texts or list(islice(iter_texts(documents, "train"), _MEASURED_TEXTS))
    n_tokens = sum(map(len, tokenizer.encode_batch(texts)))
    n_bytes = sum(len(text.encode()) for text in texts)
    n_words = sum(len(text.split()) for text in texts)
    return {
        "vocab_size": float(tokenizer.vocab_size),
        "bytes_per_token": n_bytes / max(1, n_tokens),
        "tokens_per_word": n_tokens / max(1, n_words),
    }


def _train(texts: Iterator[str], config: TokenizerConfig) -> Tokenizer:
    if config.kind == "byte":
        return ByteTokenizer()
    if config.kind == "gpt2":
        if config.directory is None:
            raise ConfigError(
                "tokenizer.directory must name the folder with GPT-2's encoder.json and vocab.bpe"
            )
        return GPT2Tokenizer.from_release(Path(config.directory))
    return train_unigram(texts, config)


def _counted(documents: Artifact, progress: Progress | None) -> Iterator[str]:
    for number, text in enumerate(iter_texts(documents, "train"), start=1):
        if progress is not None and number % 500 == 0:
            progress("documents", number, None)
        yield text
