"""Labelled texts that are no table: lines that begin with a label, and folders of texts.

``label text``        the label is what stands before the first space of a line
``__label__x text``   fastText's form
a folder              a file for each label, each line a text; or a folder for each, each file one
"""

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Literal

from gpt_core.errors import DataError
from gpt_core.object_paths import Location, relative_path
from gpt_core.text.records import file_errors
from gpt_core.text.sources import source_files
from gpt_core.text.streams import BoundedText, open_text

LineFormat = Literal["fasttext", "label-text"]
LabelledText = tuple[str, str, str]
"""The place of a text in its source, its label, and the text."""

_PREFIX = "__label__"
_SNIFFED_LINES = 100
_FEW_LINES = 10  # of which each may have its own label


def sniff_lines(path: Location, encoding: str, setting: str) -> LineFormat | None:
    """Which form of labelled lines a text file has; None if it has none, but tabs.

    Args:
        path: The file.
        encoding: Its encoding, see ``open_text``.
        setting: The setting that names the encoding, for errors.

    Raises:
        DataError: If the file cannot be read.
    """
    with _opened(path, encoding, setting) as text:
        lines = [line.strip() for line in islice(text, _SNIFFED_LINES) if line.strip()]
    if lines and lines[0].startswith(_PREFIX):
        return "fasttext"
    spaced = all(" " in line and "\t" not in line for line in lines)
    return "label-text" if lines and spaced else None


def read_lines(
    path: Location, form: LineFormat, encoding: str, setting: str
) -> Iterator[LabelledText]:
    """Stream the labelled texts of lines; blank lines are skipped.

    Raises:
        DataError: If the file cannot be read, a fastText line has no label or several, or the lines
            of ``label text`` hardly ever begin with the same word.
    """
    labels = Counter[str]()
    with _opened(path, encoding, setting) as text:
        for number, line in enumerate(text, start=1):
            if not line.strip():
                continue
            label, _, rest = re.sub(r"^\s+", "", line).rstrip("\n").partition(" ")
            if form == "fasttext":
                label = _fasttext_label(label, rest, f"{path}, line {number}")
            labels[label] += 1
            yield f"line {number}", label, rest
    total = labels.total()
    if total > _FEW_LINES and len(labels) > total / 2:
        raise DataError(
            f"{path} has no tabs, so that each line was read as a label, a space and a text, but "
            f"its {total:,} lines begin with {len(labels):,} different words, such as "
            f"{next(iter(labels))!r:.40}: give a table, or a line for each text that begins with "
            "its label"
        )


def _fasttext_label(label: str, rest: str, where: str) -> str:
    if not label.startswith(_PREFIX) or label == _PREFIX:
        raise DataError(f"{where} does not begin with {_PREFIX} and a label, as others do")
    if rest.lstrip().startswith(_PREFIX):
        raise DataError(f"{where} has several labels: a text has one here")
    return label.removeprefix(_PREFIX)


def read_folder(folder: Location, encoding: str, setting: str) -> Iterator[LabelledText]:
    """Stream the labelled texts of a folder with a file or a folder for each label.

    A file's label is its name without the suffix, or the suffix where all names are the same, as of
    ``rt-polarity.pos`` and ``rt-polarity.neg``. Hidden files are not read.

    Raises:
        DataError: If the folder has both files and folders, or a file cannot be read.
    """
    files = source_files(folder)
    nested = [file for file in files if file.parent != folder]
    if nested and len(nested) < len(files):
        loose = next(file for file in files if file.parent == folder)
        raise DataError(
            f"{folder} has folders, each with the texts of a label, but also the file "
            f"{loose.name!r}: take it out, or give a file"
        )
    if nested:
        for file in nested:
            relative = relative_path(file, folder)
            yield str(relative), relative.parts[0], _read_whole(file, encoding, setting)
        return
    for file, label in _labels_of_files(files).items():
        with _opened(file, encoding, setting) as text:
            for number, line in enumerate(text, start=1):
                if line.strip():
                    yield f"{file.name}, line {number}", label, line.rstrip("\n")


def _labels_of_files(files: list[Location]) -> dict[Location, str]:
    """The label of each file of a folder without folders."""
    stems, suffixes = ({name(file) for file in files} for name in (_stem, _suffix))
    if len(stems) == len(files):
        return {file: _stem(file) for file in files}
    if len(suffixes) == len(files) and len(stems) == 1:
        return {file: _suffix(file) for file in files}
    twice = Counter(map(_stem, files)).most_common(1)[0][0]
    raise DataError(
        f"{files[0].parent} has several files named {twice!r}: of a folder of labels each file "
        "has a name of its own, which is the label, or all differ in their suffixes alone"
    )


def _stem(file: Location) -> str:
    return file.stem


def _suffix(file: Location) -> str:
    return file.suffix.removeprefix(".")


def _read_whole(file: Location, encoding: str, setting: str) -> str:
    with _opened(file, encoding, setting) as text:
        return text.read_all()


@contextmanager
def _opened(path: Location, encoding: str, setting: str) -> Iterator[BoundedText]:
    with (
        file_errors(path),
        path.open("rb") as stream,
        open_text(stream, str(path), encoding, setting=setting) as text,
    ):
        yield text
