"""A download ends with a verified file, or with one sentence and no file."""

import errno
import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from gpt_core.download import _http_errors, download
from gpt_core.errors import DataError, DownloadError

CONTENT = bytes(range(256)) * 4000  # about one megabyte
SHA256 = hashlib.sha256(CONTENT).hexdigest()

Behaviour = Callable[["Handler", int], None]
"""Answers a request for the bytes from an offset on."""


class Handler(BaseHTTPRequestHandler):
    """Answers as the test wants."""

    def do_GET(self) -> None:
        assert isinstance(self.server, Server)
        begin = self.headers.get("Range", "bytes=0-")
        self.server.site.asked.append(begin)
        behaviours = self.server.site.behaviours
        behaviour = behaviours.pop(0) if len(behaviours) > 1 else behaviours[0]
        behaviour(self, int(begin.removeprefix("bytes=").rstrip("-")))

    def begin(self, status: int, length: int, begin: int | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        if begin is not None:
            last = len(CONTENT) - 1
            self.send_header("Content-Range", f"bytes {begin}-{last}/{len(CONTENT)}")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    """A web server with one file."""

    daemon_threads = True
    site: "Site"

    def handle_error(self, *args: object) -> None:
        pass  # a client that hangs up is part of the tests


@dataclass
class Site:
    """The ranges a server was asked for, and its behaviours; the last one repeats."""

    url: str = ""
    asked: list[str] = field(default_factory=list)
    behaviours: list[Behaviour] = field(default_factory=list)


@pytest.fixture
def site() -> Iterator[Site]:
    with Server(("127.0.0.1", 0), Handler) as server:
        server.site = Site(url=f"http://127.0.0.1:{server.server_port}/file")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server.site
        server.shutdown()
        thread.join()


def good(handler: Handler, begin: int) -> None:
    handler.begin(206 if begin else 200, len(CONTENT) - begin, begin or None)
    handler.wfile.write(CONTENT[begin:])


def without_ranges(handler: Handler, begin: int) -> None:
    handler.begin(200, len(CONTENT))
    handler.wfile.write(CONTENT)


def cut_off(handler: Handler, begin: int) -> None:
    handler.begin(206 if begin else 200, len(CONTENT) - begin, begin or None)
    handler.wfile.write(CONTENT[begin : begin + 300_000])


def stalling(handler: Handler, begin: int) -> None:
    cut_off(handler, begin)
    time.sleep(2)


def claiming_less(handler: Handler, begin: int) -> None:
    handler.begin(200, 1000)
    handler.wfile.write(CONTENT[:1000])


def too_long(handler: Handler, begin: int) -> None:
    handler.begin(200, len(CONTENT) + 5)
    handler.wfile.write(CONTENT + b"extra")


def wrong_bytes(handler: Handler, begin: int) -> None:
    handler.begin(206 if begin else 200, len(CONTENT) - begin, begin or None)
    handler.wfile.write(b"x" * (len(CONTENT) - begin))


def another_part(handler: Handler, begin: int) -> None:
    handler.begin(206, len(CONTENT), 7 if begin else 0)
    handler.wfile.write(CONTENT)


def answering(status: int) -> Behaviour:
    return lambda handler, begin: handler.begin(status, 0)


def fetch(site: Site, path: Path, timeout: float = 20.0) -> None:
    download(site.url, path, sha256=SHA256, size=len(CONTENT), timeout=timeout)


def test_a_download_ends_with_the_right_bytes_and_no_other_file(site: Site, tmp_path: Path) -> None:
    site.behaviours = [good]
    path, received = tmp_path / "deep" / "file.bin", []
    download(
        site.url,
        path,
        sha256=SHA256,
        size=len(CONTENT),
        progress=lambda *event: received.append(event),
    )
    assert path.read_bytes() == CONTENT
    assert list(path.parent.iterdir()) == [path]
    assert received[-1] == ("bytes", len(CONTENT), len(CONTENT))


@pytest.mark.parametrize("broken", [cut_off, stalling])
def test_an_interrupted_download_resumes(site: Site, tmp_path: Path, broken: Behaviour) -> None:
    site.behaviours = [broken, good]
    with pytest.raises(DownloadError):
        fetch(site, tmp_path / "file", timeout=0.5)
    assert not (tmp_path / "file").exists()
    fetch(site, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert site.asked == ["bytes=0-", "bytes=300000-"]


def test_a_server_without_ranges_sends_the_complete_file_again(site: Site, tmp_path: Path) -> None:
    site.behaviours = [cut_off, without_ranges]
    with pytest.raises(DownloadError, match=r"ended after 300000 of 1024000 bytes"):
        fetch(site, tmp_path / "file")
    fetch(site, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_a_partial_file_with_wrong_bytes_is_discarded(site: Site, tmp_path: Path) -> None:
    site.behaviours = [good]
    (tmp_path / ".file.download").write_bytes(b"y" * 5000)
    with pytest.raises(DownloadError, match="is not the expected file"):
        fetch(site, tmp_path / "file")
    fetch(site, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_a_partial_file_that_is_too_long_is_discarded(site: Site, tmp_path: Path) -> None:
    site.behaviours = [good]
    (tmp_path / ".file.download").write_bytes(CONTENT + b"z")
    fetch(site, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("behaviour", "error", "sentence"),
    [
        (stalling, DownloadError, r"could not be downloaded: timed out"),
        (cut_off, DownloadError, r"ended after 300000 of 1024000 bytes"),
        (claiming_less, DownloadError, r"ended after 1000 of 1024000 bytes"),
        (too_long, DataError, r"is longer than 1024000 bytes"),
        (wrong_bytes, DataError, rf"is not the expected file: its sha256 is not {SHA256}"),
        (answering(404), DataError, r"answers 404 Not Found"),
        (answering(503), DownloadError, r"answers 503 Service Unavailable"),
        (answering(429), DownloadError, r"answers 429 Too Many Requests"),
    ],
)
def test_a_bad_response_is_one_sentence_and_leaves_no_file(
    site: Site, tmp_path: Path, behaviour: Behaviour, error: type[DataError], sentence: str
) -> None:
    site.behaviours = [behaviour]
    with pytest.raises(DataError, match=sentence) as raised:
        fetch(site, tmp_path / "file", timeout=0.5)
    assert raised.type is error
    assert site.url in str(raised.value)
    assert not (tmp_path / "file").exists()


def test_a_response_with_another_range_is_refused(site: Site, tmp_path: Path) -> None:
    site.behaviours = [cut_off, another_part]
    with pytest.raises(DownloadError):
        fetch(site, tmp_path / "file")
    with pytest.raises(DownloadError, match="answered with another part than bytes 300000-"):
        fetch(site, tmp_path / "file")


def test_a_file_shorter_on_the_server_is_refused(site: Site, tmp_path: Path) -> None:
    site.behaviours = [cut_off, answering(416)]
    with pytest.raises(DownloadError):
        fetch(site, tmp_path / "file")
    with pytest.raises(DataError, match="is not the expected file: it is shorter"):
        fetch(site, tmp_path / "file")


def test_an_unreachable_server_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=r"could not be downloaded: .*refused"):
        download("http://127.0.0.1:9/file", tmp_path / "file", sha256=SHA256, size=10)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/x", "/etc/passwd"])
def test_only_http_addresses_are_accepted(tmp_path: Path, url: str) -> None:
    with pytest.raises(DataError, match="is not an http address"):
        download(url, tmp_path / "file", sha256=SHA256, size=10)


def test_an_unwritable_path_is_one_sentence(site: Site, tmp_path: Path) -> None:
    site.behaviours = [good]
    (tmp_path / "folder").write_text("a file")
    with pytest.raises(DataError, match=r"folder.file cannot be written"):
        fetch(site, tmp_path / "folder" / "file")


def test_concurrent_downloads_fetch_once(site: Site, tmp_path: Path) -> None:
    site.behaviours = [good]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: fetch(site, tmp_path / "file"), range(4)))
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert site.asked == ["bytes=0-"]
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


@pytest.mark.parametrize(
    "url", ["http://", "http://me:se/cret@host/", "http://host:0/", "http://["]
)
def test_what_is_no_address_is_refused_without_showing_a_password(url: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not an http address") as caught:
        download(url, tmp_path / "file", sha256=SHA256, size=1)
    assert "cret" not in str(caught.value)


def test_a_password_goes_to_its_host_and_not_to_where_it_redirects(
    site: Site, tmp_path: Path
) -> None:
    seen: list[str | None] = []

    def redirect(handler: Handler, begin: int) -> None:
        seen.append(handler.headers["Authorization"])
        handler.send_response(302)
        handler.send_header("Location", f"{site.url}?again")
        handler.end_headers()

    def answer(handler: Handler, begin: int) -> None:
        seen.append(handler.headers["Authorization"])
        handler.begin(200, len(CONTENT))
        handler.wfile.write(CONTENT)

    site.behaviours[:] = [redirect, answer]
    url = site.url.replace("http://", "http://me:secret@")
    download(url, tmp_path / "file", sha256=SHA256, size=len(CONTENT))
    assert seen == ["Basic bWU6c2VjcmV0", None]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EFBIG, errno.EIO])
def test_an_error_of_the_disk_is_none_of_the_network(number: int) -> None:
    with pytest.raises(OSError, match="the disk") as caught, _http_errors("http://x"):
        raise OSError(number, "the disk")
    assert caught.value.errno == number
