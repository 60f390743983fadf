"""A manifest may be forged: its values are checked, and its files are inside the directory."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from gpt_core.artifact import Artifact, _fingerprint, new_artifact, read_artifact, verify
from gpt_core.errors import DataError
from gpt_core.manifest import read_manifest


@pytest.fixture
def made(tmp_path: Path) -> Artifact:
    with new_artifact(tmp_path / "made", kind="documents") as draft:
        (draft.directory / "file.txt").write_text("text")
        draft.info["documents"] = 3
        draft.metrics["seconds"] = 1.5
    return draft.artifact


def forge(artifact: Artifact, change: Callable[[dict], object]) -> None:
    file = artifact.directory / "manifest.json"
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.pop("info"), "is not a manifest"),
        (lambda m: m.pop("files"), "is not a manifest"),
        (lambda m: m["files"]["file.txt"].pop("sha256"), "is not a manifest"),
        (lambda m: m["files"]["file.txt"].update(bytes="4"), "are not a number and a text"),
        (lambda m: m["files"].update({"../a": m["files"]["file.txt"]}), "leads out"),
        (lambda m: m["files"].update({"/a": m["files"]["file.txt"]}), "leads out"),
        (lambda m: m["files"].update({"a\\b": m["files"]["file.txt"]}), "leads out"),
        (lambda m: m["files"].update({"a" * 300: m["files"]["file.txt"]}), "leads out"),
        (lambda m: m.update(kind="x"), "its kind must be one of"),
        (lambda m: m.update(kind=[]), "its kind must be one of"),
        (lambda m: m.update(parents={"a": 1}), "a fingerprint is not a text"),
        (lambda m: m.update(info=[]), "info is not an object"),
        (lambda m: m.update(metrics={"a": "b"}), "a metric is not a number"),
        (lambda m: m.update(metrics={"a": float("nan")}), "is not finite"),
        (lambda m: m.update(config=float("inf")), "is not finite"),
    ],
)
def test_a_forged_manifest_is_refused(
    made: Artifact, change: Callable[[dict], object], message: str
) -> None:
    forge(made, change)
    with pytest.raises(DataError, match=message):
        read_artifact(made.directory)


def test_a_repeated_key_is_refused(made: Artifact) -> None:
    file = made.directory / "manifest.json"
    file.write_text(file.read_text().replace("{", '{"kind": "raw",', 1))
    with pytest.raises(DataError, match="has the key 'kind' twice"):
        read_artifact(made.directory)


@pytest.mark.parametrize("target", ["outside.txt", "made/link.txt"])
def test_a_link_out_of_the_directory_is_refused(
    made: Artifact, tmp_path: Path, target: str
) -> None:
    (tmp_path / "outside.txt").write_text("text")
    link = made.directory / "link.txt"
    link.symlink_to(tmp_path / target)
    forge(made, lambda m: m["files"].update({"link.txt": m["files"]["file.txt"]}))
    manifest = read_manifest(made.directory)
    forge(made, lambda m: m.update(fingerprint=_fingerprint(manifest)))
    with pytest.raises(DataError, match="is a link that leads out of the artifact"):
        read_artifact(made.directory)


def test_a_link_inside_is_read(made: Artifact) -> None:
    content = made.directory / "file.txt"
    content.rename(made.directory / ".real")
    content.symlink_to(".real")
    verify(made)
    assert content.read_text() == "text"
