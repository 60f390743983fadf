"""Sources are fingerprinted by their content, and later changes are detected."""

import os
from pathlib import Path, PurePath

import pytest

from gpt_core.config import ReadingConfig
from gpt_core.errors import DataError
from gpt_core.text import read_texts, register_source, source_files, source_path
from gpt_core.text.sources import is_hidden


def test_the_fingerprint_of_a_source_depends_on_content_not_location(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.txt").write_text("text")
    one = register_source(tmp_path / "one" / "a.txt", tmp_path / "one-raw")
    two = register_source(tmp_path / "two" / "a.txt", tmp_path / "two-raw")
    assert one.fingerprint == two.fingerprint
    assert source_path(one) == tmp_path / "one" / "a.txt"
    (tmp_path / "two" / "a.txt").write_text("tex!")
    changed = register_source(tmp_path / "two" / "a.txt", tmp_path / "two-raw")
    assert changed.fingerprint != one.fingerprint
    assert changed.manifest().info_int("bytes") == 4


def test_a_change_since_registration_is_detected(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "a.txt").write_text("text")
    raw = register_source(source, tmp_path / "raw", name="mine")
    assert raw.manifest().info_str("name") == "mine"
    (source / "b.txt").write_text("new")
    with pytest.raises(DataError, match=r"b.txt has changed since it was recorded"):
        source_path(raw)
    (source / "b.txt").unlink()
    assert source_path(raw) == source
    (source / "a.txt").write_text("longer text")
    with pytest.raises(DataError, match=r"a.txt has changed since it was recorded"):
        source_path(raw)
    (source / "a.txt").unlink()
    source.rmdir()
    with pytest.raises(DataError, match="is gone since it was recorded"):
        source_path(raw)


@pytest.mark.parametrize(("make", "sentence"), [(None, "does not exist"), (b"", "is empty")])
def test_a_missing_or_empty_source_leaves_no_artifact(
    tmp_path: Path, make: bytes | None, sentence: str
) -> None:
    if make is not None:
        (tmp_path / "a.txt").write_bytes(make)
    with pytest.raises(DataError, match=sentence):
        register_source(tmp_path / "a.txt", tmp_path / "raw")
    assert not (tmp_path / "raw").exists()


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "source" / ".git").mkdir(parents=True)
    (tmp_path / "source" / ".git" / "config").write_text("hidden")
    with pytest.raises(DataError, match="source is empty"):
        register_source(tmp_path / "source", tmp_path / "raw")


def test_a_file_name_that_is_not_unicode_is_refused(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.txt")
    try:
        (tmp_path / name).write_text("text")
    except OSError:
        pytest.skip("this file system has only Unicode names")
    with pytest.raises(DataError, match="is not UTF-8: rename the file"):
        source_files(tmp_path)


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs a file that cannot be read")
def test_a_file_without_read_access_raises_a_one_line_error(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "a.txt").write_text("text")
    (tmp_path / "source" / "b.txt").symlink_to("/proc/self/mem")
    with pytest.raises(DataError, match=r"b.txt cannot be read: "):
        register_source(tmp_path / "source", tmp_path / "raw")


def test_the_fingerprint_includes_the_companion_file(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    alone = register_source(tmp_path / "a.txt", tmp_path / "raw", companion="a.tsv")
    (tmp_path / "a.tsv").write_text("0\t2\n")
    one = register_source(tmp_path / "a.txt", tmp_path / "raw", companion="a.tsv")
    (tmp_path / "a.tsv").write_text("0\t4\n")
    other = register_source(tmp_path / "a.txt", tmp_path / "raw", companion="a.tsv")
    assert len({alone.fingerprint, one.fingerprint, other.fingerprint}) == 3
    assert source_path(other) == tmp_path / "a.txt"


def test_a_companion_next_to_a_folder_is_not_part_of_it(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "a.txt").write_text("text")
    alone = register_source(tmp_path / "source", tmp_path / "raw", companion="a.tsv")
    (tmp_path / "a.tsv").write_text("0\t2\n")
    again = register_source(tmp_path / "source", tmp_path / "raw", companion="a.tsv")
    assert again.fingerprint == alone.fingerprint


@pytest.mark.parametrize(
    ("path", "hidden"),
    [("a/b.txt", False), (".git/a.txt", True), ("a/.b", True), ("../a.txt", False), ("a.", False)],
)
def test_a_path_is_hidden_by_a_part_that_begins_with_a_dot(path: str, hidden: bool) -> None:
    assert is_hidden(PurePath(path)) == hidden


def test_files_behind_a_link_to_a_folder_are_read(tmp_path: Path) -> None:
    for name in ("source", "elsewhere/deeper"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "source" / "a.txt").write_text("a")
    (tmp_path / "elsewhere" / "b.txt").write_text("b")
    (tmp_path / "elsewhere" / "deeper" / "c.txt").write_text("c")
    (tmp_path / "source" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "source" / "z.txt").symlink_to(tmp_path / "elsewhere" / "b.txt")
    found = [
        f.relative_to(tmp_path / "source").as_posix() for f in source_files(tmp_path / "source")
    ]
    assert found == ["a.txt", "linked/b.txt", "linked/deeper/c.txt", "z.txt"]
    (tmp_path / "top").symlink_to(tmp_path / "source")
    assert len(source_files(tmp_path / "top")) == 4
    raw = register_source(tmp_path / "source", tmp_path / "raw")
    (tmp_path / "elsewhere" / "deeper" / "c.txt").write_text("longer")
    with pytest.raises(DataError, match=r"linked/deeper/c.txt has changed"):
        source_path(raw)


def test_a_folder_that_several_paths_lead_to_is_read_once(tmp_path: Path) -> None:
    (tmp_path / "source" / "inner").mkdir(parents=True)
    (tmp_path / "source" / "inner" / "a.txt").write_text("a")
    (tmp_path / "source" / "a_link").symlink_to("inner")
    (tmp_path / "source" / "inner" / "up").symlink_to("..")
    (tmp_path / "source" / "inner" / "self").symlink_to(".")
    files = source_files(tmp_path / "source")
    assert [f.relative_to(tmp_path / "source").as_posix() for f in files] == ["inner/a.txt"]


def test_hidden_links_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "a.txt").write_text("a")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "b.txt").write_text("b")
    (tmp_path / "source" / ".linked").symlink_to(tmp_path / "other")
    assert [file.name for file in source_files(tmp_path / "source")] == ["a.txt"]


def test_a_link_to_nothing_in_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    for target in ("nowhere", "b.txt"):
        (tmp_path / "b.txt").unlink(missing_ok=True)
        (tmp_path / "b.txt").symlink_to(target)
        with pytest.raises(DataError, match=r"b.txt is a link to nothing: take it out of the"):
            source_files(tmp_path)


@pytest.fixture
def library(tmp_path: Path) -> Path:
    for name in ("10.txt", "2.txt", "old/3.txt", "old/new/4.jsonl", "old/.git/5.txt", ".6.txt"):
        (tmp_path / "library" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "library" / name).write_text(f'"{name}"')
    return tmp_path / "library"


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("*.txt", ["10.txt", "2.txt"]),
        ("**/*.txt", ["10.txt", "2.txt", "old/3.txt"]),
        ("**", ["10.txt", "2.txt", "old/3.txt", "old/new/4.jsonl"]),
        ("*", ["10.txt", "2.txt", "old/3.txt", "old/new/4.jsonl"]),
        ("[2-9]*", ["2.txt"]),
        ("o?d/*/*.jsonl", ["old/new/4.jsonl"]),
    ],
)
def test_a_pattern_names_files_in_the_order_of_their_bytes(
    library: Path, pattern: str, names: list[str], tmp_path: Path
) -> None:
    read = list(read_texts(library / pattern, ReadingConfig()))
    base = "old/" if pattern.startswith("old") else ""
    assert [name.partition("#")[0] for name, _ in read] == [n.removeprefix(base) for n in names]
    raw = register_source(library / pattern, tmp_path / "raw")
    assert source_path(raw) == library / pattern
    assert list(raw.manifest().info["sha256"]) == names


def test_a_pattern_that_matches_nothing_is_one_sentence(library: Path) -> None:
    with pytest.raises(DataError, match=r"no file matches .*\*.csv: the signs are \* for a part"):
        source_files(library / "*.csv")


def test_a_file_with_the_signs_of_a_pattern_in_its_name_is_that_file(tmp_path: Path) -> None:
    (tmp_path / "a[1].txt").write_text("text")
    (tmp_path / "a1.txt").write_text("other")
    assert source_files(tmp_path / "a[1].txt") == [tmp_path / "a[1].txt"]


def test_a_file_that_appears_for_a_pattern_is_detected(library: Path, tmp_path: Path) -> None:
    raw = register_source(library / "*.txt", tmp_path / "raw")
    (library / "7.csv").write_text("text")
    assert source_path(raw) == library / "*.txt"
    (library / "7.txt").write_text("new")
    with pytest.raises(DataError, match=r"7.txt has changed since it was recorded"):
        source_path(raw)


def test_new_content_of_the_same_size_is_detected_and_a_new_date_alone_is_not(
    library: Path, tmp_path: Path
) -> None:
    raw = register_source(library, tmp_path / "raw")
    os.utime(library / "2.txt", (1, 1))
    assert source_path(raw) == library
    (library / "2.txt").write_text('"3.txt"')
    with pytest.raises(DataError, match=r"2.txt has changed since it was recorded"):
        source_path(raw)


def test_a_table_next_to_the_files_of_a_pattern_counts(library: Path, tmp_path: Path) -> None:
    (library / "old" / "cuts.tsv").write_text("char_offset\tchar_length\n0\t3\n")
    one = register_source(library / "**/*.txt", tmp_path / "one", companion="cuts.tsv")
    assert list(one.manifest().info["sha256"])[-1] == "beside it: old/cuts.tsv"
    (library / "old" / "cuts.tsv").write_text("char_offset\tchar_length\n0\t2\n")
    two = register_source(library / "**/*.txt", tmp_path / "two", companion="cuts.tsv")
    assert one.fingerprint != two.fingerprint
