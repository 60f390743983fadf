"""Arrow streams and files give their rows; damage and implausible sizes are refused."""

import io
from pathlib import Path

import pyarrow as pa
import pytest

from gpt_core.config import LimitsConfig, ReadingConfig, use_limits
from gpt_core.errors import DataError
from gpt_core.text import read_texts

TABLE = pa.table({"id": range(1200), "text": [f"نص {number}" for number in range(1200)]})


def arrow(table: pa.Table, kind: str = "stream", codec: str | None = None) -> bytes:
    out = io.BytesIO()
    options = pa.ipc.IpcWriteOptions(compression=codec)
    opened = (pa.ipc.new_stream if kind == "stream" else pa.ipc.new_file)(
        out, table.schema, options=options
    )
    with opened as writer:
        writer.write_table(table, max_chunksize=500)
    return out.getvalue()


def texts_of(path: Path, **reading: object) -> list[str]:
    return [text for _, text in read_texts(path, ReadingConfig(**reading))]


@pytest.mark.parametrize("kind", ["stream", "file"])
@pytest.mark.parametrize("codec", [None, "zstd", "lz4"])
def test_streams_and_files_give_their_rows(tmp_path: Path, kind: str, codec: str | None) -> None:
    (tmp_path / "a.arrow").write_bytes(arrow(TABLE, kind, codec))
    assert texts_of(tmp_path / "a.arrow") == TABLE["text"].to_pylist()


def test_a_text_that_many_rows_have_may_be_in_a_dictionary(tmp_path: Path) -> None:
    table = pa.table({"text": TABLE["text"].combine_chunks().dictionary_encode()})
    (tmp_path / "a.arrow").write_bytes(arrow(table, codec="zstd"))
    assert texts_of(tmp_path / "a.arrow") == TABLE["text"].to_pylist()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (arrow(TABLE)[:-100], "is not an intact Arrow file"),
        (arrow(TABLE)[:-8], "it has no end, so rows may be missing; copy it again"),
        (b"no arrow", "is not an intact Arrow file"),
        (b"", "is not an intact Arrow file"),
        (arrow(pa.table({"text": [b"\xff"]}).cast(pa.schema([("text", pa.binary())]))), "no text"),
        (arrow(TABLE.select(["id"])), "has no column 'text'; it has id; set reading.text_column"),
    ],
    ids=["cut off", "no end", "no arrow", "empty", "bytes", "other columns"],
)
def test_what_cannot_be_read_raises_a_one_line_error(
    tmp_path: Path, content: bytes, sentence: str
) -> None:
    (tmp_path / "a.arrow").write_bytes(content)
    with pytest.raises(DataError, match=sentence) as caught:
        texts_of(tmp_path / "a.arrow")
    assert str(caught.value).startswith(f"{tmp_path / 'a.arrow'}")


def test_sizes_are_checked_before_memory_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gpt_core.text.unpacking.SMALL", 1 << 16)
    letters = pa.table({"text": ["a" * (1 << 16)] * 64})
    (tmp_path / "a.arrow").write_bytes(arrow(letters, codec="zstd"))
    with pytest.raises(DataError, match="a batch unpacks from"):
        texts_of(tmp_path / "a.arrow")
    (tmp_path / "a.arrow").write_bytes(arrow(letters))
    refusal = pytest.raises(DataError, match=r"a batch of 4,19\d,\d+ bytes, which is read at once")
    with use_limits(LimitsConfig(array_characters=1 << 20)), refusal:
        texts_of(tmp_path / "a.arrow")
