"""Read a TensorFlow checkpoint without TensorFlow.

A checkpoint ``model.ckpt`` is a bundle of two kinds of files. ``model.ckpt.index`` is a sorted
table from names to the locations of the values; ``model.ckpt.data-00000-of-00001`` (and so on)
contains the values, one after the other.

The index is a table in LevelDB's format. It ends in a footer of 48 bytes with the location of the
index block; that block has the locations of the data blocks. A block is a sequence of entries, each

    shared length, new length, value length (varints), new bytes of the key, value

where the key takes its first ``shared`` bytes from the previous key; then come the offsets of the
entries that share nothing, which only a binary search needs. A byte for the compression and a
masked CRC-32C follow each block. The values are protocol buffers: ``BundleHeaderProto`` under the
empty key, ``BundleEntryProto`` (type, shape, shard, offset, size, checksum) under each tensor's
name.

References:
    tensorflow/core/util/tensor_bundle, tensorflow/core/protobuf/tensor_bundle.proto;
    leveldb/doc/table_format.md; protobuf.dev, "Encoding".
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gpt_core.errors import ConversionError

_MAGIC = (0xDB4775248B80FB57).to_bytes(8, "little")
_FOOTER_BYTES = 48
_TRAILER_BYTES = 5  # of a block: compression, checksum
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # wire types of protocol buffers
_MASK_DELTA = 0xA282EAD8  # of leveldb's stored checksums
_MAX_INDEX_BYTES = 1 << 26
_MAX_NAME_BYTES = 4096  # of a tensor; with shared prefixes, a small block could hold huge ones
_MAX_VARINT_BITS = 70
_DTYPES = {1: "<f4", 2: "<f8", 3: "<i4", 9: "<i8", 19: "<f2"}  # by number in types.proto
Field = tuple[int, int | bytes]
"""Number and value of a protocol buffer's field."""


@dataclass(frozen=True, slots=True)
class TensorEntry:
    """Type, shape and location of one tensor."""

    shape: tuple[int, ...]
    """Size of each dimension."""

    dtype: str
    """NumPy's name of the type."""

    shard: int
    """Which data file."""

    offset: int
    """First byte in that file."""

    n_bytes: int
    """Bytes in that file."""

    masked_crc: int
    """Masked CRC-32C of those bytes."""


def masked_crc32c(data: bytes | np.ndarray) -> int:
    """CRC-32C as TensorFlow stores it: rotated and shifted.

    The plain checksum of data that contains checksums would be weak.

    Args:
        data: Bytes, or a contiguous array.

    Returns:
        A number of 32 bits.

    Raises:
        ConversionError: If the package google-crc32c is not installed.
    """
    try:
        import google_crc32c
    except ImportError as error:
        raise ConversionError(
            "TensorFlow's checksums need the package google-crc32c: pip install google-crc32c"
        ) from error
    crc = int(google_crc32c.value(data))
    return (((crc >> 15) | (crc << 17)) + _MASK_DELTA) & 0xFFFFFFFF


class TensorFlowCheckpoint:
    """Reads the tensors of a checkpoint by name, memory-mapped from its files.

    Args:
        prefix: Path of the files without their suffixes, such as ``124M/model.ckpt``.

    Raises:
        ConversionError: If the index is missing or damaged.
    """

    def __init__(self, prefix: Path) -> None:
        self.prefix = prefix
        self.n_shards, self.entries = read_index(prefix.with_name(f"{prefix.name}.index"))

    def read(self, name: str) -> np.ndarray:
        """Read one tensor as a view of the mapped file, verifying its checksum.

        Args:
            name: A key of ``entries``.

        Raises:
            ConversionError: If there is no such tensor, or its data file is missing, too short or
                damaged.
        """
        entry = self.entries.get(name)
        if entry is None:
            raise ConversionError(f"{self.prefix}.index lacks the tensor {name}")
        file = self._data_file(entry.shard)
        if not file.is_file():
            raise ConversionError(f"{file} does not exist, but {name} should be in it")
        size = file.stat().st_size
        if entry.offset + entry.n_bytes > size:
            raise ConversionError(
                f"{file} ends after {size} bytes, before the end of {name} "
                f"({entry.offset + entry.n_bytes}): it was cut off, fetch it again"
            )
        if entry.n_bytes == 0:
            return np.empty(entry.shape, entry.dtype)
        # Copy on write: torch warns of memory that must not be written.
        data = np.memmap(file, np.uint8, "c", entry.offset, (entry.n_bytes,))
        if masked_crc32c(data) != entry.masked_crc:
            raise ConversionError(
                f"{file}: {name} is damaged (its checksum differs), fetch the file again"
            )
        return data.view(np.ndarray).view(entry.dtype).reshape(entry.shape)

    def _data_file(self, shard: int) -> Path:
        name = f"{self.prefix.name}.data-{shard:05d}-of-{self.n_shards:05d}"
        return self.prefix.with_name(name)


def read_index(file: Path) -> tuple[int, dict[str, TensorEntry]]:
    """Read the number of data files and the entries of an index, sorted by name.

    Args:
        file: The file ``*.index``.

    Raises:
        ConversionError: If it is missing, no index, damaged, or uses what is not supported:
            compressed blocks, big-endian values, sliced tensors, a type that is not of numbers.
    """
    try:
        if file.stat().st_size > _MAX_INDEX_BYTES:
            raise ConversionError(f"{file} is longer than {_MAX_INDEX_BYTES:,} bytes: no index is")
        table = file.read_bytes()
    except OSError as error:
        raise ConversionError(f"{file} cannot be read: {error.strerror}") from error
    if len(table) < _FOOTER_BYTES or not table.endswith(_MAGIC):
        raise ConversionError(f"{file} is not the index of a TensorFlow checkpoint")
    n_shards, entries = 0, {}
    try:
        for key, value in _table_entries(table):
            if key:
                name = key.decode("utf-8")
                if name in entries:
                    raise ConversionError(f"it has {name} twice")
                entries[name] = _tensor_entry(name, value)
            else:
                n_shards = _read_header(value)
    except (IndexError, UnicodeDecodeError, TypeError, OverflowError) as error:
        raise ConversionError(f"{file} is damaged: {error}") from error
    except ConversionError as error:
        raise ConversionError(f"{file}: {error}") from error
    if not n_shards:
        raise ConversionError(f"{file} does not say how many data files there are")
    return n_shards, entries


def _read_header(value: bytes) -> int:
    """The number of data files."""
    fields = dict(_fields(value))
    if fields.get(2, 0) != 0:
        raise ConversionError("its values are big-endian, which is not supported")
    return int(fields.get(1, 0))


def _tensor_entry(name: str, value: bytes) -> TensorEntry:
    """A ``BundleEntryProto``; a field that is left out is 0."""
    fields = dict(_fields(value))
    if 7 in fields:
        raise ConversionError(f"{name} is stored in slices, which is not supported")
    kind = int(fields.get(1, 0))
    if kind not in _DTYPES:
        raise ConversionError(f"{name} has type {kind} of TensorFlow, which is not supported")
    entry = TensorEntry(
        shape=_shape(fields.get(2, b"")),
        dtype=_DTYPES[kind],
        shard=int(fields.get(3, 0)),
        offset=int(fields.get(4, 0)),
        n_bytes=int(fields.get(5, 0)),
        masked_crc=int(fields.get(6, 0)),
    )
    needed = math.prod(entry.shape) * np.dtype(entry.dtype).itemsize
    if needed != entry.n_bytes:
        raise ConversionError(
            f"{name} of shape {entry.shape} needs {needed} bytes, but has {entry.n_bytes}"
        )
    return entry


def _shape(value: int | bytes) -> tuple[int, ...]:
    """A ``TensorShapeProto``: the sizes of its dimensions."""
    return tuple(
        int(dict(_fields(dimension)).get(1, 0))  # a size of 0 is left out
        for number, dimension in _fields(value)
        if number == 2
    )


def _table_entries(table: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of a whole table, in order."""
    footer = table[-_FOOTER_BYTES:]
    _, place = _handle(footer, 0)  # the metaindex, which is empty
    index, _ = _handle(footer, place)
    for _, handle in _block_entries(_block(table, index)):
        yield from _block_entries(_block(table, _handle(handle, 0)[0]))


def _block(table: bytes, handle: tuple[int, int]) -> bytes:
    """One block, checked."""
    offset, size = handle
    block = table[offset : offset + size + _TRAILER_BYTES]
    if len(block) < size + _TRAILER_BYTES:
        raise ConversionError(f"it ends within the block at byte {offset}")
    if masked_crc32c(block[: size + 1]) != int.from_bytes(block[size + 1 :], "little"):
        raise ConversionError(f"the block at byte {offset} is damaged (its checksum differs)")
    if block[size] != 0:
        raise ConversionError(f"the block at byte {offset} is compressed, which is not supported")
    return block[:size]


def _block_entries(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of one block, the shared prefixes of the keys restored."""
    n_restarts = int.from_bytes(block[-4:], "little")
    end = len(block) - 4 * (1 + n_restarts)
    place, key = 0, b""
    while place < end:
        shared, place = _varint(block, place)
        n_new, place = _varint(block, place)
        n_value, place = _varint(block, place)
        if shared > len(key) or shared + n_new > _MAX_NAME_BYTES:
            raise ConversionError(f"a name of {shared + n_new} bytes is not possible")
        key = key[:shared] + block[place : place + n_new]
        place += n_new
        yield key, block[place : place + n_value]
        place += n_value


def _handle(data: bytes, place: int) -> tuple[tuple[int, int], int]:
    """Offset and size of a block, and where the bytes after them begin."""
    offset, place = _varint(data, place)
    size, place = _varint(data, place)
    return (offset, size), place


def _varint(data: bytes, place: int) -> tuple[int, int]:
    """A number in groups of 7 bits, the lowest first, and where the bytes after it begin.

    Example:
        >>> _varint(bytes([0b1010_1100, 0b0000_0010]), 0)
        (300, 2)
    """
    value = shift = 0
    while True:
        byte = data[place]
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            return value, place
        if shift >= _MAX_VARINT_BITS:
            raise ConversionError("a number of more than 64 bits is not possible")


def _fields(message: int | bytes) -> Iterator[Field]:
    """The fields of a protocol buffer."""
    if isinstance(message, int):
        raise ConversionError("a message is expected, found a number")
    place = 0
    while place < len(message):
        tag, place = _varint(message, place)
        kind = tag & 7
        if kind == _VARINT:
            value, place = _varint(message, place)
            yield tag >> 3, value
            continue
        n_bytes = {_FIXED64: 8, _FIXED32: 4}.get(kind, 0)
        if kind == _BYTES:
            n_bytes, place = _varint(message, place)
        elif not n_bytes:
            raise ConversionError(f"a field of kind {kind} cannot be read")
        found = message[place : place + n_bytes]
        place += n_bytes
        yield tag >> 3, found if kind == _BYTES else int.from_bytes(found, "little")
