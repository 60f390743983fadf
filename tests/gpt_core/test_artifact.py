"""An artifact records what it is, what made it and the hash of every file."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from gpt_core.artifact import (
    Artifact,
    fingerprint_of,
    new_artifact,
    read_artifact,
    to_json_value,
    verify,
)
from gpt_core.config import ShardConfig
from gpt_core.errors import DataError
from gpt_core.files import sha256_file
from gpt_core.manifest import Manifest


def make(out: Path, text: str = "text", config: object = None, seconds: float = 1.0) -> Artifact:
    with new_artifact(out, kind="documents", config=config) as draft:
        (draft.directory / "part").mkdir()
        (draft.directory / "part" / "file.txt").write_text(text)
        draft.metrics["seconds"] = seconds
        draft.info["documents"] = 3
    return draft.artifact


def test_a_finished_artifact_can_be_read_back(tmp_path: Path) -> None:
    made = make(tmp_path / "a", config=ShardConfig(workers=2))
    assert read_artifact(tmp_path / "a", "documents") == made
    verify(made)
    manifest = made.manifest()
    assert manifest.config == {"tokens_per_shard": 100_000_000, "workers": 2}
    assert manifest.files["part/file.txt"].bytes == 4
    assert made.metrics() == {"seconds": 1.0}
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_the_fingerprint_depends_on_content_and_not_on_location_or_timing(
    tmp_path: Path,
) -> None:
    first = make(tmp_path / "a")
    assert make(tmp_path / "b", seconds=9.0).fingerprint == first.fingerprint
    assert make(tmp_path / "c", text="other").fingerprint != first.fingerprint
    assert make(tmp_path / "d", config=ShardConfig()).fingerprint != first.fingerprint
    with new_artifact(tmp_path / "e", kind="shards", parents=[first]) as draft:
        pass
    assert draft.artifact.manifest().parents == {"documents:a": first.fingerprint}
    with new_artifact(tmp_path / "f", kind="shards", parents=[make(tmp_path / "c", "c")]) as other:
        pass
    assert other.artifact.fingerprint != draft.artifact.fingerprint
    assert fingerprint_of(first, 1) == fingerprint_of(first, 1) != fingerprint_of(first, 2)


def test_a_failed_stage_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="bad line"), new_artifact(tmp_path / "a", kind="shards"):
        raise DataError("bad line")
    assert list(tmp_path.iterdir()) == []


def test_an_unfinished_draft_has_no_artifact(tmp_path: Path) -> None:
    with new_artifact(tmp_path / "a", kind="shards") as draft, pytest.raises(RuntimeError):
        _ = draft.artifact


def test_an_unknown_kind_is_a_value_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="kind must be one of"), new_artifact(tmp_path, kind="x"):
        pass


def damage_kind(directory: Path) -> None:
    rewrite(directory, kind="shards")


def damage_version(directory: Path) -> None:
    rewrite(directory, format_version=99)


def damage_config(directory: Path) -> None:
    rewrite(directory, config={"altered": True})


def damage_size(directory: Path) -> None:
    (directory / "part" / "file.txt").write_text("longer text")


def damage_missing(directory: Path) -> None:
    (directory / "part" / "file.txt").unlink()


def damage_manifest(directory: Path) -> None:
    (directory / "manifest.json").unlink()


def damage_shape(directory: Path) -> None:
    (directory / "manifest.json").write_text("[]")


def damage_files(directory: Path) -> None:
    rewrite(directory, files=["part/file.txt"])


def damage_entry(directory: Path) -> None:
    rewrite(directory, files={"part/file.txt": {"bytes": 4}})


def damage_info(directory: Path) -> None:
    rewrite(directory, info=[])


def damage_keys(directory: Path) -> None:
    manifest = json.loads((directory / "manifest.json").read_text())
    del manifest["parents"]
    (directory / "manifest.json").write_text(json.dumps(manifest))


def rewrite(directory: Path, **changes: object) -> None:
    manifest = json.loads((directory / "manifest.json").read_text())
    (directory / "manifest.json").write_text(json.dumps({**manifest, **changes}))


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (damage_kind, "is a shards artifact, but a documents artifact is needed"),
        (damage_version, "has format version 99, this gptflow reads version 1"),
        (damage_config, "was altered: its fingerprint does not fit"),
        (damage_size, "has 11 bytes, 4 bytes were written"),
        (damage_missing, "is missing, 4 bytes were written"),
        (damage_manifest, "has no manifest.json"),
        (damage_shape, "is not a manifest of gptflow"),
        (damage_files, "is not a manifest of gptflow"),
        (damage_entry, "is not a manifest of gptflow"),
        (damage_info, "is not a manifest of gptflow"),
        (damage_keys, "is not a manifest of gptflow"),
    ],
)
def test_a_damaged_artifact_is_refused(tmp_path: Path, damage, sentence: str) -> None:
    made = make(tmp_path / "a")
    damage(made.directory)
    with pytest.raises(DataError, match=sentence):
        read_artifact(made.directory, "documents")


def test_a_missing_artifact_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not a directory"):
        read_artifact(tmp_path / "nothing", "shards")


@pytest.mark.parametrize("name", ["first.txt", "part/middle.txt", "z.txt"])
def test_verify_finds_a_flipped_byte_in_any_file(tmp_path: Path, name: str) -> None:
    with new_artifact(tmp_path / "a", kind="documents") as draft:
        (draft.directory / "part").mkdir()
        for each in ("first.txt", "part/middle.txt", "z.txt"):
            (draft.directory / each).write_text("text")
    made = draft.artifact
    (made.directory / name).write_text("tixt")
    with pytest.raises(DataError, match=rf"{name} was altered"):
        verify(made)
    verify(made, skip=[name])


def test_checksums_that_are_given_are_recorded_and_the_others_computed(tmp_path: Path) -> None:
    with new_artifact(tmp_path / "a", kind="shards") as draft:
        for name in ("given", "computed"):
            (draft.directory / name).write_text(name)
        draft.checksums["given"] = "0" * 64
    files = draft.artifact.manifest().files
    assert files["given"].sha256 == "0" * 64
    assert files["computed"].sha256 == sha256_file(draft.artifact.directory / "computed")


def test_the_manifest_on_disk_keeps_its_bytes(tmp_path: Path) -> None:
    """The file and the fingerprint as commit 2469c4f wrote them: old artifacts stay valid."""
    with new_artifact(tmp_path / "first", kind="raw") as raw:
        (raw.directory / "a.txt").write_text("a")
    config = (ShardConfig(workers=2), {"x": (1, Path("p"))})
    with new_artifact(
        tmp_path / "second", kind="documents", config=config, parents=[raw.artifact]
    ) as draft:
        (draft.directory / "part").mkdir()
        (draft.directory / "part" / "file.txt").write_text("text")
        draft.metrics["seconds"] = 1.5
        draft.info |= {"documents": 3, "splits": {"train": {"n": 2}}, "labels": ["a"]}
    assert draft.artifact.fingerprint == "e8624ccef3669c56c2644c3dd74b9493"
    expected = "92d7e811e40e366b515459a81eaf80a521a1bb7c90b2c0666cd4ae0146d90190"
    assert sha256_file(tmp_path / "second" / "manifest.json") == expected


def test_the_manifest_is_frozen_and_its_values_are_typed(tmp_path: Path) -> None:
    with new_artifact(tmp_path / "a", kind="shards", config={"a": {"n": 2}, "b": ["x"]}) as draft:
        draft.info |= {"step": 3, "ended": False, "kind": "gpt", "n_tokens": {"train": 7}}
    manifest = draft.artifact.manifest()
    assert manifest.info_int("step") == 3
    assert manifest.info_int("n_tokens", "train") == 7
    assert manifest.info_bool("ended") is False
    assert manifest.info_str("kind") == "gpt"
    assert manifest.config_int("a", "n") == 2
    assert manifest.config_strings("b") == ["x"]
    with pytest.raises(dataclasses.FrozenInstanceError):
        manifest.kind = "raw"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("read", "sentence"),
    [
        (lambda manifest: manifest.info_int("other"), "have int at info.other, got None"),
        (lambda manifest: manifest.info_int("ended"), "have int at info.ended, got False"),
        (lambda manifest: manifest.info_str("step"), "have str at info.step, got 3"),
        (lambda manifest: manifest.info_int("step", "deep"), "have int at info.step.deep"),
        (lambda manifest: manifest.config_int("a"), "have int at config.a, got None"),
    ],
)
def test_a_value_missing_from_the_manifest_is_one_sentence(
    tmp_path: Path, read: Callable[[Manifest], object], sentence: str
) -> None:
    with new_artifact(tmp_path / "a", kind="shards") as draft:
        draft.info |= {"step": 3, "ended": False}
    with pytest.raises(DataError, match=sentence):
        read(draft.artifact.manifest())


def test_an_unwritable_directory_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(DataError, match="cannot be written"):
        make(tmp_path / "file" / "out")


def test_a_full_disk_is_one_sentence(tmp_path: Path) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    with (
        pytest.raises(DataError, match="No space left on device; free some space"),
        new_artifact(tmp_path / "out", kind="shards"),
        full.open("w") as file,
    ):
        file.write("text")
        file.flush()
    assert list(tmp_path.iterdir()) == []


def test_to_json_value_turns_configurations_into_json_values() -> None:
    @dataclasses.dataclass
    class Outer:
        inner: ShardConfig
        names: tuple[str, ...]
        place: Path

    outer = Outer(ShardConfig(), ("a",), Path("b"))
    assert to_json_value(outer) == {
        "inner": {"tokens_per_shard": 100_000_000, "workers": 0},
        "names": ["a"],
        "place": "b",
    }
    assert to_json_value({1: ShardConfig(workers=1)}) == {
        "1": {"tokens_per_shard": 100_000_000, "workers": 1}
    }
