"""Token shards: token ids in Parquet files that any Parquet reader opens and that are mapped here.

One column ``block`` of fixed-size binary has 2,048 little-endian ids per row; 2,048 rows are a row
group of exactly one plain, uncompressed page. The raw ids of a row group are therefore the last
``rows × block bytes`` of its column chunk, and are memory-mapped instead of decoded.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from gpt_core.artifact import fingerprint_of
from gpt_core.data.parquet_map import map_row_groups
from gpt_core.errors import DataError
from gpt_core.text.parquet_files import open_parquet

BLOCK_TOKENS = 2048
GROUP_BLOCKS = 2048
GROUP_TOKENS = BLOCK_TOKENS * GROUP_BLOCKS
_MAX_UINT16_VOCAB_SIZE = 1 << 16
_METADATA_KEY = b"gptflow"


def dtype_for(vocab_size: int) -> np.dtype[np.unsignedinteger]:
    """The smallest little-endian unsigned type that holds every id.

    Example:
        >>> dtype_for(50_257).itemsize, dtype_for(100_000).itemsize
        (2, 4)
    """
    return np.dtype("<u2" if vocab_size <= _MAX_UINT16_VOCAB_SIZE else "<u4")


@dataclass(frozen=True, slots=True)
class ShardMetadata:
    """Metadata in the footer of a shard, equal in all shards of a split."""

    vocab_size: int
    eos_id: int
    tokenizer_fingerprint: str
    dtype: str
    """NumPy's name of the type of an id."""


class ShardWriter:
    """Writes one Parquet file of token ids.

    Args:
        path: The file, created or replaced.
        vocab_size: Number of ids; determines whether an id takes two or four bytes.
        eos_id: The end-of-document id.
        tokenizer_fingerprint: Fingerprint of the tokenizer artifact.
    """

    def __init__(
        self, path: Path, *, vocab_size: int, eos_id: int, tokenizer_fingerprint: str
    ) -> None:
        self.dtype = dtype_for(vocab_size)
        self._metadata = ShardMetadata(vocab_size, eos_id, tokenizer_fingerprint, self.dtype.str)
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
        """Append ids.

        Args:
            token_ids: Shape (n,).

        Raises:
            ValueError: If an id is outside the vocabulary, and might not fit into its bytes.
        """
        vocab_size = self._metadata.vocab_size
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
        ids[self._filled :] = self._metadata.eos_id
        self._hashes.append(hashlib.sha256(ids.data).hexdigest())
        blocks = pa.FixedSizeBinaryArray.from_buffers(
            self._schema.field(0).type, n_blocks, [None, pa.py_buffer(ids.tobytes())]
        )
        table = pa.Table.from_arrays([blocks], schema=self._schema)
        self._writer.write_table(table, row_group_size=GROUP_BLOCKS)
        self._filled = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *details: object) -> None:
        if kind is None:
            if self._filled:
                self._flush()
            record = {**asdict(self._metadata), "n_tokens": self.n_tokens, "sha256": self._hashes}
            self._writer.add_key_value_metadata({_METADATA_KEY: json.dumps(record).encode()})
        self._writer.close()


@dataclass(frozen=True, slots=True)
class _Group:
    """A row group."""

    file: Path
    number: int  # within its file
    start: int  # index of its first token in the split
    n_tokens: int
    blocks: np.ndarray  # ids as stored, padding included
    sha256: str

    @property
    def token_ids(self) -> np.ndarray:
        """The ids without padding."""
        return self.blocks[: self.n_tokens]


class ShardReader:
    """Reads the shards of one split as one array of ids.

    Args:
        directory: Directory of a shards artifact.
        split: ``train``, ``validation`` or ``test``.

    Raises:
        DataError: If there are no shards, or a file is damaged or not a token shard.
    """

    def __init__(self, directory: Path, split: str) -> None:
        files = sorted((directory / split).glob("part-*.parquet"))
        if not files:
            raise DataError(f"{directory} has no {split} shards: encode the corpus again")
        self.directory, self.split = directory, split
        self.n_tokens = 0
        self._metadata: ShardMetadata | None = None
        self._groups: list[_Group] = []
        for file in files:
            metadata = self._open(file)
        self.dtype = dtype_for(metadata.vocab_size)
        self.eos_id = metadata.eos_id
        self.vocab_size = metadata.vocab_size
        self.tokenizer_fingerprint = metadata.tokenizer_fingerprint
        self._starts = np.array([group.start for group in self._groups], np.int64)
        self._lengths = np.array([group.n_tokens for group in self._groups], np.int64)
        self._views = [group.token_ids.data for group in self._groups]

    @property
    def fingerprint(self) -> str:
        """Hash of the ids and their vocabulary, independent of how they are divided into files."""
        hashes = [group.sha256 for group in self._groups]
        return fingerprint_of(self._metadata, self.n_tokens, hashes)

    def read(self, start: int, length: int) -> np.ndarray:
        """Read the ids from ``start`` to ``start + length``, across row groups and files.

        Args:
            start: Index of the first token.
            length: Number of tokens; at the end of the split fewer are returned.

        Returns:
            Ids of shape (n,), a view if they are in one row group.
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
        """Gather equally long runs of ids from anywhere in the split.

        Args:
            starts: Index of the first token of each run, shape (B,); runs end within the split.
            width: Number of tokens of a run, W.

        Returns:
            Shape (B, W), read-only.
        """
        groups = np.searchsorted(self._starts, starts, side="right") - 1
        begins = starts - self._starts[groups]
        ends = begins + width
        places = zip(groups.tolist(), begins.tolist(), ends.tolist(), strict=True)
        runs = [self._views[group][begin:end] for group, begin, end in places]
        for row in np.flatnonzero(ends > self._lengths[groups]):  # runs that span row groups
            runs[row] = self.read(int(starts[row]), width).data
        return np.frombuffer(b"".join(runs), self.dtype).reshape(len(starts), width)

    def verify(self) -> None:
        """Verify the checksum of every row group.

        Raises:
            DataError: Naming the file and the first row group that was altered.
        """
        for group in self._groups:
            if hashlib.sha256(group.blocks.data).hexdigest() != group.sha256:
                raise DataError(
                    f"{group.file}, row group {group.number}: the ids were altered since they "
                    "were written; encode the corpus again"
                )

    def _open(self, file: Path) -> ShardMetadata:
        """Map the row groups of a file and return its metadata."""
        try:
            parquet = open_parquet(file, str(file), problem="is not an intact token shard")
            metadata, left, hashes = _read_footer(parquet)
            groups = map_row_groups(file, parquet, dtype_for(metadata.vocab_size))
        except (OSError, pa.ArrowException, *_MALFORMED) as error:
            reason = str(error).strip().split("\n", maxsplit=1)[0]
            raise DataError(f"{file} is not an intact token shard: {reason}") from error
        if self._metadata is not None and self._metadata != metadata:
            raise DataError(f"{file} was made with another tokenizer than the shards beside it")
        self._metadata = metadata
        for number, (blocks, sha256) in enumerate(zip(groups, hashes, strict=True)):
            n_tokens = min(left, len(blocks))
            self._groups.append(_Group(file, number, self.n_tokens, n_tokens, blocks, sha256))
            self.n_tokens += n_tokens
            left -= n_tokens
        return metadata


_MALFORMED = (ValueError, KeyError, TypeError, IndexError, OverflowError)


def _read_footer(parquet: pq.ParquetFile) -> tuple[ShardMetadata, int, list[str]]:
    """The metadata, the number of tokens and the checksums of the row groups.

    Raises:
        ValueError: If one is missing or does not fit the file.
    """
    content = (parquet.metadata.metadata or {}).get(_METADATA_KEY)
    if content is None:
        raise ValueError("it was not written by gptflow")
    record = json.loads(content)
    n_tokens, hashes = record["n_tokens"], record["sha256"]
    metadata = ShardMetadata(**{each.name: record[each.name] for each in fields(ShardMetadata)})
    counts = (metadata.vocab_size, metadata.eos_id, n_tokens)
    if not all(type(count) is int for count in counts) or not 0 <= counts[1] < counts[0]:
        raise ValueError("its footer was altered")
    dtype = dtype_for(metadata.vocab_size)
    if metadata.dtype != dtype.str or len(hashes) != parquet.metadata.num_row_groups:
        raise ValueError("its footer was altered")
    if not parquet.schema_arrow.equals(pa.schema([_block_field(dtype)])):
        raise ValueError("it has other columns than ids")
    if -(-n_tokens // BLOCK_TOKENS) != parquet.metadata.num_rows:
        raise ValueError(
            f"its footer counts {n_tokens} ids, which do not fill {parquet.metadata.num_rows} "
            "blocks"
        )
    return metadata, n_tokens, hashes


def _block_field(dtype: np.dtype[np.unsignedinteger]) -> pa.Field:
    return pa.field("block", pa.binary(BLOCK_TOKENS * dtype.itemsize), nullable=False)
