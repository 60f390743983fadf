"""Objects in a folder and in a bucket: completely or not at all, checked when they are read."""

import hashlib
import random
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from http_server import free_port, serve_http
from supervised import Buckets

from gpt_core.errors import ConfigError, DataError, DownloadError
from gpt_core.manifest import FileEntry
from tasks.store.objects import Objects


def entry_of(content: bytes) -> FileEntry:
    return FileEntry(bytes=len(content), sha256=hashlib.sha256(content).hexdigest())


class Denying(BaseHTTPRequestHandler):
    """Answers as S3 does when a request has no credentials, or those of a stranger."""

    def do_HEAD(self) -> None:
        self.send_response(403)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_what_is_written_is_read(objects: Objects, tmp_path: Path) -> None:
    objects.check()
    assert objects.read("a/record", 10) is None
    assert objects.size("a/record") is None
    objects.write("a/record", b"one")
    objects.write("a/record", b"other")
    assert objects.read("a/record", 5) == b"other"
    assert objects.size("a/record") == 5
    objects.delete("a/record")
    objects.delete("a/record")
    assert objects.read("a/record", 10) is None


def test_a_file_comes_back_byte_for_byte(objects: Objects, tmp_path: Path) -> None:
    content = random.randbytes(3_000_000)
    (tmp_path / "file").write_bytes(content)
    objects.upload("files/x", tmp_path / "file", entry_of(content))
    objects.download("files/x", tmp_path / "fetched", entry_of(content))
    assert (tmp_path / "fetched").read_bytes() == content


def test_a_file_that_was_altered_is_not_published(objects: Objects, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"now")
    with pytest.raises(DataError, match=r"file was altered since it was written: it is not pub"):
        objects.upload("files/x", tmp_path / "file", entry_of(b"then"))
    assert objects.size("files/x") is None


@pytest.mark.parametrize(
    ("stored", "problem"),
    [
        (b"cut", "has 3 bytes, 8 were published"),
        (b"complete and more", "has more than 8 bytes, 8 were published"),
        (b"ComPlete", "was altered: its sha256 is not the one that was published"),
        (None, "does not exist"),
    ],
)
def test_an_object_that_was_altered_is_refused(
    objects: Objects, tmp_path: Path, stored: bytes | None, problem: str
) -> None:
    if stored is not None:
        objects.write("files/x", stored)
    with pytest.raises(DataError, match=problem):
        objects.download("files/x", tmp_path / "fetched", entry_of(b"complete"))


def test_a_record_that_is_too_long_is_refused(objects: Objects) -> None:
    objects.write("record", b"123456")
    with pytest.raises(DataError, match="has more than 5 bytes, it was not written by gptflow"):
        objects.read("record", 5)


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is no folder file:///.*/nowhere: create it"):
        Objects((tmp_path / "nowhere").as_uri()).check()


def test_a_bucket_that_is_missing_is_named(s3: Buckets) -> None:
    with pytest.raises(DataError, match=r"there is no bucket s3://nowhere: create it"):
        Objects("s3://nowhere/prefix").check()


def test_missing_and_wrong_credentials_are_named(
    s3: Buckets, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve_http(Denying) as port:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        with pytest.raises(DataError, match="access is denied"):
            Objects("s3://shared/prefix").check()
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(name)
        with pytest.raises(DataError, match="there are no credentials"):
            Objects("s3://shared/prefix").check()


def test_a_store_that_does_not_answer_is_another_error(
    s3: Buckets, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(DownloadError, match="does not answer"):
        Objects("s3://shared/prefix").check()


@pytest.mark.parametrize("address", ["s3://me:word@bucket/x", "http://host/x", "s3://", "/folder"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(ConfigError):
        Objects(address)
