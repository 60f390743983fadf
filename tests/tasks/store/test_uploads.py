"""Publishing in the background, and a store that is asked before a run."""

import threading
from pathlib import Path

import pytest
from http_server import free_port
from supervised import Buckets

from gpt_core.config import StoreConfig
from gpt_core.errors import ConfigError, DataError, DownloadError
from tasks.store import (
    Pending,
    Reach,
    Uploads,
    add_pending,
    check_store,
    home_identity,
    list_pending,
    remove_pending,
)


def test_a_store_that_can_be_used_needs_no_sentence(tmp_path: Path) -> None:
    assert check_store(StoreConfig()) == []
    assert check_store(StoreConfig(uri=tmp_path.as_uri())) == []


def test_a_store_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is no folder file:///.*/none: create it"):
        check_store(StoreConfig(uri=(tmp_path / "none").as_uri()))


def test_a_store_that_does_not_answer_is_a_notice(
    s3: Buckets, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    (notice,) = check_store(StoreConfig(uri="s3://shared/x"))
    assert "does not answer" in notice
    assert notice.endswith("the run continues, a later command publishes what it makes")


@pytest.mark.parametrize("uri", ["http://host/x", "s3://me:word@bucket/x", "bucket/x", "s3://"])
def test_a_setting_that_is_no_address_is_refused(uri: str) -> None:
    with pytest.raises(ConfigError) as caught:
        StoreConfig(uri=uri)
    assert "word" not in str(caught.value)


def test_a_failed_job_is_said_once_and_the_next_ones_wait(tmp_path: Path) -> None:
    said: list[str] = []
    done: list[str] = []
    uploads = Uploads(Reach(said.append))

    def away() -> None:
        raise DownloadError("the store does not answer")

    uploads.add(away, lambda: done.append("first"))
    uploads.add(lambda: done.append("never"), lambda: done.append("second"))
    assert uploads.finish(30)
    assert done == ["first", "second"]
    assert said == [
        "the store does not answer; the run continues, a later command publishes what it makes"
    ]


def test_a_job_that_fails_for_another_reason_ends_nothing() -> None:
    said: list[str] = []
    done = threading.Event()
    uploads = Uploads(Reach(said.append))
    uploads.add(lambda: [][0])  # type: ignore[func-returns-value]
    uploads.add(done.set)
    assert uploads.finish(30)
    assert done.is_set()
    assert said[0].startswith("something was not published: list index out of range")


def test_what_is_to_be_published_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPTFLOW_HOME", str(tmp_path))
    one, other = Pending(key="a", store="s3://x/y"), Pending(key="b", store="s3://z", again=True)
    add_pending(one)
    add_pending(other)
    (tmp_path / "data" / "unpublished" / "c.json").write_text("{")
    (tmp_path / "data" / "unpublished" / "d.json").write_text(
        '{"key": "../d", "store": "s3://x/y"}'
    )
    assert list_pending("s3://x/y") == [one]
    assert list_pending("s3://z") == [other]
    remove_pending("a")
    remove_pending("a")
    assert list_pending("s3://x/y") == []
    assert home_identity() == home_identity()
