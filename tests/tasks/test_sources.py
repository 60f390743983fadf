"""A named source is downloaded once, and again after a network error."""

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from gpt_core.errors import ConfigError, DataError, DownloadError
from gpt_core.text import source_path
from tasks.reads import Source
from tasks.sources import check_source, fetch_source, find_source, public_sources
from tasks.stages import fetch_corpus

TEXT = b"In winter the mill stood still.\n" * 100


class Publisher(ThreadingHTTPServer):
    """A web server that answers with these statuses in turn, the last one for ever."""

    daemon_threads = True

    def __init__(self, statuses: list[int]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.statuses, self.asked = statuses, 0


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        publisher = self.server
        assert isinstance(publisher, Publisher)
        status = publisher.statuses[min(publisher.asked, len(publisher.statuses) - 1)]
        publisher.asked += 1
        self.send_response(status)
        self.send_header("Content-Length", str(len(TEXT)))
        self.end_headers()
        self.wfile.write(TEXT)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    with Publisher([200]) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def publish(home: Path, publisher: Publisher, text: bytes = TEXT) -> None:
    (home / "data").mkdir()
    (home / "data" / "sources.toml").write_text(
        f'[mill]\ntitle = "The Mill"\nfile = "mill.txt"\nlicence = "ours"\n'
        f'url = "http://127.0.0.1:{publisher.server_port}/mill.txt"\n'
        f'sha256 = "{hashlib.sha256(text).hexdigest()}"\nbytes = {len(text)}\n'
    )


def test_every_named_source_is_the_published_file(shared_data: Path) -> None:
    real = {file.name: file for file in shared_data.rglob("*") if file.is_file()}
    sources = public_sources()
    assert {"bukhari", "sms-spam", "lambada"} <= sources.keys()
    del sources["english"]  # benchmarks.english writes it, and prints its hash
    for source in sources.values():
        content = real[source.file].read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (source.bytes, source.sha256)


@pytest.mark.parametrize("statuses", [[200], [503, 200]])
def test_a_named_source_is_fetched_once(
    prefect_home: Path, publisher: Publisher, statuses: list[int]
) -> None:
    publisher.statuses = statuses
    publish(prefect_home, publisher)
    raw = fetch_corpus("mill")
    assert source_path(raw).read_bytes() == TEXT
    assert publisher.asked == len(statuses)
    assert fetch_corpus("mill").fingerprint == raw.fingerprint
    assert publisher.asked == len(statuses)


@pytest.mark.parametrize(
    ("status", "text", "error"), [(404, TEXT, "answers 404"), (200, TEXT[::-1], "not the expected")]
)
def test_an_error_that_no_retry_fixes_is_raised_at_once(
    prefect_home: Path, publisher: Publisher, status: int, text: bytes, error: str
) -> None:
    publisher.statuses = [status]
    publish(prefect_home, publisher, text)
    with pytest.raises(DataError, match=rf"{error}.*put The Mill .* at .*mill.txt or give a path"):
        fetch_corpus("mill")
    assert not (prefect_home / "data" / "raw" / "mill" / "mill.txt").exists()


def test_an_unreachable_server_is_tried_four_times(
    prefect_home: Path, publisher: Publisher
) -> None:
    publisher.statuses = [503]
    publish(prefect_home, publisher)
    waiting = fetch_corpus.task.with_options(retry_delay_seconds=0)
    with pytest.raises(DownloadError, match=r"answers 503"):
        waiting("mill")
    assert publisher.asked == 4


def test_a_pattern_is_a_source_of_texts(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        (tmp_path / f"{number}.txt").write_text(f"text {number}")
    monkeypatch.chdir(tmp_path)
    raw = fetch_source(Source("[12].txt"))
    assert source_path(raw) == tmp_path / "[12].txt"
    assert raw.directory.name.startswith("_12_-")
    assert list(raw.manifest().info["sha256"]) == ["1.txt", "2.txt"]
    with pytest.raises(DataError, match=r"no file matches .*\*.csv"):
        check_source(Source("*.csv"))
    with pytest.raises(ConfigError, match="neither a file or folder nor a named source"):
        find_source(Source("*.txt", "classification"))
