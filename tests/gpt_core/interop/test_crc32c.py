import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpt_core.interop.crc32c import crc32c, masked_crc32c


def bit_by_bit(message: bytes) -> int:
    """The definition: divide by the polynomial, a bit at a time."""
    register = 0xFFFFFFFF
    for byte in message:
        register ^= byte
        for _ in range(8):
            register = (register >> 1) ^ (0x82F63B78 if register & 1 else 0)
    return register ^ 0xFFFFFFFF


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (b"", 0x00000000),
        (b"123456789", 0xE3069283),
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(reversed(range(32))), 0x113FDB5C),
    ],
)
def test_the_vectors_of_the_standard(message: bytes, expected: int) -> None:
    assert crc32c(message) == expected  # RFC 3720, appendix B.4; the check value of the catalogue


@given(st.binary(max_size=3000))
def test_short_messages_agree_with_the_definition(message: bytes) -> None:
    assert crc32c(message) == bit_by_bit(message)


@pytest.mark.parametrize("n_bytes", [65_535, 65_536, 65_537, 3 * 65_536 + 1_029])
def test_long_messages_agree_with_the_definition(n_bytes: int) -> None:
    message = np.random.default_rng().integers(0, 256, n_bytes, dtype=np.uint8).tobytes()
    assert crc32c(message) == bit_by_bit(message)


@given(st.binary(min_size=1, max_size=500), st.data())
def test_a_flipped_bit_is_noticed(message: bytes, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, 8 * len(message) - 1))
    flipped = bytearray(message)
    flipped[place // 8] ^= 1 << place % 8
    assert crc32c(bytes(flipped)) != crc32c(message)


def test_the_mask_rotates_and_shifts() -> None:
    crc = crc32c(b"foo")
    rotated = (crc >> 15 | crc << 17) & 0xFFFFFFFF
    assert masked_crc32c(b"foo") == (rotated + 0xA282EAD8) % 2**32


def test_arrays_are_read_as_their_bytes() -> None:
    values = np.arange(1000, dtype=np.float32)
    assert crc32c(values) == crc32c(values.tobytes())
