"""Token ids on disk: Parquet that every reader opens and that is also a memory map.

One column ``block`` of fixed-size binary holds 2,048 little-endian ids a row; 2,048 rows make a
row group of exactly one plain, uncompressed page. The raw ids of a row group are therefore the
last ``rows × block bytes`` of its column chunk, and can be mapped instead of decoded.
"""

import hashlib
import json
import mmap
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from gpt_core.errors import DataError

BLOCK_TOKENS = 2048
GROUP_BLOCKS = 2048
GROUP_TOKENS = BLOCK_TOKENS * GROUP_BLOCKS
_LARGEST_UINT16_VOCABULARY = 1 << 16
_METADATA_KEY = b"gptflow"


def dtype_for(vocab_size: int) -> np.dtype[Any]:
    """The smallest little-endian type that holds every id.

    Example:
        >>> dtype_for(50_257).itemsize, dtype_for(100_000).itemsize
        (2, 4)
    """
    return np.dtype("<u2" if vocab_size <= _LARGEST_UINT16_VOCABULARY else "<u4")


class ShardWriter:
    """Writes one Parquet file of token ids.

    Args:
        path: The file.
        vocab_size: Decides on two or four bytes an id.
        eos_id: Recorded for readers.
        tokenizer_fingerprint: Recorded for readers.
    """

    def __init__(
        self, path: Path, *, vocab_size: int, eos_id: int, tokenizer_fingerprint: str
    ) -> None:
        self.dtype = dtype_for(vocab_size)
        self._metadata = {
            "vocab_size": vocab_size,
            "eos_id": eos_id,
            "tokenizer_fingerprint": tokenizer_fingerprint,
            "dtype": self.dtype.str,
        }
        self._block_bytes = BLOCK_TOKENS * self.dtype.itemsize
        block = pa.field("block", pa.binary(self._block_bytes), nullable=False)
        self._schema = pa.schema([block])
        self._writer = pq.ParquetWriter(
            path,
            self._schema,
            compression="none",
            use_dictionary=False,
            write_statistics=False,
            data_page_size=2 * GROUP_BLOCKS * self._block_bytes,
            write_batch_size=GROUP_BLOCKS,
            max_rows_per_page=GROUP_BLOCKS,
        )
        self._buffer = np.empty(GROUP_TOKENS, self.dtype)
        self._filled = 0
        self._hashes: list[str] = []
        self.n_tokens = 0

    def write(self, token_ids: np.ndarray) -> None:
        """Add ids, shape (n,)."""
        self.n_tokens += len(token_ids)
        while len(token_ids):
            part = token_ids[: GROUP_TOKENS - self._filled]
            self._buffer[self._filled : self._filled + len(part)] = part
            self._filled += len(part)
            token_ids = token_ids[len(part) :]
            if self._filled == GROUP_TOKENS:
                self._flush()

    def _flush(self) -> None:
        n_blocks = -(-self._filled // BLOCK_TOKENS)
        ids = self._buffer[: n_blocks * BLOCK_TOKENS]
        ids[self._filled :] = self._metadata["eos_id"]
        self._hashes.append(hashlib.sha256(ids.data).hexdigest())
        blocks = pa.FixedSizeBinaryArray.from_buffers(
            self._schema.field(0).type, n_blocks, [None, pa.py_buffer(ids.tobytes())]
        )
        table = pa.Table.from_arrays([blocks], schema=self._schema)
        self._writer.write_table(table, row_group_size=GROUP_BLOCKS)
        self._filled = 0

    def __enter__(self) -> "ShardWriter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None:
            if self._filled:
                self._flush()
            record = {**self._metadata, "n_tokens": self.n_tokens, "sha256": self._hashes}
            self._writer.add_key_value_metadata({_METADATA_KEY: json.dumps(record).encode()})
        self._writer.close()


@dataclass(frozen=True, slots=True)
class _Group:
    """One row group: its place in the split and its ids."""

    start: int  # token of the split at which it begins
    token_ids: np.ndarray  # mapped, padding cut off


class ShardReader:
    """Reads the ids of one split as if they were one array.

    Args:
        directory: A shards artifact's directory.
        split: ``train``, ``validation`` or ``test``.

    Raises:
        DataError: If there are no shards, or a file is damaged or not ours.
    """

    def __init__(self, directory: Path, split: str) -> None:
        files = sorted((directory / split).glob("part-*.parquet"))
        if not files:
            raise DataError(f"{directory} has no {split} shards: encode the corpus again")
        self.directory, self.split = directory, split
        self._groups: list[_Group] = []
        self._hashes: list[tuple[Path, int, str]] = []
        self.n_tokens = 0
        self.metadata: dict[str, Any] = {}
        for file in files:
            self._open(file)
        self.dtype = np.dtype(self.metadata["dtype"])
        self.eos_id: int = self.metadata["eos_id"]
        self.vocab_size: int = self.metadata["vocab_size"]
        self.tokenizer_fingerprint: str = self.metadata["tokenizer_fingerprint"]
        self.starts = np.array([group.start for group in self._groups], np.int64)

    def group(self, index: int) -> np.ndarray:
        """The ids of one row group, mapped."""
        return self._groups[index].token_ids

    def read(self, start: int, length: int) -> np.ndarray:
        """Ids ``start`` to ``start + length`` of the split, across row groups and files.

        Args:
            start: First token.
            length: Number of tokens; fewer come back at the end.

        Returns:
            Shape (n,), a view where one row group holds them all.
        """
        stop = min(start + length, self.n_tokens)
        index = max(0, int(np.searchsorted(self.starts, start, side="right")) - 1)
        parts = []
        while start < stop:
            group = self._groups[index]
            part = group.token_ids[start - group.start : stop - group.start]
            parts.append(part)
            start += len(part)
            index += 1
        if len(parts) == 1:
            return parts[0]
        return np.concatenate(parts) if parts else np.empty(0, self.dtype)

    def verify(self) -> None:
        """Compare every row group with the hash in its file.

        Raises:
            DataError: Naming the file and the first row group that was altered.
        """
        for group, (file, number, expected) in zip(self._groups, self._hashes, strict=True):
            ids = group.token_ids
            padded = np.full(-(-len(ids) // BLOCK_TOKENS) * BLOCK_TOKENS, self.eos_id, self.dtype)
            padded[: len(ids)] = ids
            if hashlib.sha256(padded.data).hexdigest() != expected:
                raise DataError(f"{file}, row group {number}: the ids were altered since written")

    def _open(self, file: Path) -> None:
        try:
            parquet = pq.ParquetFile(file)
            record = json.loads(parquet.metadata.metadata[_METADATA_KEY])
        except (OSError, pa.ArrowException, KeyError, TypeError) as error:
            raise DataError(f"{file} is not a whole token shard: {error}") from error
        shared = {name: value for name, value in record.items() if name not in _OF_ONE_FILE}
        if self.metadata and self.metadata != shared:
            raise DataError(f"{file} was made with another tokenizer than the shards beside it")
        self.metadata = shared
        left = record["n_tokens"]
        with file.open("rb") as opened:
            mapped = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
        for number in range(parquet.metadata.num_row_groups):
            token_ids = _map_group(mapped, parquet, number, np.dtype(record["dtype"]))[:left]
            self._groups.append(_Group(self.n_tokens, token_ids))
            self._hashes.append((file, number, record["sha256"][number]))
            self.n_tokens += len(token_ids)
            left -= len(token_ids)


_OF_ONE_FILE = ("n_tokens", "sha256")


def _map_group(
    mapped: mmap.mmap, parquet: pq.ParquetFile, number: int, dtype: np.dtype[Any]
) -> np.ndarray:
    """The ids of a row group: mapped when it is one plain page, else decoded."""
    group = parquet.metadata.row_group(number)
    column = group.column(0)
    n_bytes = group.num_rows * BLOCK_TOKENS * dtype.itemsize
    header = column.total_compressed_size - n_bytes
    if column.compression == "UNCOMPRESSED" and 0 < header <= _LARGEST_PAGE_HEADER:
        count = group.num_rows * BLOCK_TOKENS
        return np.frombuffer(mapped, dtype, count, column.data_page_offset + header)
    blocks = parquet.read_row_group(number).column(0).to_pylist()
    return np.frombuffer(b"".join(blocks), dtype)


_LARGEST_PAGE_HEADER = 40  # bytes; one page's is about 25, so two pages are told from one
