"""A path holds complete content, safely on disk, or nothing."""

import errno
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from gpt_core.errors import DataError
from gpt_core.files import (
    atomic_directory,
    atomic_write,
    atomic_write_text,
    canonical_json,
    copy_directory,
    disk_errors,
    is_disk_full,
    read_json,
    sha256_file,
    write_json,
)


def test_a_finished_write_replaces_the_old_file(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "file.txt"
    for text in ("first", "سلام\n"):
        with atomic_write_text(file) as opened:
            opened.write(text)
    assert file.read_bytes() == "سلام\n".encode()
    assert [path.name for path in file.parent.iterdir()] == ["file.txt"]


def test_an_interrupted_write_keeps_the_old_file_and_leaves_no_other(tmp_path: Path) -> None:
    file = tmp_path / "file.txt"
    file.write_text("old")
    with pytest.raises(RuntimeError, match="stop"), atomic_write_text(file) as opened:
        opened.write("new")
        raise RuntimeError("stop")
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_a_directory_appears_complete_or_not_at_all(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt), atomic_directory(out) as directory:
        (directory / "half").write_text("half")
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []
    for text in ("one", "two"):
        with atomic_directory(out) as directory:
            (directory / "file").write_text(text)
            assert not (out / "file").exists() or (out / "file").read_text() == "one"
    assert (out / "file").read_text() == "two"
    assert list(tmp_path.iterdir()) == [out]


def test_sha256_is_the_published_one(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")  # FIPS 180-2, appendix B.1
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256_file(tmp_path / "abc") == expected


def test_json_round_trips(tmp_path: Path) -> None:
    value = {"b": [1, 2.5, None], "a": "سلام"}
    write_json(tmp_path / "value.json", value)
    assert read_json(tmp_path / "value.json") == value
    assert canonical_json(value) == '{"a":"سلام","b":[1,2.5,null]}'


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "does not exist"),
        (b"\xff\xfe", "is not UTF-8 text: byte 0"),
        (b'{"a": 1,\n oops}', "is not valid JSON: line 2"),
    ],
)
def test_unreadable_json_is_one_sentence(
    tmp_path: Path, content: bytes | None, sentence: str
) -> None:
    file = tmp_path / "file.json"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(DataError, match=sentence):
        read_json(file)


class Disk:
    """Records what reaches the disk, and in which order, through os.fsync and the renames."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[tuple[str, str]] = []
        fsync, replace, rename = os.fsync, Path.replace, Path.rename

        def recorded_fsync(handle: int) -> None:
            self.calls.append(("sync", str(Path(f"/proc/self/fd/{handle}").readlink())))
            fsync(handle)

        def recorded_replace(path: Path, target: Path) -> Path:
            self.calls.append(("rename", str(target)))
            return replace(path, target)

        def recorded_rename(path: Path, target: Path) -> Path:
            self.calls.append(("rename", str(target)))
            return rename(path, target)

        monkeypatch.setattr(os, "fsync", recorded_fsync)
        monkeypatch.setattr(Path, "replace", recorded_replace)
        monkeypatch.setattr(Path, "rename", recorded_rename)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    if not Path("/proc/self/fd").is_dir():
        pytest.skip("this system does not tell a descriptor's path")
    return Disk(monkeypatch)


def test_a_file_is_synced_before_its_rename_and_the_directory_after(
    tmp_path: Path, disk: Disk
) -> None:
    with atomic_write(tmp_path / "file") as opened:
        opened.write(b"content")
    (synced, file), renamed, after = disk.calls
    assert synced == "sync"
    assert Path(file).parent == tmp_path
    assert file.endswith(".part")
    assert renamed == ("rename", str(tmp_path / "file"))
    assert after == ("sync", str(tmp_path))


def test_buffered_bytes_are_flushed_before_the_file_is_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    fsync = os.fsync

    def recorded(handle: int) -> None:
        sizes.append(os.fstat(handle).st_size)
        fsync(handle)

    monkeypatch.setattr(os, "fsync", recorded)
    with atomic_write_text(tmp_path / "text") as text:
        text.write("content")
    with atomic_write(tmp_path / "bytes") as binary:
        binary.write(b"content")
    of_files = sizes[::2]  # after each, its directory is synced
    assert of_files == [len("content")] * 2


def test_a_directory_is_synced_with_its_files_before_its_rename_and_its_parent_after(
    tmp_path: Path, disk: Disk
) -> None:
    with atomic_directory(tmp_path / "out") as directory:
        (directory / "deep").mkdir()
        (directory / "deep" / "file").write_text("text")
    *before, renamed, after = disk.calls
    expected = {directory, directory / "deep", directory / "deep" / "file"}
    assert {Path(path) for kind, path in before if kind == "sync"} == expected
    assert len(before) == len(expected)
    assert renamed == ("rename", str(tmp_path / "out"))
    assert after == ("sync", str(tmp_path))


def test_a_directory_is_replaced_when_the_new_one_is_on_disk(tmp_path: Path, disk: Disk) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old").touch()
    with atomic_directory(tmp_path / "out") as directory:
        (directory / "file").write_text("text")
    synced = [Path(path) for kind, path in disk.calls if kind == "sync"]
    assert synced == [directory / "file", directory, tmp_path]
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "file"]


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_finished_files_and_directories_have_the_usual_permissions(
    tmp_path: Path, umask: int
) -> None:
    before = os.umask(umask)
    try:
        with atomic_directory(tmp_path / "out") as directory, atomic_write(directory / "file"):
            pass
    finally:
        assert os.umask(before) == umask
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o777 & ~umask
    assert (tmp_path / "out" / "file").stat().st_mode & 0o777 == 0o666 & ~umask


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        (errno.ENOSPC, "place cannot be written: No space left on device; free some space"),
        (errno.EDQUOT, "place cannot be written: Disk quota exceeded; free some space"),
        (errno.EACCES, "place cannot be written: Permission denied"),
        (errno.EROFS, "place cannot be written: Read-only file system"),
        (errno.EIO, "place cannot be written: Input/output error"),
    ],
)
def test_what_the_disk_refuses_is_one_sentence(number: int, sentence: str) -> None:
    with pytest.raises(DataError) as caught, disk_errors(Path("place")):
        raise OSError(number, os.strerror(number))
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    "sentence", ["database or disk is full", "[Errno 28] No space left on device"]
)
def test_a_full_disk_is_found_behind_the_errors_of_libraries(sentence: str) -> None:
    try:
        try:
            raise OSError(errno.ENOSPC, "full")
        except OSError as error:
            raise RuntimeError("unexpected position") from error
    except RuntimeError as error:
        assert is_disk_full(error)
    assert is_disk_full(ValueError(f"(OperationalError) {sentence}"))
    assert not is_disk_full(ValueError("full"))


def test_a_disk_error_names_the_other_file_and_gives_advice() -> None:
    with pytest.raises(DataError) as caught, disk_errors(Path("place"), "try again"):
        raise PermissionError(errno.EACCES, "Permission denied", "place/file")
    expected = "place cannot be written: Permission denied (place/file); try again"
    assert str(caught.value) == expected
    with pytest.raises(DataError, match="device; try again"), disk_errors(Path("p"), "try again"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_missing_file_is_a_disk_error_only_if_it_is_the_one_to_write(tmp_path: Path) -> None:
    path = tmp_path / "gone" / "file"
    with pytest.raises(DataError, match="cannot be written: No such file"), disk_errors(path):
        path.open("a")
    with pytest.raises(FileNotFoundError), disk_errors(tmp_path):
        path.read_text()


def test_an_error_of_the_network_is_not_a_disk_error(tmp_path: Path) -> None:
    with pytest.raises(ConnectionResetError), disk_errors(tmp_path):
        raise ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")


@pytest.mark.parametrize("write", [atomic_write, atomic_directory])
def test_nothing_is_written_into_a_file_as_if_it_were_a_directory(
    tmp_path: Path, write: Callable[[Path], AbstractContextManager[object]]
) -> None:
    (tmp_path / "file").write_text("not a directory")
    out = tmp_path / "file" / "out"
    with pytest.raises(DataError, match="cannot be written: "), disk_errors(out), write(out):
        pass


def test_a_copied_directory_has_every_file_and_the_error_of_one_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "from" / "deep").mkdir(parents=True)
    (tmp_path / "from" / "deep" / "a").write_bytes(b"1")
    (tmp_path / "from" / "b").write_bytes(b"22")
    copy_directory(tmp_path / "from", tmp_path / "to")
    copied = {p.relative_to(tmp_path / "to").as_posix() for p in (tmp_path / "to").rglob("*")}
    assert copied == {"deep", "deep/a", "b"}
    assert (tmp_path / "to" / "deep" / "a").read_bytes() == b"1"

    def full(source: Path, target: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(source), None, str(target))

    monkeypatch.setattr("shutil.copyfile", full)
    with (
        pytest.raises(DataError, match="free some space"),
        disk_errors(tmp_path / "third"),
    ):
        copy_directory(tmp_path / "from", tmp_path / "third")
