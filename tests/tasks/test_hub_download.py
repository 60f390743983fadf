"""Releases from local hubs that answer correctly, wrongly, late or not at all."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from http_server import serve_http

from gpt_core.config import GPT2ImportConfig
from gpt_core.errors import ConfigError, DataError, DownloadError
from gpt_core.text import source_path
from tasks.hub import HubRelease
from tasks.hub_download import fetch_release
from tasks.stages import fetch_gpt2

COMMIT = "c" * 40
FILES = {
    "config.json": b'{"n_layer": 2}',
    "vocab.json": b"{}",
    "merges.txt": b"#version: 0.2\n",
    "model.safetensors": bytes(range(256)) * 3000,
    "tf_model.h5": b"not wanted",
}


@dataclass
class Hub:
    """A hub's files and its faults."""

    files: dict[str, bytes] = field(default_factory=lambda: dict(FILES))
    sent: dict[str, bytes] = field(default_factory=dict)
    """Other bytes than it lists."""

    cut: int | None = None
    """The first answer with weights ends after so many bytes."""

    stalls: bool = False
    """It does not end there: nothing more comes, until the hub is closed."""

    closed: threading.Event = field(default_factory=threading.Event)

    status: int = 200
    asked: list[str] = field(default_factory=list)
    address: str = ""

    def listing(self) -> list[dict[str, Any]]:
        rows = []
        for name, content in self.files.items():
            blob = b"blob %d\0%s" % (len(content), content)
            row = {"type": "file", "path": name, "size": len(content)}
            row["oid"] = hashlib.sha1(blob).hexdigest()
            if len(content) > 1000:
                sha256 = hashlib.sha256(content).hexdigest()
                row["lfs"] = {"oid": sha256, "size": len(content), "pointerSize": 134}
            rows.append(row)
        return rows


class _Handler(BaseHTTPRequestHandler):
    hub: Hub

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        path = self.path.partition("?")[0]
        self.hub.asked.append(f"{self.command} {path}")
        if self.hub.status != 200:
            self._send(self.hub.status, b"{}", body=body)
        elif path.startswith("/api/models/someone/small/tree/"):
            self._send(200, json.dumps(self.hub.listing()).encode(), body=body)
        elif path.startswith("/someone/small/resolve/"):
            self._send_file(path.rpartition("/")[2], body=body)
        else:
            self._send(404, b"{}", body=body, **{"X-Error-Code": "RepoNotFound"})

    def _send_file(self, name: str, *, body: bool) -> None:
        content = self.hub.sent.get(name, self.hub.files[name])
        start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-"))
        etag = hashlib.sha256(content).hexdigest()
        headers = {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT}
        status = 206 if start else 200
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        cut = self.hub.cut if body and name == "model.safetensors" else None
        self.hub.cut = None if cut is not None else self.hub.cut
        self._send(status, content[start:], body=body, cut=cut, **headers)

    def _send(
        self, status: int, content: bytes, *, body: bool, cut: int | None = None, **headers: str
    ) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.wfile.write(content[:cut])
        if cut is not None and self.hub.stalls:
            self.wfile.flush()
            self.hub.closed.wait(timeout=60)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def hubs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Hub]]:
    """Two hubs of their own, and nothing of this machine's settings for the real one."""
    monkeypatch.setenv("GPTFLOW_HOME", str(tmp_path))
    made = [Hub(), Hub()]
    with ExitStack() as stack:
        for hub in made:
            port = stack.enter_context(serve_http(type("Handler", (_Handler,), {"hub": hub})))
            hub.address = f"http://127.0.0.1:{port}"
            stack.callback(hub.closed.set)
        yield made


SMALL = HubRelease("someone/small", COMMIT)


def fetched(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}


def test_exactly_the_files_that_an_import_needs_are_fetched(hubs: list[Hub]) -> None:
    reported: list[tuple[str, int, int | None]] = []
    folder = fetch_release(SMALL, [hubs[0].address], lambda *values: reported.append(values))
    wanted = {name: FILES[name] for name in FILES if name != "tf_model.h5"}
    assert fetched(folder) == wanted
    total = sum(map(len, wanted.values()))
    assert reported[-1] == ("bytes", total, total)


def test_what_is_there_is_not_fetched_again_and_needs_no_network(hubs: list[Hub]) -> None:
    folder = fetch_release(SMALL, [hubs[0].address])
    hubs[0].asked.clear()
    assert fetch_release(SMALL, [hubs[0].address]) == folder
    assert [line for line in hubs[0].asked if "resolve" in line] == []
    hubs[0].status = 410
    assert fetch_release(SMALL, [hubs[0].address]) == folder


def test_a_file_that_was_damaged_is_fetched_again(hubs: list[Hub]) -> None:
    folder = fetch_release(SMALL, [hubs[0].address])
    file = folder / "model.safetensors"
    file.write_bytes(bytes(len(FILES[file.name])))
    assert fetched(fetch_release(SMALL, [hubs[0].address]))[file.name] == FILES[file.name]


def test_a_download_that_is_cut_off_is_resumed(hubs: list[Hub]) -> None:
    hubs[0].cut = 100_000
    folder = fetch_release(SMALL, [hubs[0].address])
    assert fetched(folder)["model.safetensors"] == FILES["model.safetensors"]


def test_a_download_that_stalls_is_resumed(
    hubs: list[Hub], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DOWNLOAD_TIMEOUT", 0.5)
    hubs[0].cut, hubs[0].stalls = 100_000, True
    folder = fetch_release(SMALL, [hubs[0].address])
    assert fetched(folder)["model.safetensors"] == FILES["model.safetensors"]


def test_weights_in_shards_are_fetched_with_their_index_and_then_need_no_network(
    hubs: list[Hub],
) -> None:
    files = hubs[0].files
    content = files.pop("model.safetensors")
    shards = {f"model-0000{i}-of-00002.safetensors": content for i in (1, 2)}
    index = json.dumps({"weight_map": {f"h.{i}": name for i, name in enumerate(shards)}})
    files.update(shards, **{"model.safetensors.index.json": index.encode()})
    folder = fetch_release(SMALL, [hubs[0].address])
    assert shards.keys() | {"model.safetensors.index.json"} < fetched(folder).keys()
    hubs[0].status = 410
    assert fetch_release(SMALL, [hubs[0].address]) == folder
    next(folder.glob("*.safetensors")).unlink()
    with pytest.raises(DownloadError):
        fetch_release(SMALL, [hubs[0].address])


@pytest.mark.parametrize("name", ["model.safetensors", "merges.txt"])
@pytest.mark.parametrize("more", [0, 1, -1])
def test_other_bytes_than_listed_are_refused_and_the_next_hub_is_asked(
    hubs: list[Hub], name: str, more: int
) -> None:
    hubs[0].sent[name] = bytes(len(FILES[name]) + more)
    with pytest.raises(DataError, match=f"sent another {name} of someone/small than it lists"):
        fetch_release(SMALL, [hubs[0].address])
    assert name not in fetched(SMALL.folder)
    assert fetched(fetch_release(SMALL, [hub.address for hub in hubs]))[name] == FILES[name]


def test_weights_that_are_known_otherwise_are_refused(hubs: list[Hub]) -> None:
    known = HubRelease("someone/small", COMMIT, weights_sha256="0" * 64)
    with pytest.raises(DataError, match=r"sent another model\.safetensors"):
        fetch_release(known, [hubs[0].address])


def test_a_hub_without_weights_says_so(hubs: list[Hub]) -> None:
    del hubs[0].files["model.safetensors"]
    with pytest.raises(DataError, match="has no safetensors of someone/small"):
        fetch_release(SMALL, [hubs[0].address])


def test_a_missing_model_is_a_config_error(hubs: list[Hub]) -> None:
    with pytest.raises(ConfigError, match="has no such model or revision"):
        fetch_release(HubRelease("someone/else", COMMIT), [hubs[0].address])


def test_a_hub_that_lacks_the_model_is_passed_over(hubs: list[Hub]) -> None:
    release = HubRelease("someone/else", COMMIT)
    hubs[1].status = 410
    with pytest.raises(DownloadError, match=r"no such model or revision.*; http"):
        fetch_release(release, [hub.address for hub in hubs])


def test_no_hub_that_answers_says_what_to_put_where(hubs: list[Hub]) -> None:
    hubs[0].status = 410
    with pytest.raises(DownloadError, match=r"could not be fetched .*: put model\.safetensors, "):
        fetch_release(SMALL, [hubs[0].address])


def test_the_task_records_what_it_fetched(hubs: list[Hub], prefect_api: str) -> None:
    config = GPT2ImportConfig(source=f"hub:someone/small@{COMMIT}", mirrors=(hubs[0].address,))
    first = fetch_gpt2.task.fn(config)
    assert source_path(first) == SMALL.folder
    assert fetch_gpt2.task.fn(config).fingerprint == first.fingerprint
