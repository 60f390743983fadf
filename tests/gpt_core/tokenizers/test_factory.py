"""Every kind is trained from documents by its settings and loaded from its directory."""

from pathlib import Path
from typing import Any

import pytest

from gpt_core.artifact import Artifact, new_artifact, read_artifact
from gpt_core.config import TokenizerConfig
from gpt_core.errors import ConfigError, DataError
from gpt_core.text import SPLITS, Document, DocumentWriter, iter_texts
from gpt_core.tokenizers import held_out_metrics, load_tokenizer, train_tokenizer

SETTINGS: list[dict[str, Any]] = [
    {"kind": "bpe", "vocab_size": 400},
    {"kind": "byte", "vocab_size": None},
    {"kind": "character", "vocab_size": None},
    {"kind": "codepoint", "vocab_size": 10},
    {"kind": "sentencepiece-bpe", "vocab_size": 400},
    {"kind": "unigram", "vocab_size": 320},
    {"kind": "word", "vocab_size": 50},
]


def corpus_of(directory: Path, **texts: list[str]) -> Artifact:
    """Documents with the given texts in each split."""
    with new_artifact(directory, kind="documents") as draft:
        for split in SPLITS:
            with DocumentWriter(draft.directory / f"{split}.parquet") as writer:
                for number, text in enumerate(texts.get(split, [])):
                    writer.write(Document(f"{split}{number}", text, "test"))
    return draft.artifact


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: settings["kind"])
def test_each_kind_trains_deterministically_and_loads(
    corpus: Artifact, tmp_path: Path, settings: dict[str, Any]
) -> None:
    config = TokenizerConfig(**settings)
    made = [train_tokenizer(corpus, config, tmp_path / name) for name in "ab"]
    assert made[0].fingerprint == made[1].fingerprint
    read_artifact(made[0].directory, "tokenizer")
    tokenizer = load_tokenizer(made[0].directory)
    assert tokenizer.kind == config.kind
    info = made[0].manifest().info
    assert info == {
        "kind": tokenizer.kind,
        "vocab_size": tokenizer.vocab_size,
        "eos_id": tokenizer.eos_id,
    }
    assert config.vocab_size in (None, tokenizer.vocab_size)
    assert {"bytes_per_token", "tokens_per_word", "unknown_share"} < made[0].metrics().keys()


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: settings["kind"])
def test_held_out_text_does_not_influence_training(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    train = [f"some words to learn number {i:x} {i * 7919:x}" for i in range(300)]
    config = TokenizerConfig(**settings)
    files = []
    for name, held_out in (("a", ["zebra"]), ("b", ["quux ξένος 日本"])):
        documents = corpus_of(tmp_path / name, train=train, validation=held_out, test=held_out)
        made = train_tokenizer(documents, config, tmp_path / f"{name}-tokenizer")
        files.append(made.manifest().files)
    assert files[0] == files[1]


def test_metrics_of_a_trained_tokenizer(tmp_path: Path) -> None:
    documents = corpus_of(tmp_path / "corpus", train=["ab"], validation=["ab سلام"])
    config = TokenizerConfig(kind="codepoint", vocab_size=None)
    made = train_tokenizer(documents, config, tmp_path / "tokenizer")
    metrics = made.metrics()
    assert metrics["bytes_per_token"] == 11 / 7
    assert metrics["tokens_per_word"] == 7 / 2
    assert metrics["unknown_share"] == 5 / 7
    only_train = corpus_of(tmp_path / "small", train=["ab"])
    assert held_out_metrics(load_tokenizer(made.directory), only_train)["tokens_per_word"] == 2


def test_progress_counts_documents(tmp_path: Path) -> None:
    documents = corpus_of(tmp_path / "corpus", train=[f"text {i}" for i in range(1100)])
    calls: list[tuple[str, int, int | None]] = []
    config = TokenizerConfig(kind="word", vocab_size=None)
    train_tokenizer(documents, config, tmp_path / "out", progress=lambda *a: calls.append(a))
    assert calls == [("documents", 500, None), ("documents", 1000, None)]


@pytest.mark.parametrize("kind", ["unigram", "sentencepiece-bpe", "bpe", "word"])
def test_a_failed_training_leaves_no_artifact(corpus: Artifact, tmp_path: Path, kind: Any) -> None:
    config = TokenizerConfig(kind=kind, vocab_size=90_000)
    with pytest.raises(DataError, match=r"at most \d+, tokenizer\.vocab_size is 90000: set it"):
        train_tokenizer(corpus, config, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_gpt2_needs_a_folder_with_its_files(corpus: Artifact, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"tokenizer\.directory must name the folder"):
        train_tokenizer(corpus, TokenizerConfig(kind="gpt2", vocab_size=None), tmp_path / "out")
    config = TokenizerConfig(kind="gpt2", vocab_size=None, directory=str(tmp_path))
    with pytest.raises(DataError, match=r"has neither encoder\.json nor vocab\.json"):
        train_tokenizer(corpus, config, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_gpt2_is_loaded_from_the_configured_folder(
    corpus: Artifact, tmp_path: Path, shared_data: Path
) -> None:
    config = TokenizerConfig(kind="gpt2", vocab_size=None, directory=str(shared_data / "gpt2"))
    made = train_tokenizer(corpus, config, tmp_path / "out")
    text = next(iter_texts(corpus, "test"))
    tokenizer = load_tokenizer(made.directory)
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert made.manifest().info_int("eos_id") == 50_256
