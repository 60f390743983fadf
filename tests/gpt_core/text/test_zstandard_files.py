"""Files that zstandard packed are read in any number of frames; damage is named."""

import os
from pathlib import Path

import pytest
import zstandard

from gpt_core.config import ReadingConfig
from gpt_core.errors import DataError
from gpt_core.text import read_texts
from gpt_core.text.zstandard_files import ZstandardFile

LINES = "".join(f'{{"text": "line {number} قال"}}\n' for number in range(3000)).encode()


def packed(data: bytes, **options: int) -> bytes:
    parameters = zstandard.ZstdCompressionParameters.from_level(3, **options)
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    return bytes(compressor.compress(data) + compressor.flush())


def texts_of(path: Path) -> list[str]:
    return [text for _, text in read_texts(path, ReadingConfig())]


def test_json_lines_in_one_or_several_frames_are_read(tmp_path: Path) -> None:
    half = LINES.index(b"\n", len(LINES) // 2) + 1
    for content in (packed(LINES), packed(LINES[:half]) + packed(LINES[half:], window_log=27)):
        (tmp_path / "a.jsonl.zst").write_bytes(content)
        texts = texts_of(tmp_path / "a.jsonl.zst")
        assert len(texts) == 3000
        assert texts[2999] == "line 2999 قال"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (packed(LINES)[:-100], "is not an intact .zst archive: Truncated"),
        (b"no archive", "is not an intact .zst archive"),
        (packed(LINES) + b"more", "is not an intact .zst archive"),
        (packed(LINES, window_log=30), "unpack it with zstd -d --long=31 and give the unpacked"),
        (packed(b'{"text": "a"}\n\xff'), r"byte 0xff at offset 14 \(line 2\) cannot be decoded"),
        (packed(b"a" * (1 << 27)), "unpacks from|line 1"),
    ],
    ids=["cut off", "no archive", "more after it", "wide window", "no text", "bomb"],
)
def test_what_cannot_be_read_raises_a_one_line_error(
    tmp_path: Path, content: bytes, sentence: str
) -> None:
    (tmp_path / "a.jsonl.zst").write_bytes(content)
    with pytest.raises(DataError, match=sentence) as caught:
        texts_of(tmp_path / "a.jsonl.zst")
    assert str(caught.value).startswith(f"{tmp_path / 'a.jsonl.zst'}")


def test_any_place_can_be_read_again(tmp_path: Path) -> None:
    (tmp_path / "a.zst").write_bytes(packed(LINES))
    with ZstandardFile(tmp_path / "a.zst") as file:
        assert file.seek(100) == 100
        assert file.read(10) == LINES[100:110]
        assert file.seek(-10, os.SEEK_CUR) == file.tell() == 100
        assert file.seek(0, os.SEEK_END) == len(LINES)
        assert file.seek(5) == 5
        assert file.read(5) == LINES[5:10]
