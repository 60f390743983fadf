"""Token ids on disk: Parquet that every reader opens and that is also a memory map.

One column ``block`` of fixed-size binary holds 2,048 little-endian ids a row; 2,048 rows make a
row group of exactly one plain, uncompressed page. The raw ids of a row group are therefore the
last ``rows × block bytes`` of its column chunk, and can be mapped instead of decoded.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from gpt_core.artifact import fingerprint_of
from gpt_core.data.parquet_map import map_row_groups
from gpt_core.errors import DataError

BLOCK_TOKENS = 2048
GROUP_BLOCKS = 2048
GROUP_TOKENS = BLOCK_TOKENS * GROUP_BLOCKS
_MAX_UINT16_VOCAB_SIZE = 1 << 16
_METADATA_KEY = b"gptflow"


def dtype_for(vocab_size: int) -> np.dtype[Any]:
    """The smallest little-endian type that holds every id.

    Example:
        >>> dtype_for(50_257).itemsize, dtype_for(100_000).itemsize
        (2, 4)
    """
    return np.dtype("<u2" if vocab_size <= _MAX_UINT16_VOCAB_SIZE else "<u4")


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
        self._metadata: dict[str, Any] = {
            "vocab_size": vocab_size,
            "eos_id": eos_id,
            "tokenizer_fingerprint": tokenizer_fingerprint,
            "dtype": self.dtype.str,
        }
        self._block_bytes = BLOCK_TOKENS * self.dtype.itemsize
        self._schema = pa.schema([_block_field(self.dtype)])
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
        """Add ids.

        Args:
            token_ids: Shape (n,).

        Raises:
            ValueError: If an id lies outside the vocabulary, and so perhaps outside its bytes.
        """
        vocab_size = self._metadata["vocab_size"]
        if len(token_ids) and not 0 <= token_ids.min() <= token_ids.max() < vocab_size:
            raise ValueError(
                f"ids must be 0 to {vocab_size - 1}, got {token_ids.min()} to {token_ids.max()}"
            )
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
    """One row group."""

    file: Path
    number: int  # in its file
    start: int  # token of the split at which it begins
    n_tokens: int
    blocks: np.ndarray  # its ids as they lie on disk, padding included
    sha256: str

    @property
    def token_ids(self) -> np.ndarray:
        """Its ids without the padding."""
        return self.blocks[: self.n_tokens]


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
        self.n_tokens = 0
        self.metadata: dict[str, Any] = {}
        self._groups: list[_Group] = []
        for file in files:
            self._open(file)
        self.dtype = np.dtype(self.metadata["dtype"])
        self.eos_id: int = self.metadata["eos_id"]
        self.vocab_size: int = self.metadata["vocab_size"]
        self.tokenizer_fingerprint: str = self.metadata["tokenizer_fingerprint"]
        self._starts = np.array([group.start for group in self._groups], np.int64)
        self._lengths = np.array([group.n_tokens for group in self._groups], np.int64)
        self._views = [group.token_ids.data for group in self._groups]

    @property
    def fingerprint(self) -> str:
        """Of the ids and their vocabulary, however they are divided among files."""
        hashes = [group.sha256 for group in self._groups]
        return fingerprint_of(self.metadata, self.n_tokens, hashes)

    def read(self, start: int, length: int) -> np.ndarray:
        """Ids ``start`` to ``start + length`` of the split, across row groups and files.

        Args:
            start: First token.
            length: Number of tokens; fewer come back at the end.

        Returns:
            Shape (n,), a view where one row group holds them all.
        """
        stop = min(start + length, self.n_tokens)
        index = max(0, int(np.searchsorted(self._starts, start, side="right")) - 1)
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

    def gather(self, starts: np.ndarray, width: int) -> np.ndarray:
        """Equally long runs of ids from anywhere in the split, each copied once.

        Args:
            starts: First token of each run, shape (B,); every run ends within the split.
            width: Tokens of a run, W.

        Returns:
            Shape (B, W), read-only.
        """
        groups = np.searchsorted(self._starts, starts, side="right") - 1
        begins = starts - self._starts[groups]
        ends = begins + width
        places = zip(groups.tolist(), begins.tolist(), ends.tolist(), strict=True)
        runs: list[Any] = [self._views[group][begin:end] for group, begin, end in places]
        for row in np.flatnonzero(ends > self._lengths[groups]):  # goes on in the next group
            runs[row] = self.read(int(starts[row]), width)
        return np.frombuffer(b"".join(runs), self.dtype).reshape(len(starts), width)

    def verify(self) -> None:
        """Compare every row group with the hash in its file.

        Raises:
            DataError: Naming the file and the first row group that was altered.
        """
        for group in self._groups:
            if hashlib.sha256(group.blocks.data).hexdigest() != group.sha256:
                raise DataError(
                    f"{group.file}, row group {group.number}: the ids were altered since they "
                    "were written; encode the corpus again"
                )

    def _open(self, file: Path) -> None:
        try:
            parquet = pq.ParquetFile(file)
            record = _read_record(parquet)
            groups = map_row_groups(file, parquet, np.dtype(record["dtype"]))
        except (OSError, pa.ArrowException, *_MALFORMED) as error:
            reason = str(error).strip().split("\n", maxsplit=1)[0]
            raise DataError(f"{file} is not an intact token shard: {reason}") from error
        shared = {name: record[name] for name in _SHARED}
        if self.metadata and self.metadata != shared:
            raise DataError(f"{file} was made with another tokenizer than the shards beside it")
        self.metadata = shared
        left = record["n_tokens"]
        for number, (blocks, sha256) in enumerate(zip(groups, record["sha256"], strict=True)):
            n_tokens = min(left, len(blocks))
            self._groups.append(_Group(file, number, self.n_tokens, n_tokens, blocks, sha256))
            self.n_tokens += n_tokens
            left -= n_tokens


_SHARED = ("vocab_size", "eos_id", "tokenizer_fingerprint", "dtype")  # by all files of a split
_MALFORMED = (ValueError, KeyError, TypeError, IndexError, OverflowError)


def _read_record(parquet: pq.ParquetFile) -> dict[str, Any]:
    """What the footer says of the ids.

    Raises:
        ValueError: If it is missing or does not fit the file.
    """
    content = (parquet.metadata.metadata or {}).get(_METADATA_KEY)
    if content is None:
        raise ValueError("it was not written by gptflow")
    record: dict[str, Any] = json.loads(content)
    counts = [record["vocab_size"], record["eos_id"], record["n_tokens"]]
    if not all(type(count) is int for count in counts) or not 0 <= record["eos_id"] < counts[0]:
        raise ValueError("its footer was altered")
    if record["dtype"] != dtype_for(record["vocab_size"]).str:
        raise ValueError("its footer was altered")
    expected = pa.schema([_block_field(np.dtype(record["dtype"]))])
    if not parquet.schema_arrow.equals(expected):
        raise ValueError("it has other columns than ids")
    if len(record["sha256"]) != parquet.metadata.num_row_groups:
        raise ValueError("its footer was altered")
    if -(-record["n_tokens"] // BLOCK_TOKENS) != parquet.metadata.num_rows:
        raise ValueError(
            f"its footer counts {record['n_tokens']} ids, which do not fill "
            f"{parquet.metadata.num_rows} blocks"
        )
    return record


def _block_field(dtype: np.dtype[Any]) -> pa.Field:
    return pa.field("block", pa.binary(BLOCK_TOKENS * dtype.itemsize), nullable=False)
