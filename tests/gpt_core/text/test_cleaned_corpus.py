"""A corpus in parts is the corpus of a single process, for any engine."""

import json
import os
import random
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from gpt_core.artifact import Artifact, verify
from gpt_core.config import CleaningConfig, ReadingConfig
from gpt_core.engine import LocalEngine, run_serially
from gpt_core.errors import DataError
from gpt_core.text import SPLITS, clean_corpus, iter_documents, register_source

WORDS = ["قَالَ", "الكِتَاب", "(٣)", "“so”", "word", "and  then", "12", "–"]


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """A folder of files of each kind, in which many texts are repeated, also across files."""
    rng, folder = random.Random(), tmp_path_factory.mktemp("source")
    texts = [" ".join(rng.choices(WORDS, k=rng.randrange(1, 12))) for _ in range(300)]

    def some(n: int) -> list[str]:
        return rng.choices(texts, k=n)

    (folder / "a.txt").write_text("\n\n".join(some(250)), encoding="utf-8")
    (folder / "b.jsonl").write_text("\n".join(json.dumps({"text": t}) for t in some(250)))
    for number in range(9):
        (folder / f"c{number}.txt").write_text("\n\n".join(some(9)), encoding="utf-8")
    return register_source(folder, tmp_path_factory.mktemp("raw") / "raw")


def documents_of(made: Artifact) -> dict[str, list[Any]]:
    return {split: list(iter_documents(made, split)) for split in SPLITS}


@pytest.mark.parametrize("deduplicate", [True, False])
def test_the_documents_do_not_depend_on_the_parts(
    raw: Artifact, tmp_path: Path, deduplicate: bool
) -> None:
    cleaning = CleaningConfig(deduplicate=deduplicate, min_characters=5, test_share=0.2)
    whole = clean_corpus(raw, ReadingConfig(), cleaning, tmp_path / "whole")
    assert (whole.directory / "train.parquet").is_file()
    assert (whole.metrics()["duplicates"] > 50) == deduplicate
    for size in (2500, 9000):
        made = clean_corpus(raw, ReadingConfig(), cleaning, tmp_path / "out", part_bytes=size)
        verify(made)
        assert documents_of(made) == documents_of(whole)
        assert (made.directory / "train" / "part-00001.parquet").is_file()
        assert {path.name for path in made.directory.iterdir()} == {
            *SPLITS, "report.json", "manifest.json"
        }  # fmt: skip
        assert made.metrics() == whole.metrics()
        reports = [(each.directory / "report.json").read_bytes() for each in (made, whole)]
        assert reports[0] == reports[1]


def test_an_error_in_a_part_names_the_line_or_document_of_the_file(tmp_path: Path) -> None:
    lines = '{"text": "good"}\n' * 300
    for ending, sentence in (
        ("{bad\n", r"a.jsonl, line 301: not valid JSON"),
        ('{"text": "\\ud83d"}\n', r"document a.jsonl#300 holds U\+D83D"),
        ('{"other": "x"}\n', r"a.jsonl, line 301: no text under 'text'; it has other"),
    ):
        (tmp_path / "a.jsonl").write_text(lines + ending, encoding="utf-8")
        raw = register_source(tmp_path / "a.jsonl", tmp_path / "raw")
        cleaning = CleaningConfig(strip_controls=False)
        for size in (3000, 1 << 24):
            with pytest.raises(DataError, match=sentence):
                clean_corpus(raw, ReadingConfig(), cleaning, tmp_path / "out", part_bytes=size)
            assert not (tmp_path / "out").exists()


def test_no_part_is_kept_of_a_file_that_changed_meanwhile(tmp_path: Path) -> None:
    file, out = tmp_path / "a.jsonl", tmp_path / "out"
    text = "".join(f'{{"text": "the word {n:04}"}}\n' for n in range(400))
    file.write_text(text, encoding="utf-8")
    clean = partial(clean_corpus, reading=ReadingConfig(), cleaning=CleaningConfig())
    raw = register_source(file, tmp_path / "raw")
    whole = clean(raw, out_dir=tmp_path / "whole", part_bytes=3000)

    def change(unit: str, count: int, total: int | None) -> None:
        file.write_text(text.replace("word", "WORD"), encoding="utf-8")

    with pytest.raises(DataError, match=r"a.jsonl changed while it was read"):
        clean(raw, out_dir=out, part_bytes=3000, progress=change)
    assert {path.name for path in tmp_path.glob("*out*")} == {".out.parts"}
    file.write_text(text, encoding="utf-8")
    assert clean(raw, out_dir=out, part_bytes=3000).fingerprint == whole.fingerprint
    assert list(tmp_path.glob(".*")) == []


class Killing:
    """An engine, one of whose first tasks of each function kills its process."""

    def __init__(self, folder: Path, engine: LocalEngine) -> None:
        self.folder, self.engine = folder, engine

    def __call__(self, function: Callable[[Any], Any], parts: Any, **options: Any) -> list[Any]:
        assert isinstance(function, partial)
        step = function.args[0].__name__  # what is called for the parts that are not finished
        killing = partial(kill_first, self.folder / step, function)
        return self.engine(killing, parts, **options)


def kill_first(mark: Path, function: Callable[[Any], Any], part: Any) -> Any:
    """Record each call, and end the process in the second one."""
    with mark.open("a") as file:
        file.write(".")
    if mark.stat().st_size == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return function(part)


@pytest.mark.long
def test_the_bytes_are_the_same_with_workers_that_are_killed(raw: Artifact, tmp_path: Path) -> None:
    clean = partial(clean_corpus, raw, ReadingConfig(), CleaningConfig(), part_bytes=9000)
    one = clean(tmp_path / "one", engine=run_serially)
    with LocalEngine(2) as engine:
        two = clean(tmp_path / "two", engine=Killing(tmp_path, engine))
    assert two.fingerprint == one.fingerprint
    n_parts = len(list((one.directory / "train").iterdir()))
    for step in ("clean_part", "write_part"):
        assert n_parts < (tmp_path / step).stat().st_size <= n_parts + 2, "done once, except those"
