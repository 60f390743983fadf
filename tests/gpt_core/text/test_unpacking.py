import bz2
import gzip
import lzma
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gpt_core.config import ReadingConfig
from gpt_core.errors import DataError
from gpt_core.text import read_texts
from gpt_core.text.unpacking import SMALL, require_plausible_size

GIB = 1 << 30


def gzipped(path: Path, before: bytes, filler: bytes, after: bytes) -> Path:
    """A file of many gzip members, each a megabyte in a kilobyte."""
    first, one, last = map(gzip.compress, (before, filler * (1 << 20), after))
    path.write_bytes(first + one * (GIB >> 20) + last)
    return path


@pytest.mark.parametrize(
    ("name", "before", "after", "message"),
    [
        ("a.txt.gz", b"", b"", "unpacks from"),
        ("a.jsonl.gz", b'{"text": "', b'"}\n', "line 1 is longer"),
        ("a.json.gz", b'[{"text": "', b'"}]', "unpacks from"),
        ("a.csv.gz", b"text\n", b"\n", "line 2 is longer"),
    ],
)
def test_a_megabyte_that_unpacks_to_a_gigabyte_is_refused_in_little_memory(
    tmp_path: Path, name: str, before: bytes, after: bytes, message: str
) -> None:
    file = gzipped(tmp_path / name, before, b"a", after)
    check_refused(lambda: [text[:1] for _, text in read_texts(file, ReadingConfig())], message)


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_members_of_an_archive_are_counted_together(
    tmp_path: Path, method: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gpt_core.text.unpacking.SMALL", 1 << 20)
    part = b"a" * (1 << 18)
    packed = {8: gzip.compress, 12: bz2.compress, 14: lzma.compress}
    assert len(packed[method](part)) < 1 << 12
    with zipfile.ZipFile(tmp_path / "a.zip", "w", method) as archive:
        for number in range(20):
            archive.writestr(f"{number}.txt", part)
    check_refused(lambda: [text[:1] for _, text in read_texts(tmp_path / "a.zip", ReadingConfig())])


def test_what_text_shrinks_to_is_read(tmp_path: Path) -> None:
    lines = "".join(f'{{"text": "line {n} of {n * n}"}}\n' for n in range(50_000))
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    assert len(list(read_texts(tmp_path / "a.jsonl.gz", ReadingConfig()))) == 50_000
    require_plausible_size(10 * SMALL, SMALL, "a")
    with pytest.raises(DataError, match="a unpacks from 10 to at least"):
        require_plausible_size(SMALL + 1, 10, "a")


def test_a_column_of_one_huge_text_is_one_text(tmp_path: Path) -> None:
    """Parquet stores the text once for all rows."""
    table = pa.table({"text": ["a" * (1 << 20)] * 64})
    pq.write_table(table, tmp_path / "a.parquet", dictionary_pagesize_limit=1 << 24)
    tracemalloc.start()
    texts = [text for _, text in read_texts(tmp_path / "a.parquet", ReadingConfig())]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(texts) == 64
    assert peak < 1 << 24


def test_a_parquet_file_of_one_letter_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gpt_core.text.unpacking.SMALL", 1 << 20)
    table = pa.table({"text": [chr(97 + n % 26) * (1 << 16) for n in range(64)]})
    pq.write_table(table, tmp_path / "a.parquet", compression="zstd", use_dictionary=False)
    check_refused(
        lambda: list(read_texts(tmp_path / "a.parquet", ReadingConfig())), "row group 0 unpacks"
    )


def check_refused(read: Callable[[], object], message: str = "unpacks from") -> None:
    """The file is refused with less than half of its content in memory."""
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=message):
            read()
        assert tracemalloc.get_traced_memory()[1] < GIB // 2
    finally:
        tracemalloc.stop()
