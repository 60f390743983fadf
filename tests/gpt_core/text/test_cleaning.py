"""A corpus is cleaned, deduplicated and split, and says what was done to it."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpt_core.artifact import Artifact
from gpt_core.config import CleaningConfig, ReadingConfig
from gpt_core.errors import DataError
from gpt_core.text import (
    SPLITS,
    clean_corpus,
    count_row_groups,
    iter_documents,
    iter_texts,
    register_source,
    source_path,
    split_of,
)

ALL_TRAIN = {"validation_share": 0.0, "test_share": 0.0}


def clean(folder: Path, text: str, **cleaning: object) -> Artifact:
    (folder / "a.txt").write_text(text, encoding="utf-8")
    raw = register_source(folder / "a.txt", folder / "raw")
    return clean_corpus(raw, ReadingConfig(), CleaningConfig(**cleaning), folder / "out")


def test_every_document_lands_in_the_split_of_its_id(corpus: Artifact) -> None:
    counts = {}
    for split in SPLITS:
        documents = list(iter_documents(corpus, split))
        assert all(split_of(d.id, 0.1, 0.1) == split for d in documents)
        assert [d.text for d in documents] == list(iter_texts(corpus, split))
        counts[split] = len(documents)
    assert sum(counts.values()) == 400
    assert corpus.manifest()["info"]["splits"]["test"]["documents"] == counts["test"]


@given(st.text(), st.floats(0, 0.5), st.floats(0, 0.49))
def test_a_larger_test_share_moves_no_document_out_of_the_test_part(
    document_id: str, validation: float, test: float
) -> None:
    if split_of(document_id, validation, test / 2) == "test":
        assert split_of(document_id, validation, test) == "test"


def test_the_shares_are_about_what_was_asked_for() -> None:
    splits = [split_of(f"doc#{i}", 0.1, 0.2) for i in range(5000)]
    assert abs(splits.count("validation") / 5000 - 0.1) < 0.02
    assert abs(splits.count("test") / 5000 - 0.2) < 0.02


def test_equal_documents_are_kept_once_and_before_the_split(tmp_path: Path) -> None:
    made = clean(
        tmp_path, "\n\n".join(["قَالَ", "قال", "قال  ", "غير"] * 5), language="arabic", **ALL_TRAIN
    )
    texts = [text for split in SPLITS for text in iter_texts(made, split)]
    assert sorted(texts) == sorted(["قال", "غير"])
    assert made.metrics()["duplicates"] == 18
    report = json.loads((made.directory / "report.json").read_text())
    assert report["rules"]["strip_diacritics"]["documents"] == 5
    assert report["rules"]["strip_diacritics"]["examples"][0] == {"before": "قَالَ", "after": "قال"}


def test_duplicates_stay_when_asked(tmp_path: Path) -> None:
    made = clean(tmp_path, "a\n\na\n\na", deduplicate=False, **ALL_TRAIN)
    assert made.metrics()["duplicates"] == 0


def test_short_documents_are_dropped_and_counted(tmp_path: Path) -> None:
    made = clean(tmp_path, "long enough\n\nno\n\nalso long enough", min_characters=5, **ALL_TRAIN)
    assert made.metrics()["dropped_short"] == 1


def test_a_large_corpus_has_several_row_groups(tmp_path: Path) -> None:
    made = clean(tmp_path, "\n\n".join(f"{i} " + "x" * 1_000_000 for i in range(12)))
    assert count_row_groups(made, "train") >= 2


def test_nothing_to_train_on_is_one_sentence_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="leaves no document to train on: 2 read, 2 too short"):
        clean(tmp_path, "a\n\nb", min_characters=9)
    assert not (tmp_path / "out").exists()
    assert {path.name for path in tmp_path.iterdir()} == {"a.txt", "raw"}


def test_a_source_is_known_by_its_content(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.txt").write_text("text")
    one = register_source(tmp_path / "one" / "a.txt", tmp_path / "one-raw")
    two = register_source(tmp_path / "two" / "a.txt", tmp_path / "two-raw")
    assert one.fingerprint == two.fingerprint
    assert source_path(one) == tmp_path / "one" / "a.txt"
    (tmp_path / "one" / "a.txt").write_text("other text")
    with pytest.raises(DataError, match="has changed since it was recorded"):
        source_path(one)
    (tmp_path / "one" / "a.txt").unlink()
    with pytest.raises(DataError, match="is gone since it was recorded"):
        source_path(one)


@pytest.mark.parametrize(("make", "sentence"), [(None, "does not exist"), (b"", "is empty")])
def test_a_source_with_nothing_in_it_is_refused(tmp_path: Path, make, sentence: str) -> None:
    if make is not None:
        (tmp_path / "a.txt").write_bytes(make)
    with pytest.raises(DataError, match=sentence):
        register_source(tmp_path / "a.txt", tmp_path / "raw")


def test_the_hadiths_come_out_without_a_diacritic(shared_data: Path, tmp_path: Path) -> None:
    raw = register_source(shared_data / "arabic" / "bukhari_raw.txt", tmp_path / "raw")
    reading = ReadingConfig(boundaries="bukhari_index.tsv")
    made = clean_corpus(raw, reading, CleaningConfig(language="arabic"), tmp_path / "out")
    report = json.loads((made.directory / "report.json").read_text())
    assert report["documents"]["read"] == 7277
    assert report["rules"]["strip_diacritics"]["characters_removed"] == 1_565_106
    assert report["rules"]["strip_tatweel"]["characters_removed"] == 10_542
    assert report["rules"]["strip_controls"]["characters_removed"] >= 70_003


def test_page_references_of_a_classical_text_are_gone(shared_data: Path, tmp_path: Path) -> None:
    raw = register_source(shared_data / "arabic" / "tashkeela_test.txt", tmp_path / "raw")
    made = clean_corpus(
        raw, ReadingConfig(split="line"), CleaningConfig(language="arabic"), tmp_path / "out"
    )
    text = "".join(text for split in SPLITS for text in iter_texts(made, split))
    assert not set(text) & set("()[]{}0123456789٠١٢٣٤٥٦٧٨٩")
