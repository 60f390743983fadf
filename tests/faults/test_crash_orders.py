"""After a crash a reader finds the old or the new content, complete, whatever reached the disk."""

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from disk_model import Disk

from gpt_core import durable
from gpt_core.artifact import Artifact, new_artifact, read_artifact, verify
from gpt_core.config import GPTConfig, PretrainConfig
from gpt_core.files import atomic_directory, atomic_write
from gpt_core.models import build_model, weights_of
from gpt_core.training.checkpoint import Snapshot, latest_checkpoint, prune, save_checkpoint

Count = Callable[[str, int], None]
KIND = "orders of system calls after a crash"


@pytest.fixture(autouse=True)
def linux() -> None:
    if not Path("/proc/self/fd").is_dir():
        pytest.skip("this system does not tell a descriptor's path")


def check_orders(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, write: Callable[[Path], object],
    read: Callable[[Path], object], allowed: set[object], final: object,
) -> int:  # fmt: skip
    """Crash at every call of a write, in every order; return the number of different ends."""
    folder, crashed = tmp_path / "disk", tmp_path / "crashed"
    folder.mkdir(exist_ok=True)
    disk = Disk(folder)
    disk.record(monkeypatch, lambda: write(folder))
    assert read(folder) == final
    assert disk.crashes[-1].returned
    seen: set[tuple[object, ...]] = set()
    for crash in disk.crashes:
        for state in disk.states(crash, random.Random(7)):
            key = (crash.returned, *sorted(state.items()))
            if key in seen:
                continue
            seen.add(key)
            build(crashed, state)
            found = read(crashed)
            assert found in allowed, f"{found!r} is neither old nor new: {sorted(state)}"
            assert found == final or not crash.returned, f"{found!r} after the write returned"
    return len(seen)


def build(folder: Path, state: dict[Path, bytes | None]) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for path, content in sorted(state.items()):
        if content is None:
            (folder / path).mkdir()
        else:
            (folder / path).write_bytes(content)


def file_of(folder: Path) -> bytes | None:
    return (folder / "file").read_bytes() if (folder / "file").is_file() else None


def tree_of(folder: Path) -> tuple[tuple[str, str], ...] | None:
    out = folder / "out"
    files = sorted(path for path in out.rglob("*") if path.is_file())
    found = tuple((path.relative_to(out).as_posix(), path.read_text()) for path in files)
    return found if out.is_dir() else None


def write_file(folder: Path) -> None:
    with atomic_write(folder / "file") as file:
        file.write(b"new content")


def write_tree(folder: Path) -> None:
    with atomic_directory(folder / "out") as directory:
        (directory / "deep").mkdir()
        (directory / "deep" / "one").write_text("new 1")
        (directory / "two").write_text("new 2")


NEW_TREE = (("deep/one", "new 1"), ("two", "new 2"))


@pytest.mark.parametrize("old", [None, b"old content"], ids=["first", "replaced"])
def test_a_file_is_the_old_or_the_new_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, count: Count, old: bytes | None
) -> None:
    (tmp_path / "disk").mkdir()
    if old is not None:
        (tmp_path / "disk" / "file").write_bytes(old)
    new = b"new content"
    count(KIND, check_orders(monkeypatch, tmp_path, write_file, file_of, {old, new}, new))


@pytest.mark.parametrize("replaced", [False, True], ids=["first", "replaced"])
def test_a_directory_is_the_old_or_the_new_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, count: Count, replaced: bool
) -> None:
    old = (("deep/one", "old 1"), ("three", "old 3")) if replaced else None
    for name, text in old or ():
        file = tmp_path / "disk" / "out" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    count(KIND, check_orders(monkeypatch, tmp_path, write_tree, tree_of, {old, NEW_TREE}, NEW_TREE))


def test_the_model_finds_what_is_wrong_without_the_syncs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "file").write_bytes(b"old")
    with pytest.raises(AssertionError, match="after the write returned"):
        check_orders(
            monkeypatch, tmp_path, lambda folder: write_unsynced(folder / "file"), file_of,
            {b"old", b"new content"}, b"new content",
        )  # fmt: skip
    shutil.rmtree(tmp_path / "disk")
    (tmp_path / "disk" / "out").mkdir(parents=True)
    (tmp_path / "disk" / "out" / "old").write_text("old")
    monkeypatch.setattr(durable, "_exchange", lambda *paths: False)
    with pytest.raises(AssertionError, match="neither old nor new"):
        check_orders(
            monkeypatch, tmp_path, write_tree, tree_of, {(("old", "old"),), NEW_TREE}, NEW_TREE
        )


def write_unsynced(path: Path) -> None:
    temporary = path.with_suffix(".part")
    temporary.write_bytes(b"new content")
    temporary.replace(path)


def test_an_artifact_is_the_old_or_the_new_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, count: Count
) -> None:
    def write(folder: Path, text: str = "new") -> None:
        with new_artifact(folder / "made", kind="report") as draft:
            (draft.directory / "report.json").write_text(text)

    def read(folder: Path) -> str:
        verify(read_artifact(folder / "made"))
        return (folder / "made" / "report.json").read_text()

    write(tmp_path / "disk", "old")
    count(KIND, check_orders(monkeypatch, tmp_path, write, read, {"old", "new"}, "new"))


def test_a_run_has_its_last_or_its_new_checkpoint(
    monkeypatch: pytest.MonkeyPatch, sample_shards: Artifact, tmp_path: Path, count: Count
) -> None:
    config = PretrainConfig(
        model=GPTConfig(n_layer=1, n_head=1, n_embd=2, context_length=2, vocab_size=257)
    )

    def save(folder: Path, step: int = 4) -> None:
        snapshot = Snapshot(
            step=step, weights=weights_of(build_model(config.model, seed=step)),
            state={"step": step}, config=config, parents=[sample_shards], metrics={},
        )  # fmt: skip
        save_checkpoint(folder, snapshot)
        prune(folder, keep_last=1)

    def read(folder: Path) -> int:
        checkpoint, _ = latest_checkpoint(folder)
        return 0 if checkpoint is None else checkpoint.manifest().info_int("step")

    (tmp_path / "disk").mkdir()
    save(tmp_path / "disk", 2)
    count(KIND, check_orders(monkeypatch, tmp_path, save, read, {2, 4}, 4))
