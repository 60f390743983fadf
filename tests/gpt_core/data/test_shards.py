"""Token shards are Parquet files that are memory-mapped and read exactly."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from gpt_core.data import ShardReader, ShardWriter
from gpt_core.data.shards import BLOCK_TOKENS, GROUP_TOKENS
from gpt_core.errors import DataError

SEED = np.random.SeedSequence().entropy


def write(folder: Path, parts: list[np.ndarray], vocab_size: int) -> ShardReader:
    (folder / "train").mkdir(parents=True)
    for number, ids in enumerate(parts):
        file = folder / "train" / f"part-{number:05d}.parquet"
        with ShardWriter(
            file, vocab_size=vocab_size, eos_id=0, tokenizer_fingerprint="f"
        ) as writer:
            for start in range(0, len(ids), 100_003):
                writer.write(ids[start : start + 100_003])
    return ShardReader(folder, "train")


@pytest.mark.parametrize("vocab_size", [300, 65_536, 65_537])
def test_any_range_is_read_across_row_groups_and_files(tmp_path: Path, vocab_size: int) -> None:
    rng = np.random.default_rng(SEED)
    parts = [rng.integers(0, vocab_size, n) for n in (GROUP_TOKENS + 5000, 77, BLOCK_TOKENS)]
    reader = write(tmp_path, parts, vocab_size)
    whole = np.concatenate(parts)
    assert reader.n_tokens == len(whole)
    assert reader.dtype.itemsize == (2 if vocab_size <= 65_536 else 4)
    reader.verify()
    starts = [0, GROUP_TOKENS - 3, GROUP_TOKENS + 4998, len(whole) - 4]
    starts += rng.integers(0, len(whole), 50).tolist()
    for start in starts:
        length = int(rng.integers(0, 9000))
        np.testing.assert_array_equal(reader.read(start, length), whole[start : start + length])
    assert len(reader.read(len(whole), 5)) == 0


def test_any_parquet_reader_finds_the_ids_in_two_bytes_each(tmp_path: Path) -> None:
    ids = np.random.default_rng(SEED).integers(0, 50_000, 3 * BLOCK_TOKENS)
    write(tmp_path, [ids], 50_000)
    file = tmp_path / "train" / "part-00000.parquet"
    blocks = pq.read_table(file).column("block").to_pylist()
    np.testing.assert_array_equal(np.frombuffer(b"".join(blocks), "<u2"), ids)
    assert file.stat().st_size < 2 * len(ids) + 2000


def test_a_shard_of_other_pages_is_decoded(tmp_path: Path) -> None:
    ids = np.random.default_rng(SEED).integers(0, 300, 5 * BLOCK_TOKENS)
    write(tmp_path, [ids], 300)
    file = tmp_path / "train" / "part-00000.parquet"
    parquet = pq.ParquetFile(file)
    table, metadata = parquet.read(), parquet.metadata.metadata
    with pq.ParquetWriter(file, parquet.schema_arrow, compression="zstd") as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({b"gptflow": metadata[b"gptflow"]})
    np.testing.assert_array_equal(ShardReader(tmp_path, "train").read(0, 10**6), ids)


def test_a_flipped_bit_is_detected_with_its_row_group(tmp_path: Path) -> None:
    write(tmp_path, [np.arange(5000) % 300], 300)
    file = tmp_path / "train" / "part-00000.parquet"
    content = bytearray(file.read_bytes())
    content[3000] ^= 1
    file.write_bytes(content)
    with pytest.raises(DataError, match=r"part-00000\.parquet, row group 0: the ids were altered"):
        ShardReader(tmp_path, "train").verify()
    file.write_bytes(content[:-10])
    with pytest.raises(DataError, match="is not an intact token shard"):
        ShardReader(tmp_path, "train")


def test_missing_and_mixed_shards_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no train shards"):
        ShardReader(tmp_path, "train")
    write(tmp_path, [np.arange(10)], 300)
    other = tmp_path / "train" / "part-00001.parquet"
    with ShardWriter(other, vocab_size=400, eos_id=0, tokenizer_fingerprint="f") as writer:
        writer.write(np.arange(10))
    with pytest.raises(DataError, match="was made with another tokenizer"):
        ShardReader(tmp_path, "train")


def test_the_last_block_is_padded_with_the_end_of_document(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    file = tmp_path / "train" / "part-00000.parquet"
    with ShardWriter(file, vocab_size=300, eos_id=7, tokenizer_fingerprint="f") as writer:
        writer.write(np.full(GROUP_TOKENS + 5, 9))
    blocks = pq.read_table(file).column("block").to_pylist()
    ids = np.frombuffer(b"".join(blocks), "<u2")
    assert len(ids) == GROUP_TOKENS + BLOCK_TOKENS
    assert (ids[: GROUP_TOKENS + 5] == 9).all()
    assert (ids[GROUP_TOKENS + 5 :] == 7).all()
    assert ShardReader(tmp_path, "train").n_tokens == GROUP_TOKENS + 5


@pytest.mark.parametrize("token_id", [-1, 300])
def test_an_id_outside_the_vocabulary_is_refused(tmp_path: Path, token_id: int) -> None:
    writer = ShardWriter(
        tmp_path / "a.parquet", vocab_size=300, eos_id=0, tokenizer_fingerprint="f"
    )
    with writer, pytest.raises(ValueError, match=f"ids must be 0 to 299, got .*{token_id}"):
        writer.write(np.array([5, token_id]))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"vocab_size": 300.0}, "its footer was altered"),
        ({"eos_id": True}, "its footer was altered"),
        ({"eos_id": 300}, "its footer was altered"),
        ({"eos_id": -1}, "its footer was altered"),
        ({"dtype": "<u4"}, "its footer was altered"),
        ({"sha256": []}, "its footer was altered"),
        ({"n_tokens": 2049}, "its footer counts 2049 ids, which do not fill 1 blocks"),
        ({"n_tokens": 0}, "its footer counts 0 ids, which do not fill 1 blocks"),
        ({"vocab_size": 70_000, "dtype": "<u4"}, "it has other columns than ids"),
        (None, "it was not written by gptflow"),
    ],
    ids=str,
)
def test_an_altered_footer_is_refused(
    tmp_path: Path, change: dict[str, object] | None, sentence: str
) -> None:
    write(tmp_path, [np.arange(10)], 300)
    file = tmp_path / "train" / "part-00000.parquet"
    parquet = pq.ParquetFile(file)
    table, record = parquet.read(), json.loads(parquet.metadata.metadata[b"gptflow"])
    with pq.ParquetWriter(file, parquet.schema_arrow, compression="none") as writer:
        writer.write_table(table)
        if change is not None:
            writer.add_key_value_metadata({b"gptflow": json.dumps(record | change).encode()})
    with pytest.raises(DataError, match=f"part-00000.parquet is not an intact .*: {sentence}"):
        ShardReader(tmp_path, "train")
