"""Web archives that another library wrote give their pages; damage names the record."""

import gzip
import io
from pathlib import Path

import pytest
from fastwarc.warc import WarcRecord, WarcRecordType

from gpt_core.config import LimitsConfig, ReadingConfig, use_limits
from gpt_core.errors import DataError
from gpt_core.text import read_texts

MAIN = "The weaver of the town laughed, and gave Grace a wooden chest that nobody could open."
PAGE = f"<nav><a href=a>Menu</a></nav><article><p>{MAIN}</p><p>قال نعم</p></article>"
PACKED = "Content-Encoding: gzip\r\n"
OLD = "text/plain; charset=windows-1256"
HTTP = "application/http; msgtype=response"


def answer(body: bytes, kind: str = "text/html", status: str = "200 OK", more: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n{more}\r\n".encode() + body


def archive(*records: tuple[WarcRecordType, str, bytes]) -> list[bytes]:
    """The bytes of each record, as FastWARC writes it."""
    written = []
    for kind, content_type, content in records:
        record, out = WarcRecord(), io.BytesIO()
        record.init_headers(kind, content_length=len(content))
        record.headers["WARC-Target-URI"] = "http://example.org/"
        record.headers["Content-Type"] = content_type
        record.set_bytes_content(content)
        record.write(out)
        written.append(out.getvalue())
    return written


RECORDS = archive(
    (WarcRecordType.warcinfo, "application/warc-fields", b"software: test\r\n"),
    (WarcRecordType.response, HTTP, answer(PAGE.encode(), "text/html; charset=utf-8")),
    (WarcRecordType.response, HTTP, answer(b"gone", status="404 Not Found")),
    (WarcRecordType.response, HTTP, answer(b"\x89PNG\0", "image/png")),
    (
        WarcRecordType.response,
        HTTP,
        answer(gzip.compress("packed قال".encode()), "text/plain", more=PACKED),
    ),
    (WarcRecordType.response, HTTP, answer("قال نعم سعيد".encode("cp1256"), OLD)),
    (WarcRecordType.resource, "text/html", "<meta charset=windows-1256><p>قال".encode("cp1256")),
    (WarcRecordType.request, "application/http; msgtype=request", b"GET / HTTP/1.1\r\n\r\n"),
)  # fmt: skip
TEXTS = [f"{MAIN}\n\nقال نعم", "packed قال", "قال نعم سعيد", "قال"]
WET = archive(
    (WarcRecordType.warcinfo, "application/warc-fields", b"software: test\r\n"),
    (WarcRecordType.conversion, "text/plain", "عنوان\nsecond line".encode()),
    (WarcRecordType.conversion, "text/plain", b"last"),
)


def texts_of(path: Path, **reading: object) -> list[str]:
    return [text for _, text in read_texts(path, ReadingConfig(**reading))]


def test_pages_of_an_archive_are_read_plain_and_packed(tmp_path: Path) -> None:
    (tmp_path / "a.warc").write_bytes(b"".join(RECORDS))
    assert texts_of(tmp_path / "a.warc") == TEXTS
    (tmp_path / "b.warc.gz").write_bytes(b"".join(map(gzip.compress, RECORDS)))  # a member each
    assert texts_of(tmp_path / "b.warc.gz") == TEXTS
    assert texts_of(tmp_path / "b.warc.gz", html="all")[0].startswith("Menu")


def test_the_plain_texts_of_common_crawl_are_read(tmp_path: Path) -> None:
    (tmp_path / "CC-MAIN-1.warc.wet.gz").write_bytes(b"".join(map(gzip.compress, WET)))
    assert texts_of(tmp_path / "CC-MAIN-1.warc.wet.gz") == ["عنوان\nsecond line", "last"]


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.warc", b"".join(WET)[:-6], "record 2 is cut off: 2 of its bytes are missing"),
        ("a.warc", b"".join(WET[:2]) + WET[2][:60], "a.warc is cut off at record 2: fetch the"),
        ("a.warc", WET[0] + b"no record\r\n\r\n" + WET[1], "record 1 is damaged"),
        ("a.warc", b"no archive", "is not a web archive: it does not begin with WARC/"),
        ("a.warc.gz", gzip.compress(b"".join(WET))[:-30], "is not an intact .gz archive"),
    ],
    ids=["content", "header", "between records", "no archive", "packed"],
)
def test_damage_raises_a_one_line_error(
    tmp_path: Path, name: str, content: bytes, sentence: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=sentence) as caught:
        texts_of(tmp_path / name)
    assert str(caught.value).startswith(str(tmp_path / name))


def test_a_page_of_any_size_is_refused_before_it_fills_the_memory(tmp_path: Path) -> None:
    bomb = answer(gzip.compress(b"a" * (1 << 24)), "text/plain", more=PACKED)
    records = archive((WarcRecordType.response, HTTP, bomb))
    (tmp_path / "a.warc").write_bytes(b"".join(records))
    refusal = pytest.raises(DataError, match=r"record 0 is longer than 1,048,576 bytes")
    with use_limits(LimitsConfig(line_characters=1 << 20)), refusal:
        texts_of(tmp_path / "a.warc")
