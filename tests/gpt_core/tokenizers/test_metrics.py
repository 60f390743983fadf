"""Tokenizer metrics follow the formulas of their names."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from gpt_core.artifact import new_artifact
from gpt_core.text import SPLITS, Document, DocumentWriter
from gpt_core.tokenizers import ByteTokenizer, TokenCounts, WordTokenizer, held_out_metrics


class UnknownFirst(WordTokenizer):
    """A word tokenizer whose ``unk`` is the id 0, as in many vocabularies of others."""

    @property
    def special_ids(self) -> Mapping[str, int]:
        return {"unk": 0, "eos": len(self.units) + 1}


def test_metrics_follow_from_the_counts() -> None:
    counts = TokenCounts(WordTokenizer(["a", " b"]))
    counts.add("a b", [0, 1])
    counts.add("é é b", [2, 2, 1])
    assert (counts.n_tokens, counts.n_unknown, counts.n_bytes, counts.n_words) == (5, 2, 10, 5)
    assert counts.metrics() == {
        "vocab_size": 4.0, "bytes_per_token": 2.0, "tokens_per_word": 1.0, "unknown_share": 0.4,
    }  # fmt: skip


def test_an_unknown_id_of_zero_is_counted() -> None:
    counts = TokenCounts(UnknownFirst(["a"]))
    counts.add("x a", [0, 1])
    assert counts.metrics()["unknown_share"] == 0.5


def test_no_text_has_metrics_of_zero() -> None:
    counts = TokenCounts(ByteTokenizer())
    assert counts.metrics() == {
        "vocab_size": 257.0, "bytes_per_token": 0.0, "tokens_per_word": 0.0, "unknown_share": 0.0,
    }  # fmt: skip


@pytest.mark.parametrize("validation", [["a b c"], []])
def test_metrics_are_of_validation_text_or_else_of_training_text(
    tmp_path: Path, validation: list[str]
) -> None:
    texts = {"train": ["ab cd"] * 3, "validation": validation, "test": ["x"]}
    with new_artifact(tmp_path / "documents", kind="documents") as draft:
        for split in SPLITS:
            with DocumentWriter(draft.directory / f"{split}.parquet") as writer:
                for number, text in enumerate(texts[split]):
                    writer.write(Document(f"{split}#{number}", text, "test"))
    tokenizer = WordTokenizer(["ab", " cd"])
    metrics = held_out_metrics(tokenizer, draft.artifact)
    assert metrics["unknown_share"] == (1.0 if validation else 0.0)
    assert metrics["bytes_per_token"] == (5 / 3 if validation else 5 / 2)


def test_at_most_500_documents_are_encoded(tmp_path: Path) -> None:
    with new_artifact(tmp_path / "documents", kind="documents") as draft:
        for split in SPLITS:
            with DocumentWriter(draft.directory / f"{split}.parquet") as writer:
                for number in range(600):
                    writer.write(Document(str(number), "a" if number < 500 else "b", "test"))
    metrics = held_out_metrics(WordTokenizer(["a"]), draft.artifact)
    assert metrics["unknown_share"] == 0.0
