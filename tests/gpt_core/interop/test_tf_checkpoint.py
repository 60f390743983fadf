import csv
import runpy
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpt_core.errors import ConversionError
from gpt_core.interop import TensorFlowCheckpoint, read_index
from gpt_core.interop.tf_checkpoint import masked_crc32c

BUNDLES = Path(__file__).parent / "tensorflow_bundles"
MADE = runpy.run_path(str(BUNDLES / "make_bundles.py"))


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A copy of the bundle of several types, to damage."""
    for file in BUNDLES.glob("kinds.*"):
        shutil.copy(file, tmp_path)
    return tmp_path / "kinds"


# -- checksums ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "crc"),
    [(b"", 0x00000000), (b"123456789", 0xE3069283), (bytes(range(32)), 0x46DD794E)],
)
def test_the_checksum_is_crc32c_rotated_and_shifted(message: bytes, crc: int) -> None:
    """Vectors of RFC 3720, appendix B.4; the mask is that of leveldb's util/crc32c.h."""
    rotated = (crc >> 15 | crc << 17) & 0xFFFFFFFF
    assert masked_crc32c(message) == (rotated + 0xA282EAD8) % 2**32
    assert masked_crc32c(np.frombuffer(message, np.uint8)) == masked_crc32c(message)


def test_a_missing_checksum_package_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "google_crc32c", None)
    with pytest.raises(ConversionError, match="pip install google-crc32c"):
        masked_crc32c(b"")


# -- what TensorFlow wrote -------------------------------------------------------------------


def test_tensors_of_every_kind_and_shard_read_as_tensorflow_wrote_them() -> None:
    checkpoint = TensorFlowCheckpoint(BUNDLES / "kinds")
    assert checkpoint.n_shards == 2
    assert {entry.shard for entry in checkpoint.entries.values()} == {0, 1}
    assert checkpoint.entries.keys() == MADE["SHAPES"].keys()
    for name, kind in MADE["SHAPES"].items():
        expected = MADE["values_of"](name, *kind)
        found = checkpoint.read(name)
        assert found.dtype == expected.dtype, name
        np.testing.assert_array_equal(found, expected, strict=True)


def test_names_with_shared_prefixes_are_restored_in_order() -> None:
    _, entries = read_index(BUNDLES / "gpt2.index")
    assert list(entries) == sorted(MADE["gpt2_shapes"]())
    assert {name: entry.shape for name, entry in entries.items()} == MADE["gpt2_shapes"]()


def test_the_released_index_of_124m_is_read_completely(shared_data: Path) -> None:
    n_shards, entries = read_index(shared_data / "gpt2" / "model.ckpt.index")
    rows = released_table(shared_data)
    assert n_shards == 1
    assert list(entries) == [row["tf_name"] for row in rows]
    assert len(entries) == 148
    for row in rows:
        entry = entries[row["tf_name"]]
        assert "x".join(map(str, entry.shape)) == row["shape"]
        assert entry.dtype == "<f4"
        assert (entry.offset, entry.n_bytes) == (int(row["data_offset"]), int(row["bytes"]))
        assert entry.masked_crc == int(row["masked_crc32c"])
    assert sum(int(np.prod(entry.shape)) for entry in entries.values()) == 124_439_808


def test_the_released_tensors_pass_and_a_gap_in_the_data_does_not(
    shared_data: Path, tmp_path: Path
) -> None:
    folder = shared_data / "gpt2"
    there = [row for row in released_table(shared_data) if row["file"] != "-"]
    shutil.copy(folder / "model.ckpt.index", tmp_path)
    with (tmp_path / "model.ckpt.data-00000-of-00001").open("wb") as data:
        data.truncate(497_759_232)  # sparse: what is not there reads as zeros
        for row in there:
            data.seek(int(row["data_offset"]))
            data.write((folder / row["file"]).read_bytes())
    checkpoint = TensorFlowCheckpoint(tmp_path / "model.ckpt")
    assert len(there) == 101
    for row in there:
        values = np.fromfile(folder / row["file"], "<f4")
        np.testing.assert_array_equal(checkpoint.read(row["tf_name"]).ravel(), values)
    with pytest.raises(ConversionError, match="model/h1/attn/c_attn/w is damaged"):
        checkpoint.read("model/h1/attn/c_attn/w")


def released_table(shared_data: Path) -> list[dict[str, str]]:
    file = shared_data / "gpt2" / "124M_tensor_table.tsv"
    return list(csv.DictReader(file.read_text(encoding="utf-8").splitlines(), delimiter="\t"))


# -- what is damaged -------------------------------------------------------------------------


@given(st.data())
def test_a_flipped_byte_of_an_index_is_detected_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    original = (BUNDLES / "kinds.index").read_bytes()
    flipped = bytearray(original)
    flipped[data.draw(st.integers(0, len(original) - 1))] ^= data.draw(st.integers(1, 255))
    file = tmp_path_factory.mktemp("flipped") / "kinds.index"
    file.write_bytes(flipped)
    try:
        found = read_index(file)
    except ConversionError as error:
        assert str(file) in str(error)
    else:  # a byte of the footer that no one reads
        assert found == read_index(BUNDLES / "kinds.index")


def test_an_index_cut_short_anywhere_is_refused(bundle: Path) -> None:
    file = bundle.with_name("kinds.index")
    whole = file.read_bytes()
    for length in range(len(whole)):
        file.write_bytes(whole[:length])
        with pytest.raises(ConversionError, match=r"kinds\.index"):
            read_index(file)


def test_an_index_without_its_middle_is_refused(bundle: Path) -> None:
    file = bundle.with_name("kinds.index")
    whole = file.read_bytes()
    file.write_bytes(whole[:40] + whole[-60:])
    with pytest.raises(ConversionError, match=r"kinds\.index"):
        read_index(file)


def test_a_missing_index_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match=r"none\.index cannot be read: No such file"):
        TensorFlowCheckpoint(tmp_path / "none")


def test_a_tensor_that_is_not_there_is_named(bundle: Path) -> None:
    with pytest.raises(ConversionError, match=r"kinds\.index lacks the tensor model/wte"):
        TensorFlowCheckpoint(bundle).read("model/wte")


def test_a_missing_data_file_is_named(bundle: Path) -> None:
    bundle.with_name("kinds.data-00001-of-00002").unlink()
    with pytest.raises(ConversionError, match="data-00001-of-00002 does not exist, but whole"):
        TensorFlowCheckpoint(bundle).read("whole")


def test_a_data_file_cut_short_is_named_with_the_tensor(bundle: Path) -> None:
    checkpoint = TensorFlowCheckpoint(bundle)
    last = max(
        (name for name, entry in checkpoint.entries.items() if entry.shard == 1),
        key=lambda name: checkpoint.entries[name].offset,
    )
    file = bundle.with_name("kinds.data-00001-of-00002")
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(ConversionError, match=f"ends after 81 bytes, before the end of {last}"):
        checkpoint.read(last)


def test_a_flipped_bit_of_a_tensor_is_named_with_its_file(bundle: Path) -> None:
    checkpoint = TensorFlowCheckpoint(bundle)
    entry = checkpoint.entries["matrix"]
    file = bundle.with_name("kinds.data-00000-of-00002")
    content = bytearray(file.read_bytes())
    content[entry.offset + 5] ^= 1
    file.write_bytes(content)
    with pytest.raises(ConversionError, match="00000-of-00002: matrix is damaged"):
        checkpoint.read("matrix")


# -- what TensorFlow could write, but GPT-2's release does not --------------------------------


def varint(value: int) -> bytes:
    groups = []
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*groups, value])


def write_table(file: Path, entries: dict[bytes, bytes], compression: int = 0) -> Path:
    """An index of one block in which no key is shortened."""

    def block(pairs: dict[bytes, bytes]) -> bytes:
        content = b"".join(
            varint(0) + varint(len(key)) + varint(len(value)) + key + value
            for key, value in pairs.items()
        )
        return content + bytes(4) + (1).to_bytes(4, "little")

    def placed(content: bytes) -> bytes:
        whole = content + bytes([compression])
        return whole + masked_crc32c(whole).to_bytes(4, "little")

    data = block(entries)
    index = block({b"~": varint(0) + varint(len(data))})
    footer = varint(0) + varint(0) + varint(len(data) + 5) + varint(len(index))
    magic = (0xDB4775248B80FB57).to_bytes(8, "little")
    file.write_bytes(placed(data) + placed(index) + footer.ljust(40, b"\0") + magic)
    return file


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def message(field: int, value: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(value)) + value


HEADER = {b"": number(1, 1)}
FLOATS = number(1, 1) + message(2, message(2, number(1, 2))) + number(5, 8)


def test_a_table_written_by_hand_is_read(tmp_path: Path) -> None:
    unknown = varint(15 << 3 | 1) + b"\xff" * 8  # a field of eight bytes
    entry = FLOATS + unknown + number(4, 300)
    file = write_table(tmp_path / "x.index", HEADER | {b"a": entry})
    n_shards, entries = read_index(file)
    assert (n_shards, entries["a"].shape, entries["a"].offset) == (1, (2,), 300)


@pytest.mark.parametrize(
    ("entries", "how", "expected"),
    [
        (HEADER | {b"a": FLOATS}, {"compression": 1}, "is compressed, which is not supported"),
        ({b"": number(1, 1) + number(2, 1)}, {}, "big-endian"),
        (HEADER | {b"a": number(1, 7)}, {}, "a has type 7 of TensorFlow"),
        (HEADER | {b"a": FLOATS + message(7, b"")}, {}, "a is stored in slices"),
        (HEADER | {b"a": FLOATS + number(5, 12)}, {}, r"shape \(2,\) needs 8 bytes, but has 12"),
        (HEADER | {b"a": number(1, 1) + number(2, 3)}, {}, "a message is expected"),
        (HEADER | {b"a": varint(1 << 3 | 3)}, {}, "a field of kind 3 cannot be read"),
        (HEADER | {b"\xff": FLOATS}, {}, "is damaged"),
        ({b"a": FLOATS}, {}, "does not say how many data files"),
        ({b"": number(2, 0), b"a": FLOATS}, {}, "does not say how many data files"),
    ],
)
def test_unsupported_features_are_named(
    tmp_path: Path, entries: dict[bytes, bytes], how: dict[str, Any], expected: str
) -> None:
    file = write_table(tmp_path / "x.index", entries, **how)
    with pytest.raises(ConversionError, match=expected) as error:
        read_index(file)
    assert "x.index" in str(error.value)


@pytest.mark.parametrize("content", [b"", bytes(100), Path(__file__).read_bytes()])
def test_a_file_that_is_no_index_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.index").write_bytes(content)
    with pytest.raises(ConversionError, match="is not the index of a TensorFlow checkpoint"):
        read_index(tmp_path / "x.index")
