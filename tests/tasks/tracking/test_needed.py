"""Models with an alias and pinned runs need what they made, and removed artifacts are noted."""

import time
from pathlib import Path

import pytest
from filelock import FileLock

from tasks.paths import running_dir
from tasks.tracking import (
    FlowRecord,
    Needed,
    client,
    needed_artifacts,
    note_removed,
    running_since,
)


@pytest.mark.parametrize("tagged", ["the version", "its run"])
def test_a_model_with_an_alias_needs_its_checkpoint(record: FlowRecord, tagged: str) -> None:
    tags = {"fingerprint": "f1"} if tagged == "the version" else {}
    if not tags:
        client().set_tag(record.run_id, "fingerprint", "f1")
    client().create_registered_model("mine")
    client().create_model_version("mine", "/srv/model", run_id=record.run_id, tags=tags)
    client().set_registered_model_alias("mine", "newest", "1")
    assert needed_artifacts() == []
    client().set_registered_model_alias("mine", "champion", "1")
    assert needed_artifacts() == [Needed("champion of mine", frozenset(["f1"]), frozenset())]


def test_a_run_with_the_tag_keep_pins_all_that_it_used(record: FlowRecord) -> None:
    client().set_tag(record.run_id, "artifact.pretrain", "/data/checkpoints/a/step-00000001")
    client().set_tag(record.run_id, "artifact.encode_corpus", "/data/shards/b")
    client().set_tag(record.run_id, "keep", "false")
    assert needed_artifacts() == []
    client().set_tag(record.run_id, "keep", "")
    (needed,) = needed_artifacts()
    assert needed.why == "pinned by the tag keep of run small"
    assert needed.paths == {"/data/checkpoints/a/step-00000001", "/data/shards/b"}


def test_a_running_run_is_known_by_its_lock(home: Path, record: FlowRecord) -> None:
    since = running_since()
    assert since is not None
    assert 0 <= time.time() - since < 300
    (running_dir() / "0123.456789abcdef.lock").touch()
    with FileLock(running_dir() / "0123.flow.lock"):
        assert running_since() == since, "nobody holds the one, the other is of Prefect's run"


def test_the_removal_is_noted_on_the_run(record: FlowRecord) -> None:
    client().set_tag(record.run_id, "fingerprint", "f1")
    note_removed(["f0"])
    assert "artifact_removed" not in client().get_run(record.run_id).data.tags
    note_removed(["f1"])
    assert client().get_run(record.run_id).data.tags["artifact_removed"].startswith("20")
