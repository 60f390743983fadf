"""A corpus is encoded to the same shards by any number of workers."""

from pathlib import Path
from typing import Any

import pytest

from gpt_core.artifact import Artifact, new_artifact
from gpt_core.config import ShardConfig, TokenizerConfig
from gpt_core.data import ShardReader, encode_corpus, encoding
from gpt_core.engine import run_serially
from gpt_core.errors import DataError
from gpt_core.text import SPLITS, Document, DocumentWriter, iter_texts
from gpt_core.tokenizers import load_tokenizer, train_tokenizer


def test_shards_have_every_document_and_its_end(shards: Artifact, corpus: Artifact) -> None:
    info = shards.manifest().info
    tokenizer = load_tokenizer(shards.directory / "tokenizer")
    for split in SPLITS:
        expected = [i for text in iter_texts(corpus, split) for i in [*tokenizer.encode(text), 256]]
        reader = ShardReader(shards.directory, split)
        assert reader.read(0, 10**9).tolist() == expected
        assert info["n_tokens"][split] == len(expected)
        assert info["n_bytes"][split] == sum(i != 256 for i in expected)


@pytest.fixture(scope="module")
def ten_megabytes(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """Ten training documents of 1.1 MB, each a row group of its own, and one for validation."""
    folder = tmp_path_factory.mktemp("large")
    with new_artifact(folder / "corpus", kind="documents") as draft:
        for split, n in (("train", 10), ("validation", 1), ("test", 0)):
            with DocumentWriter(draft.directory / f"{split}.parquet") as writer:
                for i in range(n):
                    writer.write(Document(str(i), f"{chr(97 + i) * 19} " * 55_000, "test"))
    return draft.artifact


@pytest.mark.parametrize(
    "kind", [pytest.param("byte", marks=[pytest.mark.long, pytest.mark.soak]), "bpe"]
)
def test_shards_do_not_depend_on_the_number_of_workers(
    corpus: Artifact, ten_megabytes: Artifact, tmp_path: Path, kind: Any
) -> None:
    """The byte tokenizer is encoded by processes, byte-level BPE by threads."""
    size = None if kind == "byte" else 300
    config = TokenizerConfig(kind=kind, vocab_size=size)
    tokenizer = train_tokenizer(corpus, config, tmp_path / "tokenizer")
    assert load_tokenizer(tokenizer.directory).releases_gil == (kind == "bpe")
    calls: list[tuple[str, int, int | None]] = []
    made = []
    for n in (1, 2):
        made.append(
            encode_corpus(
                ten_megabytes,
                tokenizer,
                ShardConfig(workers=n),
                tmp_path / str(n),
                progress=lambda *call: calls.append(call),
            )
        )
        total = sum(made[-1].manifest().info_int("n_tokens", split) for split in SPLITS)
        assert calls[-1] == ("tokens", total, None)
    assert made[0].fingerprint == made[1].fingerprint
    files = sorted((tmp_path / "2" / "train").glob("*.parquet"))
    assert len(files) > 1


@pytest.mark.parametrize(("from_bytes", "threads"), [(1 << 28, True), (1 << 20, False)])
def test_a_large_corpus_is_encoded_by_processes(
    corpus: Artifact,
    ten_megabytes: Artifact,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    from_bytes: int,
    threads: bool,
) -> None:
    monkeypatch.setattr(encoding, "_PROCESS_BYTES", from_bytes)
    config = TokenizerConfig(kind="bpe", vocab_size=257)
    tokenizer = train_tokenizer(corpus, config, tmp_path / "tokenizer")
    asked = []

    def engine(function: Any, parts: Any, **options: Any) -> list[Any]:
        asked.append(options["threads"])
        return run_serially(function, parts, **options)

    encode_corpus(ten_megabytes, tokenizer, ShardConfig(), tmp_path / "out", engine=engine)
    assert asked == [threads]


def test_the_longest_document_and_the_tokens_of_each_split_are_recorded(
    byte_tokenizer: Artifact, tmp_path: Path
) -> None:
    with new_artifact(tmp_path / "corpus", kind="documents") as draft:
        for split, texts in (
            ("train", ["abc", "abcdé", "a"]),
            ("validation", ["ab"]),
            ("test", []),
        ):
            with DocumentWriter(draft.directory / f"{split}.parquet") as writer:
                for text in texts:
                    writer.write(Document(text, text, "test"))
    made = encode_corpus(draft.artifact, byte_tokenizer, ShardConfig(workers=1), tmp_path / "out")
    info = made.manifest().info
    assert info["longest_document"] == {"train": 6, "validation": 2, "test": 0}
    assert info["n_tokens"] == {"train": 13, "validation": 3, "test": 0}
    assert made.metrics() == {"train_tokens": 13.0, "validation_tokens": 3.0, "test_tokens": 0.0}
    other = encode_corpus(draft.artifact, byte_tokenizer, ShardConfig(workers=3), tmp_path / "two")
    assert other.fingerprint == made.fingerprint


def test_a_failed_encoding_leaves_no_artifact(byte_tokenizer: Artifact, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="cannot be read as documents"):
        encode_corpus(
            Artifact(kind="documents", path=str(tmp_path / "empty"), fingerprint="x"),
            byte_tokenizer, ShardConfig(workers=1), out,
        )  # fmt: skip
    assert not out.exists()
