"""A corpus is encoded to the same shards by any number of workers."""

from pathlib import Path

import pytest

from gpt_core.artifact import Artifact, new_artifact
from gpt_core.config import ShardConfig
from gpt_core.data import ShardReader, encode_corpus
from gpt_core.errors import DataError
from gpt_core.text import SPLITS, Document, DocumentWriter, iter_texts
from gpt_core.tokenizers import load_tokenizer


def test_shards_have_every_document_and_its_end(shards: Artifact, corpus: Artifact) -> None:
    info = shards.manifest().info
    tokenizer = load_tokenizer(shards.directory / "tokenizer")
    for split in SPLITS:
        expected = [i for text in iter_texts(corpus, split) for i in [*tokenizer.encode(text), 256]]
        reader = ShardReader(shards.directory, split)
        assert reader.read(0, 10**9).tolist() == expected
        assert info["n_tokens"][split] == len(expected)
        assert info["n_bytes"][split] == sum(i != 256 for i in expected)


def test_shards_do_not_depend_on_the_number_of_workers(
    byte_tokenizer: Artifact, tmp_path: Path
) -> None:
    with new_artifact(tmp_path / "corpus", kind="documents") as draft:
        for split, n in (("train", 30), ("validation", 1), ("test", 0)):
            with DocumentWriter(draft.directory / f"{split}.parquet") as writer:
                for i in range(n):
                    writer.write(Document(str(i), chr(97 + i % 26) * 1_000_000, "test"))
    made = [
        encode_corpus(draft.artifact, byte_tokenizer, ShardConfig(workers=n), tmp_path / str(n))
        for n in (1, 2)
    ]
    assert made[0].fingerprint == made[1].fingerprint
    files = sorted((tmp_path / "2" / "train").glob("*.parquet"))
    assert len(files) > 1


def test_a_failed_encoding_leaves_no_artifact(byte_tokenizer: Artifact, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="cannot be read as documents"):
        encode_corpus(
            Artifact(kind="documents", path=str(tmp_path / "empty"), fingerprint="x"),
            byte_tokenizer, ShardConfig(workers=1), out,
        )  # fmt: skip
    assert not out.exists()
