"""Metrics of tokenizers against counts by other means."""

from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from gpt_core.artifact import Artifact
from gpt_core.config import ComparisonConfig, TokenizerConfig
from gpt_core.evaluation import REPORT, compare_reports, count_whole_words, measure_tokenizer
from gpt_core.files import read_json
from gpt_core.text import iter_texts
from gpt_core.tokenizers import Tokenizer, WordTokenizer, load_tokenizer, train_bpe, train_tokenizer

ALL = np.ones(1000, dtype=np.bool_)


def report_of(name: str, corpus: Artifact, out: Path, **more: object) -> Artifact:
    config = ComparisonConfig(tokenizers=(name,), **more)  # type: ignore[arg-type]
    [wanted] = config.candidates(TokenizerConfig(vocab_size=400)).values()
    assert isinstance(wanted, TokenizerConfig)
    tokenizer = train_tokenizer(corpus, wanted, out / "tokenizer")
    return measure_tokenizer(corpus, tokenizer, config, out / "report")


def whole_words_of(tokenizer: Tokenizer, text: str) -> tuple[int, int]:
    known = np.array([token_id != tokenizer.unk_id for token_id in tokenizer.encode(text)])
    return count_whole_words(text, tokenizer.pieces(text), known)


@pytest.mark.parametrize("name", ["byte", "character", "word", "bpe:300", "unigram"])
def test_metrics_equal_counts(name: str, corpus: Artifact, tmp_path: Path) -> None:
    report = report_of(name, corpus, tmp_path)
    tokenizer = load_tokenizer(tmp_path / "tokenizer")
    texts = list(iter_texts(corpus, "validation"))
    ids = Counter(token_id for text in texts for token_id in tokenizer.encode(text))
    n_tokens = ids.total()
    metrics = report.metrics()
    assert metrics["tokens_per_word"] == n_tokens / sum(len(text.split()) for text in texts)
    assert metrics["bytes_per_token"] == sum(len(text.encode()) for text in texts) / n_tokens
    assert metrics["vocabulary_used"] == len(ids) / tokenizer.vocab_size
    words, unsplit = zip(*(whole_words_of(tokenizer, text) for text in texts), strict=True)
    assert metrics["whole_words"] == sum(unsplit) / sum(words)
    assert metrics["unknown_share"] == ids[tokenizer.unk_id or -1] / n_tokens
    assert metrics["exact_share"] == sum(
        tokenizer.decode(tokenizer.encode(text)) == text for text in texts
    ) / len(texts)
    ranks = read_json(report.directory / REPORT)["ranks"]
    assert [row["count"] for row in (ranks[0], ranks[-1])] == [max(ids.values()), min(ids.values())]
    assert ranks[-1]["rank"] == len(ids)


WORDS = st.text(st.sampled_from("abعَ 👩,1é"), max_size=30)


@given(WORDS, st.data())
def test_a_word_is_unsplit_if_no_token_boundary_is_inside_it(
    text: str, data: st.DataObject
) -> None:
    places = data.draw(st.sets(st.integers(1, max(1, len(text) - 1)))) if text else set()
    cuts = sorted({0, len(text), *(place for place in places if place < len(text))})
    pieces = [text[a:b].encode() for a, b in pairwise(cuts)]
    words = [match.span() for match in regex.finditer(r"[\p{L}\p{M}\p{N}]+", text)]
    unsplit = sum(not any(a < cut < b for cut in cuts) for a, b in words)
    assert count_whole_words(text, pieces, ALL[: len(pieces)]) == (len(words), unsplit)


def test_a_token_boundary_inside_a_character_splits_the_word() -> None:
    assert count_whole_words("é a", [b"\xc3", b"\xa9", b" a"], ALL[:3]) == (2, 1)


def test_an_unknown_word_does_not_count_as_unsplit() -> None:
    tokenizer = WordTokenizer.train(["a rose is a rose"], None)
    pieces = tokenizer.pieces("a rose is red")
    assert pieces == [b"a", b" rose", b" is", b" red"]
    known = np.array([True, True, True, False])
    assert count_whole_words("a rose is red", pieces, known) == (4, 3)


@given(st.text(max_size=40).filter(lambda text: "\0" not in text))
def test_pieces_join_to_the_text(text: str) -> None:
    bpe = train_bpe(["a rose is a rose is a rose"], 262, "marks")
    words = WordTokenizer.train(["a rose is a rose"], None)
    encodable = text.encode(errors="replace").decode()
    for tokenizer in (bpe, words):
        pieces = tokenizer.pieces(encodable)
        assert b"".join(pieces) == encodable.encode()
        assert len(pieces) == len(tokenizer.encode(encodable))


def test_max_bytes_limits_the_text(corpus: Artifact, tmp_path: Path) -> None:
    few = report_of("byte", corpus, tmp_path, max_bytes=100)
    ranks = read_json(few.directory / REPORT)["ranks"]
    first = next(iter(iter_texts(corpus, "validation")))
    assert ranks[0]["count"] == Counter(first).most_common(1)[0][1]


def test_the_table_of_sentences_has_their_pieces(corpus: Artifact, tmp_path: Path) -> None:
    given_one = report_of("byte", corpus, tmp_path / "a", sentences=("aé",))
    rows = read_json(given_one.directory / REPORT)["sentences"]
    assert rows == [{"sentence": "aé", "tokens": 3, "pieces": ["a", "<C3>", "<A9>"]}]
    taken = report_of("character", corpus, tmp_path / "b")
    for row in read_json(taken.directory / REPORT)["sentences"]:
        assert "".join(row["pieces"]) == row["sentence"]
        assert any(text.startswith(row["sentence"]) for text in iter_texts(corpus, "validation"))


def test_a_comparison_has_a_row_per_tokenizer(corpus: Artifact, tmp_path: Path) -> None:
    names = ("byte", "word")
    reports = [report_of(name, corpus, tmp_path / name) for name in names]
    made = compare_reports(reports, "tokenizers", tmp_path / "comparison", column="tokenizer")
    content = read_json(made.directory / REPORT)
    assert [row["tokenizer"] for row in content["tokenizers"]] == list(names)
    assert content["tokenizers"][1]["tokens_per_word"] == reports[1].metrics()["tokens_per_word"]
    assert {row["tokenizer"] for row in content["ranks"]} == set(names)
