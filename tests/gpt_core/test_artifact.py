"""An artifact says what it is, what made it and whether it is whole."""

import dataclasses
import json
from pathlib import Path

import pytest

from gpt_core.artifact import Artifact, fingerprint_of, new_artifact, plain, read_artifact, verify
from gpt_core.config import ShardConfig
from gpt_core.errors import DataError


def make(out: Path, text: str = "text", config: object = None, seconds: float = 1.0) -> Artifact:
    with new_artifact(out, kind="documents", config=config) as draft:
        (draft.directory / "part").mkdir()
        (draft.directory / "part" / "file.txt").write_text(text)
        draft.metrics["seconds"] = seconds
        draft.info["documents"] = 3
    return draft.artifact


def test_what_was_made_can_be_read_again(tmp_path: Path) -> None:
    made = make(tmp_path / "a", config=ShardConfig(workers=2))
    assert read_artifact(tmp_path / "a", "documents") == made
    verify(made)
    manifest = made.manifest()
    assert manifest["config"] == {"tokens_per_shard": 100_000_000, "workers": 2}
    assert manifest["files"]["part/file.txt"]["bytes"] == 4
    assert made.metrics() == {"seconds": 1.0}
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_the_fingerprint_follows_the_content_and_not_the_place_or_the_timing(
    tmp_path: Path,
) -> None:
    first = make(tmp_path / "a")
    assert make(tmp_path / "b", seconds=9.0).fingerprint == first.fingerprint
    assert make(tmp_path / "c", text="other").fingerprint != first.fingerprint
    assert make(tmp_path / "d", config=ShardConfig()).fingerprint != first.fingerprint
    with new_artifact(tmp_path / "e", kind="shards", parents=[first]) as draft:
        pass
    assert draft.artifact.manifest()["parents"] == {"documents:a": first.fingerprint}
    assert fingerprint_of(first, 1) == fingerprint_of(first, 1) != fingerprint_of(first, 2)


def test_a_failed_stage_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="bad line"), new_artifact(tmp_path / "a", kind="shards"):
        raise DataError("bad line")
    assert list(tmp_path.iterdir()) == []


def test_an_unfinished_draft_has_no_artifact(tmp_path: Path) -> None:
    with new_artifact(tmp_path / "a", kind="shards") as draft, pytest.raises(RuntimeError):
        _ = draft.artifact


def test_an_unknown_kind_is_our_mistake(tmp_path: Path) -> None:
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


def test_a_flipped_byte_is_found(tmp_path: Path) -> None:
    made = make(tmp_path / "a")
    (made.directory / "part" / "file.txt").write_text("tixt")
    with pytest.raises(DataError, match=r"file\.txt was altered"):
        verify(made)


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
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


def test_plain_turns_configurations_into_json_values() -> None:
    @dataclasses.dataclass
    class Outer:
        inner: ShardConfig
        names: tuple[str, ...]
        place: Path

    outer = Outer(ShardConfig(), ("a",), Path("b"))
    assert plain(outer) == {
        "inner": {"tokens_per_shard": 100_000_000, "workers": 0},
        "names": ["a"],
        "place": "b",
    }
    assert plain({1: ShardConfig(workers=1)}) == {
        "1": {"tokens_per_shard": 100_000_000, "workers": 1}
    }
