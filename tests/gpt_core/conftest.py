"""A small corpus on its way through the stages, made once for all tests of the core."""

import random
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from gpt_core.artifact import Artifact, new_artifact
from gpt_core.checkpoints import CheckpointDescription, CheckpointKind
from gpt_core.checkpoints import write_checkpoint as write_files
from gpt_core.config import CleaningConfig, ReadingConfig, ShardConfig, TokenizerConfig
from gpt_core.data import encode_corpus
from gpt_core.models import GPT, save_weights
from gpt_core.text import clean_corpus, register_source
from gpt_core.tokenizers import train_tokenizer


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """Four hundred short documents of words drawn from a fixed list."""
    folder = tmp_path_factory.mktemp("corpus")
    draw = random.Random(7)
    words = ["".join(draw.choices("abcdefghijklmnop", k=draw.randint(2, 7))) for _ in range(120)]
    texts = [" ".join(draw.choices(words, k=draw.randint(20, 60))) + "." for _ in range(400)]
    (folder / "text.txt").write_text("\n\n".join(texts))
    raw = register_source(folder / "text.txt", folder / "raw")
    cleaning = CleaningConfig(validation_share=0.1, test_share=0.1)
    return clean_corpus(raw, ReadingConfig(), cleaning, folder / "corpus")


@pytest.fixture(scope="session")
def byte_tokenizer(corpus: Artifact, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """The byte tokenizer as an artifact."""
    out = tmp_path_factory.mktemp("tokenizer") / "byte"
    return train_tokenizer(corpus, TokenizerConfig(kind="byte", vocab_size=None), out)


@pytest.fixture(scope="session")
def shards(
    corpus: Artifact, byte_tokenizer: Artifact, tmp_path_factory: pytest.TempPathFactory
) -> Artifact:
    """The corpus in bytes."""
    out: Path = tmp_path_factory.mktemp("shards") / "shards"
    return encode_corpus(corpus, byte_tokenizer, ShardConfig(workers=1), out)


@pytest.fixture(scope="session")
def write_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Artifact]:
    """Writes a model with its tokenizer as a checkpoint, in the layout that every one has."""

    def write(model: GPT, tokenizer: Artifact, kind: CheckpointKind = "pretrained") -> Artifact:
        out = tmp_path_factory.mktemp("checkpoint") / "checkpoint"
        with new_artifact(out, kind="checkpoint", parents=[tokenizer]) as draft:
            write_files(
                draft,
                CheckpointDescription(kind=kind, step=0, model=model.config),
                save_weights=partial(save_weights, model),
                save_tokenizer=partial(shutil.copytree, tokenizer.directory),
            )
        return draft.artifact

    return write
