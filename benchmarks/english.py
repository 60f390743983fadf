"""Make the text of the preset ``english``: novels, Shakespeare, reviews and instructions.

Run from the checkout: ``python -m benchmarks.english FOLDER [FILE]``. The folder has the files
below, at any depth; without a file the text is written to where the source ``english`` is looked
for. Texts that nearly equal one of the held-out files are left out and counted: the dev
and test sentences of SST-2, and the 1,100 instructions, of which a fine-tune holds a part back. The
SMS messages are in no form in it, because each seed of a fine-tune draws another test part.
"""

import csv
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.report import ROOT
from gpt_core.files import atomic_write_text, sha256_file
from gpt_core.text import find_near_duplicates

TARGET = ROOT / "data/raw/english/english.txt"
NOVELS = ("count_of_monte_cristo.md", "les_miserables.md", "war_and_peace.md")
SHAKESPEARE = "tinyshakespeare.txt"
PHRASES = "sst2_glue_train.tsv"
INSTRUCTIONS = "alpaca_5k.json"
HELD_SENTENCES = ("sst2_glue_dev.tsv", "sst2_glue_test.tsv")
HELD_INSTRUCTIONS = "instruction-data.json"
SIMILARITY = 0.5  # the default of classification.near_duplicates


def main() -> None:
    """Write the text and print its size, its hash and what was left out."""
    target = write(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else TARGET)
    print(f"{target}: {target.stat().st_size:,} bytes, sha256 {sha256_file(target)}")


def write(folder: Path, target: Path) -> Path:
    """Write the text, if it is not there."""
    if not target.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write_text(target) as file:
            file.write("\n\n".join(documents(folder)) + "\n")
    return target


def documents(folder: Path) -> Iterator[str]:
    """The documents of the text; none has a blank line in it."""
    for name in (*NOVELS, SHAKESPEARE):
        yield from _paragraphs(_find(folder, name).read_text(encoding="utf-8"))
    held = [text for name in HELD_SENTENCES for text in _sentences(_find(folder, name))]
    yield from _apart(PHRASES, _sentences(_find(folder, PHRASES)), held)
    held = _tasks(_find(folder, HELD_INSTRUCTIONS))
    for text in _apart(INSTRUCTIONS, _tasks(_find(folder, INSTRUCTIONS)), held):
        yield "\n".join(_paragraphs(text))


def _apart(name: str, texts: list[str], held: list[str]) -> list[str]:
    """The texts that are no near duplicates of those held out."""
    near = find_near_duplicates(texts, held, SIMILARITY)
    print(f"{name}: {sum(near):,} of {len(texts):,} nearly equal a held-out text: left out")
    return [text for text, is_near in zip(texts, near, strict=True) if not is_near]


def _find(folder: Path, name: str) -> Path:
    found = sorted(folder.rglob(name))
    if not found:
        raise SystemExit(f"{folder} has no {name}: put it there")
    return found[0]


def _paragraphs(text: str) -> list[str]:
    parts = (part.strip() for part in text.replace("\r\n", "\n").split("\n\n"))
    return [part for part in parts if part]


def _sentences(file: Path) -> list[str]:
    """The texts of a file of SST-2, without the labels."""
    with file.open(encoding="utf-8", newline="") as lines:
        rows = csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
        return [text.strip() for _, text in rows][1:]  # the first is the header


def _tasks(file: Path) -> list[str]:
    """Each instruction with its input and answer."""
    rows = json.loads(file.read_text(encoding="utf-8"))
    names = ("instruction", "input", "output")
    return ["\n\n".join(filter(None, (row[name].strip() for name in names))) for row in rows]


if __name__ == "__main__":
    main()
