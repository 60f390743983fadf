"""The beginning of a source tells whether it can be used; a small one is split as it will be."""

import os
from pathlib import Path

import pytest

from gpt_core.config import CleaningConfig, ReadingConfig
from gpt_core.errors import DataError
from gpt_core.text import clean_corpus, probe_texts, register_source

READING = ReadingConfig()


@pytest.mark.parametrize("repeats", [1, 3])
@pytest.mark.parametrize("deduplicate", [True, False])
def test_the_documents_of_a_small_source_are_those_of_the_corpus(
    tmp_path: Path, repeats: int, deduplicate: bool
) -> None:
    text = "\n\n".join(f"document {i} \u2013 of many" for i in range(60)) + "\n\n"
    (tmp_path / "a.txt").write_text(text * repeats)
    cleaning = CleaningConfig(deduplicate=deduplicate, validation_share=0.2, test_share=0.3)
    probe = probe_texts(tmp_path / "a.txt", READING, cleaning)
    assert probe is not None
    raw = register_source(tmp_path / "a.txt", tmp_path / "raw")
    corpus = clean_corpus(raw, READING, cleaning, tmp_path / "corpus").manifest()
    for split in ("train", "validation", "test"):
        assert probe.documents[split] == corpus.info_int("splits", split, "documents")
        assert probe.sizes[split] > 0


def test_a_large_source_is_not_read_to_its_end(tmp_path: Path) -> None:
    (tmp_path / "many.txt").write_text("a document\n\n" * 300)
    assert probe_texts(tmp_path / "many.txt", READING, CleaningConfig()) is None


def test_of_long_documents_it_is_known_where_they_go(tmp_path: Path) -> None:
    (tmp_path / "long.txt").write_text("a long document " * 300_000)
    probe = probe_texts(tmp_path / "long.txt", READING, CleaningConfig())
    assert probe is not None
    assert dict(probe.documents) == {"train": 1}


def test_every_file_of_a_folder_is_opened(tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / f"{number:02}.txt").write_text("a document\n\n" * 300)
    (tmp_path / "20.jsonl").write_text('{"body": "a"}')
    with pytest.raises(DataError, match=r"20.jsonl, line 1: no text under 'text'; it has body"):
        probe_texts(tmp_path, READING, CleaningConfig())


def test_white_space_alone_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(" \n\n\t\n")
    with pytest.raises(DataError, match="holds nothing but white space"):
        probe_texts(tmp_path, READING, CleaningConfig())


def test_a_table_of_boundaries_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("some text")
    (tmp_path / "cuts.tsv").write_text("char_offset\tchar_length\n0\t4\n")
    reading = ReadingConfig(boundaries="cuts.tsv")
    assert probe_texts(tmp_path, reading, CleaningConfig()) is None


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.txt")
    with pytest.raises(DataError, match="is a pipe or a device"):
        probe_texts(tmp_path / "pipe.txt", READING, CleaningConfig())
    with pytest.raises(DataError, match="is a pipe, a socket or a device: take it out"):
        probe_texts(tmp_path, READING, CleaningConfig())
