"""A corpus is cleaned, deduplicated and split, with a report of the rules."""

import json
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpt_core.artifact import Artifact, verify
from gpt_core.config import CleaningConfig, ReadingConfig
from gpt_core.errors import DataError
from gpt_core.text import (
    SPLITS,
    Cleaner,
    clean_corpus,
    iter_documents,
    iter_texts,
    language_of,
    register_source,
    split_of,
)

ALL_TRAIN = {"validation_share": 0.0, "test_share": 0.0}


def clean(folder: Path, text: str, name: str = "a.txt", **cleaning: Any) -> Artifact:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")
    raw = register_source(folder / name, folder / "raw")
    return clean_corpus(raw, ReadingConfig(), CleaningConfig(**cleaning), folder / "out")


def texts_of(made: Artifact) -> list[str]:
    return [text for split in SPLITS for text in iter_texts(made, split)]


def report_of(made: Artifact) -> dict[str, Any]:
    report: dict[str, Any] = json.loads((made.directory / "report.json").read_text())
    return report


def test_every_document_is_in_the_split_of_its_id(corpus: Artifact) -> None:
    counts = {}
    for split in SPLITS:
        documents = list(iter_documents(corpus, split))
        assert all(split_of(d.id, 0.1, 0.1) == split for d in documents)
        assert [d.text for d in documents] == list(iter_texts(corpus, split))
        counts[split] = len(documents)
    assert sum(counts.values()) == 400
    assert corpus.manifest().info_int("splits", "test", "documents") == counts["test"]


@given(st.lists(st.sampled_from(["قَالَ", "قال", "قال  ", "غير", "one", "one\u200b", "", "٣"])))
def test_each_text_is_kept_once_and_every_document_is_accounted_for(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("corpus")
    lines = "\n".join(json.dumps({"text": text}) for text in ["always", *texts])
    made = clean(folder, lines, "a.jsonl", **ALL_TRAIN)
    cleaner = Cleaner(CleaningConfig())
    cleaned = [cleaner.clean(text) for text in ["always", *texts]]
    assert texts_of(made) == list(dict.fromkeys(filter(None, cleaned)))
    metrics = made.metrics()
    assert metrics["read"] == len(texts) + 1
    assert metrics["read"] == (
        metrics["documents"] + metrics["duplicates"] + metrics["dropped_short"]
    )
    assert metrics["dropped_short"] == cleaned.count("")
    assert metrics["characters"] == sum(map(len, texts_of(made)))


def test_the_report_shows_what_each_rule_removed(tmp_path: Path) -> None:
    made = clean(tmp_path, "قَالَ (٣)\n\nنَعَمْ\n\nplain\n\n“so”", **ALL_TRAIN)
    rules = report_of(made)["rules"]
    assert list(rules) == [
        "strip_diacritics", "strip_brackets", "collapse_whitespace", "straighten_quotes",
    ]  # fmt: skip
    assert rules["strip_diacritics"] == {
        "characters_removed": 5,
        "documents": 2,
        "examples": [{"before": "قَالَ (٣)", "after": "قال (٣)"}, {"before": "نَعَمْ", "after": "نعم"}],
    }
    assert rules["straighten_quotes"]["examples"] == [{"before": "“so”", "after": '"so"'}]


def test_duplicates_are_kept_when_deduplication_is_off(tmp_path: Path) -> None:
    made = clean(tmp_path, "a\n\na\n\na", deduplicate=False, **ALL_TRAIN)
    assert texts_of(made) == ["a", "a", "a"]
    assert made.metrics()["duplicates"] == 0


def test_short_documents_are_dropped_and_counted(tmp_path: Path) -> None:
    made = clean(tmp_path, "long enough\n\nno\n\nalso long enough", min_characters=5, **ALL_TRAIN)
    assert made.metrics()["dropped_short"] == 1


def test_each_document_is_cleaned_by_the_rules_of_its_language(tmp_path: Path) -> None:
    made = clean(tmp_path, "قال ١\r\nو قال\r\n\r\nNumber 1 –\r\nstays", **ALL_TRAIN)
    assert texts_of(made) == ["قال\nو قال", "Number 1 -\nstays"]


def test_language_none_changes_no_character(tmp_path: Path) -> None:
    text = "قَالَ  (٣)\u200f “x” "
    assert texts_of(clean(tmp_path, text, language="none", **ALL_TRAIN)) == [text]


def test_the_same_source_and_settings_give_the_same_bytes(tmp_path: Path) -> None:
    text = "\n\n".join(f"document {number} قَالَ" for number in range(300))
    one, two = clean(tmp_path / "one", text), clean(tmp_path / "two", text)
    assert one.fingerprint == two.fingerprint
    assert one.fingerprint != clean(tmp_path / "two", text, min_characters=2).fingerprint
    verify(one)
    assert set(one.manifest().files) == {
        "report.json", "test.parquet", "train.parquet", "validation.parquet",
    }  # fmt: skip


def test_progress_counts_documents(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("\n\n".join(f"document {number}" for number in range(1200)))
    raw = register_source(tmp_path / "a.txt", tmp_path / "raw")
    calls: list[tuple[str, int, int | None]] = []
    clean_corpus(
        raw,
        ReadingConfig(),
        CleaningConfig(),
        tmp_path / "out",
        progress=lambda *args: calls.append(args),
    )
    assert calls == [
        ("documents", 500, None), ("documents", 1000, None), ("documents", 1200, 1200),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "cleaning", "sentence"),
    [
        ("a\n\nb", {"min_characters": 9}, "no document to train on: 2 read, 2 too short"),
        ("a", {"validation_share": 0.99, "test_share": 0.0}, "0 duplicates, 1 for validation"),
        (" \n\n", {}, "no document to train on: 0 read"),
    ],
)
def test_no_document_to_train_on_raises_and_leaves_no_artifact(
    tmp_path: Path, text: str, cleaning: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(DataError, match=sentence):
        clean(tmp_path, text, **cleaning)
    assert {path.name for path in tmp_path.iterdir()} == {"a.txt", "raw"}


def test_a_source_that_fails_midway_leaves_no_artifact(tmp_path: Path) -> None:
    lines = '{"text": "good"}\n' * 3000 + "{bad\n"
    with pytest.raises(DataError, match=r"a.jsonl, line 3001: not valid JSON"):
        clean(tmp_path, lines, "a.jsonl")
    assert {path.name for path in tmp_path.iterdir()} == {"a.jsonl", "raw"}


def test_a_lone_surrogate_is_removed_or_refused_with_its_document(tmp_path: Path) -> None:
    line = '{"text": "half \\ud83d of one"}\n'
    assert texts_of(clean(tmp_path, line, "a.jsonl", **ALL_TRAIN)) == ["half of one"]
    with pytest.raises(DataError, match=r"document a.jsonl#0 holds U\+D83D, half of a character"):
        clean(tmp_path, line, "a.jsonl", strip_controls=False)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("السلام عليكم hi", "arabic"),
        ("ﺍﻟﺴﻼﻡ hi", "arabic"),
        ("hello there سلام", "english"),
        ("Đúng rồi سلام", "english"),
        ("123", "english"),
    ],
)
def test_the_language_is_detected_by_most_letters(text: str, language: str) -> None:
    assert language_of(text) == language


def test_the_cleaned_hadiths_have_no_diacritics(shared_data: Path, tmp_path: Path) -> None:
    raw = register_source(shared_data / "arabic" / "bukhari_raw.txt", tmp_path / "raw")
    reading = ReadingConfig(boundaries="bukhari_index.tsv")
    made = clean_corpus(raw, reading, CleaningConfig(language="arabic"), tmp_path / "out")
    report = report_of(made)
    assert report["documents"] == {"read": 7277, "duplicates": 7, "dropped_short": 0}
    assert report["rules"]["strip_diacritics"]["characters_removed"] == 1_565_106
    assert report["rules"]["strip_tatweel"]["characters_removed"] == 10_542
    assert report["rules"]["strip_controls"]["characters_removed"] >= 70_003
    characters = set("".join(texts_of(made)))
    assert not [c for c in characters if unicodedata.category(c) in ("Mn", "Cf", "Cc", "Lm", "Nd")
                and c != "\n"]  # fmt: skip
    assert not characters & set("(){}[]«»")


def test_page_references_of_a_classical_text_are_removed(shared_data: Path, tmp_path: Path) -> None:
    raw = register_source(shared_data / "arabic" / "tashkeela_test.txt", tmp_path / "raw")
    made = clean_corpus(
        raw, ReadingConfig(split="line"), CleaningConfig(language="arabic"), tmp_path / "out"
    )
    assert made.metrics()["read"] == 2500
    assert not set("".join(texts_of(made))) & set("()[]{}0123456789٠١٢٣٤٥٦٧٨٩۰۱۲۳۴۵۶۷۸۹")


def test_the_language_is_detected_in_the_first_2000_characters() -> None:
    assert language_of("a" * 2000 + "ب" * 9000) == "english"
    assert language_of("a" * 999 + "ب" * 1001 + "a" * 9000) == "arabic"


def test_three_examples_of_each_rule_are_reported_with_their_surroundings() -> None:
    cleaner = Cleaner(CleaningConfig(language="english", collapse_whitespace=False))
    for number in range(5):
        cleaner.clean("x" * 50 + f"{number}“quoted”" + "y" * 100)
    report = cleaner.report()["straighten_quotes"]
    assert report["documents"] == 5
    assert report["examples"] == [
        {
            "before": "x" * 19 + f"{number}“quoted”" + "y" * 52,
            "after": "x" * 19 + f'{number}"quoted"' + "y" * 52,
        }
        for number in range(3)
    ]
