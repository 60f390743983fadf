"""A plain page of a Parquet file is mapped, any other is decoded, to the same numbers."""

import mmap
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gpt_core.data.parquet_map import _varint, map_row_groups

WIDTH = 64  # bytes of a value


def write(file: Path, n_values: int, **options: Any) -> np.ndarray:
    """Write a row group for each 100 values of 32 numbers of two bytes."""
    numbers = np.arange(n_values * WIDTH // 2, dtype="<u2")
    values = [numbers.tobytes()[i : i + WIDTH] for i in range(0, n_values * WIDTH, WIDTH)]
    field = pa.field("block", pa.binary(WIDTH), nullable=False)
    table = pa.Table.from_arrays([pa.array(values, field.type)], schema=pa.schema([field]))
    settings = {"compression": "none", "use_dictionary": False, "write_statistics": False}
    pq.write_table(table, file, row_group_size=100, **{**settings, **options})
    return numbers


def is_mapped(numbers: np.ndarray) -> bool:
    base: object = numbers
    while isinstance(base, np.ndarray):
        base = base.base
    return isinstance(getattr(base, "obj", base), mmap.mmap)


@pytest.mark.parametrize("n_values", [1, 99, 100, 350])
def test_plain_pages_are_mapped(tmp_path: Path, n_values: int) -> None:
    expected = write(tmp_path / "a.parquet", n_values)
    parquet = pq.ParquetFile(tmp_path / "a.parquet")
    groups = map_row_groups(tmp_path / "a.parquet", parquet, np.dtype("<u2"))
    assert [len(group) for group in groups] == [
        32 * min(100, n_values - start) for start in range(0, n_values, 100)
    ]
    assert all(map(is_mapped, groups))
    assert not any(group.flags.writeable for group in groups)
    np.testing.assert_array_equal(np.concatenate(groups), expected)


@pytest.mark.parametrize(
    "options",
    [
        {"compression": "zstd"},
        {"use_dictionary": True},
        {"max_rows_per_page": 60},
        {"data_page_size": 500, "write_batch_size": 7},
        {"data_page_version": "2.0"},
    ],
    ids=lambda options: ",".join(options),
)
def test_other_pages_are_decoded(tmp_path: Path, options: dict[str, Any]) -> None:
    expected = write(tmp_path / "a.parquet", 350, **options)
    parquet = pq.ParquetFile(tmp_path / "a.parquet")
    groups = map_row_groups(tmp_path / "a.parquet", parquet, np.dtype("<u2"))
    assert not any(is_mapped(group) for group in groups if len(group) > 60 * 32)
    np.testing.assert_array_equal(np.concatenate(groups), expected)


def test_numbers_may_have_four_bytes(tmp_path: Path) -> None:
    expected = write(tmp_path / "a.parquet", 5)
    parquet = pq.ParquetFile(tmp_path / "a.parquet")
    (group,) = map_row_groups(tmp_path / "a.parquet", parquet, np.dtype("<u4"))
    np.testing.assert_array_equal(group, expected.view("<u4"))


@pytest.mark.parametrize(
    ("number", "encoded"), [(0, "00"), (127, "7f"), (128, "8001"), (16_384, "808001")]
)
def test_varints_are_those_of_thrift(number: int, encoded: str) -> None:
    assert _varint(number).hex() == encoded
