"""Artifacts that one home publishes and another fetches: complete or not at all, byte for byte."""

import json
import random
from pathlib import Path

import pytest

from gpt_core.artifact import Artifact, new_artifact, verify
from gpt_core.callbacks import METRICS
from gpt_core.errors import DataError
from tasks.store.objects import Objects
from tasks.store.records import RESULT, UnusableRecordError, place, read_record, read_usable
from tasks.store.transfer import fetch_result, publish_result

KEY = "0123456789abcdef" * 2
HASH = "a" * 64
ENTRY = {"bytes": 1, "sha256": HASH}


def make(folder: Path, name: str = "made", content: bytes | None = None) -> Artifact:
    with new_artifact(folder / name, kind="report") as draft:
        (draft.directory / "parts").mkdir()
        for number in range(3):
            data = random.randbytes(1000) if content is None else content
            (draft.directory / "parts" / f"part-{number}").write_bytes(data)
        (draft.directory / "empty").write_bytes(b"")
    return draft.artifact


def contents(folder: Path) -> dict[str, bytes]:
    return {str(f.relative_to(folder)): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


def objects_of(objects: Objects, artifact: Artifact) -> list[str]:
    files = artifact.manifest().files.values()
    return [place(KEY, f"files/{entry.sha256}") for entry in files]


def test_what_one_home_publishes_another_has(objects: Objects, tmp_path: Path) -> None:
    made = make(tmp_path)
    assert fetch_result(objects, KEY, tmp_path / "none") is None
    publish_result(objects, KEY, made)
    fetched = fetch_result(objects, KEY, tmp_path / "other" / "mine")
    assert fetched is not None
    verify(fetched)
    assert fetched.fingerprint == made.fingerprint
    assert contents(fetched.directory) == contents(made.directory)
    assert not list((tmp_path / "other").glob(".*"))


def test_a_checkpoint_comes_with_the_metrics_of_its_run(objects: Objects, tmp_path: Path) -> None:
    made = make(tmp_path / "run", "step-00000012")
    (tmp_path / "run" / METRICS).write_text('{"step": 12}\n')
    publish_result(objects, KEY, made)
    fetched = fetch_result(objects, KEY, tmp_path / "other")
    assert fetched is not None
    assert fetched.directory == tmp_path / "other" / "step-00000012"
    assert (tmp_path / "other" / METRICS).read_text() == '{"step": 12}\n'


def test_without_its_record_an_artifact_is_not_there(objects: Objects, tmp_path: Path) -> None:
    made = make(tmp_path)
    publish_result(objects, KEY, made)
    objects.delete(place(KEY, RESULT))  # as if the machine had been lost before its last object
    assert fetch_result(objects, KEY, tmp_path / "fetched") is None


def test_two_machines_with_different_bytes_both_end_whole(objects: Objects, tmp_path: Path) -> None:
    one, other = make(tmp_path, "one"), make(tmp_path, "other")
    publish_result(objects, KEY, one)
    before = read_record(objects, KEY, RESULT)
    publish_result(objects, KEY, other)
    fetched = fetch_result(objects, KEY, tmp_path / "fetched")
    assert fetched is not None
    assert fetched.fingerprint == other.fingerprint
    assert before is not None
    for each in before.artifacts[0].files.values():  # what the first record names is there too
        assert objects.size(place(KEY, f"files/{each.sha256}")) == each.bytes


@pytest.mark.parametrize("damage", ["cut", "altered", "missing"])
def test_a_damaged_object_is_refused_and_can_be_replaced(
    objects: Objects, tmp_path: Path, damage: str
) -> None:
    made = make(tmp_path)
    publish_result(objects, KEY, made)
    name = objects_of(objects, made)[-1]
    if damage == "missing":
        objects.delete(name)
    else:
        content = objects.read(name, 2000) or b""
        objects.write(name, content[:10] if damage == "cut" else bytes(1000))
    with pytest.raises(DataError, match=r"10 bytes, 1,000 were|was altered|does not exist"):
        fetch_result(objects, KEY, tmp_path / "fetched")
    assert not (tmp_path / "fetched").exists()
    publish_result(objects, KEY, made, again=True)
    assert fetch_result(objects, KEY, tmp_path / "fetched") is not None


def forge(**changes: object) -> bytes:
    entry = {"bytes": 1, "sha256": HASH}
    artifact = {
        "kind": "report",
        "fingerprint": "f",
        "folder": "",
        "files": {"manifest.json": entry},
    }
    artifact |= {name: value for name, value in changes.items() if name in artifact}
    record = {"artifacts": [artifact], "run_files": changes.get("run_files", {})}
    version = changes.get("format_version", 1)
    return json.dumps({"format_version": version, "record": record}).encode()


FORGED = [
    b"",
    b"[]",
    b"[" * 100_000,
    forge(format_version=2),
    forge(kind="program"),
    forge(folder=".."),
    forge(folder="/etc"),
    forge(files={}),
    forge(files={"manifest.json": ENTRY, "../x": ENTRY}),
    forge(files={"manifest.json": {"bytes": -1, "sha256": HASH}}),
    forge(files={"manifest.json": {"bytes": 1, "sha256": "../../secret"}}),
    forge(files={"manifest.json": {"bytes": 1, "sha256": 5}}),
    forge(run_files={"/etc/passwd": ENTRY}),
]  # fmt: skip


@pytest.mark.parametrize("content", FORGED, ids=range(len(FORGED)))
def test_a_forged_record_is_refused(tmp_path: Path, content: bytes) -> None:
    objects = Objects(tmp_path.as_uri())
    objects.write(place(KEY, RESULT), content)
    with pytest.raises(UnusableRecordError, match=r"result\.json is not a record of gptflow: "):
        fetch_result(objects, KEY, tmp_path / "fetched")
    assert read_usable(objects, KEY, RESULT) is None
    assert not (tmp_path / "fetched").exists()


def test_a_record_of_another_artifact_is_refused(tmp_path: Path) -> None:
    objects = Objects(tmp_path.as_uri())
    publish_result(objects, KEY, make(tmp_path))
    file = tmp_path / "stages" / KEY / RESULT
    content = json.loads(file.read_text())
    content["record"]["artifacts"][0]["fingerprint"] = "of another"
    file.write_text(json.dumps(content))
    with pytest.raises(DataError, match="has a record of another artifact"):
        fetch_result(objects, KEY, tmp_path / "fetched")
    assert not (tmp_path / "fetched").exists()


def test_what_does_not_fit_is_not_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    objects = Objects(tmp_path.as_uri())
    publish_result(objects, KEY, make(tmp_path))
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 100}))
    with pytest.raises(DataError, match=r"are to be fetched, 100 are free; free some space"):
        fetch_result(objects, KEY, tmp_path / "fetched")
