"""The checksum of TensorFlow's files: CRC-32C, at the speed of memory with numpy alone.

A cyclic redundancy check reads a message as one long polynomial over the field of two elements
and keeps its remainder. In words of 32 bits its register goes ``r = A(r ^ word)`` where A, the
multiplication by x^32, is linear: ``A(a ^ b) = A(a) ^ A(b)``. So a message may be taken K words
at a time, each of the K lanes by itself (``lane = A^K(lane) ^ word``), and the lanes put together
at the end. A linear map of 32 bits is two look-ups, one for each half.

References:
    Castagnoli et al. 1993, "Optimization of Cyclic Redundancy-Check Codes with 24 and 32 Parity
    Bits"; RFC 3720, appendix B.4 (test vectors).
"""

from functools import cache

import numpy as np

_POLYNOMIAL = 0x82F63B78  # Castagnoli's, lowest bit first
_LANES = (16384, 256, 4)  # the rest of each goes to the next, the last bytes one by one
_ONES = 0xFFFFFFFF
_MASK_DELTA = 0xA282EAD8


def crc32c(data: bytes | memoryview | np.ndarray) -> int:
    """The checksum of a message.

    Args:
        data: Bytes.

    Returns:
        A number of 32 bits.

    Example:
        >>> hex(crc32c(b"123456789"))
        '0xe3069283'
    """
    message = np.frombuffer(data, np.uint8)
    register = _ONES
    for n_lanes in _LANES:
        n_bytes = len(message) // (4 * n_lanes) * (4 * n_lanes)
        if n_bytes:
            register = _in_lanes(register, message[:n_bytes].view("<u4").reshape(-1, n_lanes))
            message = message[n_bytes:]
    table = _byte_table()
    for byte in message.tolist():
        register = table[(register ^ byte) & 0xFF] ^ (register >> 8)
    return register ^ _ONES


def masked_crc32c(data: bytes | memoryview | np.ndarray) -> int:
    """The checksum as TensorFlow stores it: rotated and shifted.

    A checksum of data that contains checksums would otherwise be weak.

    Args:
        data: Bytes.

    Returns:
        A number of 32 bits.
    """
    crc = crc32c(data)
    return (((crc >> 15) | (crc << 17)) + _MASK_DELTA) & _ONES


def _in_lanes(register: int, words: np.ndarray) -> int:
    """The register after some words, given as rows of K lanes, shape (n, K)."""
    n_lanes = words.shape[1]
    low, high = _halves(n_lanes)
    lanes = words[0].astype(np.uint32)
    lanes[0] ^= np.uint32(register)
    of_high = np.empty_like(lanes)
    for row in words[1:]:
        halves = lanes.view(np.uint16).reshape(-1, 2)
        np.take(high, halves[:, 1], out=of_high, mode="clip")  # "clip" spares a buffer
        lanes = np.take(low, halves[:, 0], mode="clip")
        lanes ^= of_high
        lanes ^= row
    while len(lanes) > 1:  # the first half stands K / 2 words before the second
        half = len(lanes) // 2
        lanes = _apply(_power(half), lanes[:half]) ^ lanes[half:]
    return int(_apply(_power(1), lanes)[0])


def _apply(columns: np.ndarray, values: np.ndarray) -> np.ndarray:
    """A linear map, given by what it makes of each bit, shape (32,), on many values."""
    result = np.zeros_like(values)
    for bit, column in enumerate(columns):
        result ^= np.where(values >> np.uint32(bit) & np.uint32(1), column, np.uint32(0))
    return result


@cache
def _power(n_words: int) -> np.ndarray:
    """What A^n makes of each bit, for n a power of two."""
    if n_words > 1:
        half = _power(n_words // 2)
        return _apply(half, half)
    table = _byte_table()
    columns = []
    for bit in range(32):
        register = 1 << bit
        for _ in range(4):
            register = table[register & 0xFF] ^ (register >> 8)
        columns.append(register)
    return np.array(columns, np.uint32)


@cache
def _halves(n_words: int) -> tuple[np.ndarray, np.ndarray]:
    """A^n as two tables: of the lower and of the upper 16 bits."""
    columns = _power(n_words)
    values = np.arange(1 << 16, dtype=np.uint32)
    return _apply(columns[:16], values), _apply(columns[16:], values)


@cache
def _byte_table() -> list[int]:
    """What eight steps of the register make of each lowest byte."""
    table = []
    for byte in range(256):
        register = byte
        for _ in range(8):
            register = register >> 1 ^ (_POLYNOMIAL if register & 1 else 0)
        table.append(register)
    return table
