"""Merges equal those of Hugging Face's trainer, in order."""

import json
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

from gpt_core.errors import DataError
from gpt_core.tokenizers import learn_merges, split_pattern, train_bpe
from gpt_core.tokenizers.bpe import merge_strings
from gpt_core.tokenizers.bpe_training import _byte_pieces


def their_merges(texts: list[str], n_merges: int, pattern: str) -> list[tuple[str, str]]:
    tokenizer = Tokenizer(models.BPE())
    split = pre_tokenizers.Split(Regex(split_pattern(pattern).published), "isolated")
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, byte_level])
    trainer = trainers.BpeTrainer(
        vocab_size=256 + n_merges,
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(texts, trainer)
    return [(first, second) for first, second in json.loads(tokenizer.to_str())["model"]["merges"]]


def our_merges(texts: list[str], n_merges: int, pattern: str) -> list[tuple[str, str]]:
    pieces = _byte_pieces(split_pattern(pattern).count(texts))
    return merge_strings(learn_merges(pieces, n_merges))


@given(texts=st.lists(st.text("ab \n", max_size=40)), n_merges=st.integers(0, 60))
def test_merges_of_little_text_are_equal(texts: list[str], n_merges: int) -> None:
    assert our_merges(texts, n_merges, "gpt2") == their_merges(texts, n_merges, "gpt2")


@pytest.mark.parametrize("pattern", ["gpt2", "gpt4", "marks"])
@pytest.mark.parametrize("name", ["unicode/UTF-8-demo.txt", "tinyshakespeare.txt"])
def test_merges_of_real_text_are_equal(shared_data: Path, name: str, pattern: str) -> None:
    texts = (shared_data / name).read_text(encoding="utf-8").split("\n\n")
    assert our_merges(texts, 1000, pattern) == their_merges(texts, 1000, pattern)


def test_merges_of_another_text_each_time_are_equal() -> None:
    rng = random.SystemRandom()
    texts = ["".join(rng.choices("abcde ابت\n.", k=500)) for _ in range(200)]
    assert our_merges(texts, 2000, "marks") == their_merges(texts, 2000, "marks")


@pytest.mark.long
@pytest.mark.parametrize("source", ["arabic/bukhari_raw.txt", "tinyshakespeare.txt", "english"])
def test_merges_of_whole_corpora_are_equal(shared_data: Path, source: str) -> None:
    files = sorted((shared_data / source).rglob("*.md")) or [shared_data / source]
    texts = [file.read_text(encoding="utf-8") for file in files]
    theirs = their_merges(texts, 32_000, "marks")
    pieces = _byte_pieces(split_pattern("marks").count(texts))
    for n_merges in (1_000, 8_000, 32_000):
        assert merge_strings(learn_merges(pieces, n_merges)) == theirs[:n_merges]


def test_gpt2s_pattern_runs_out_of_pairs_in_vocalized_arabic(shared_data: Path) -> None:
    text = (shared_data / "arabic/bukhari_raw.txt").read_text(encoding="utf-8")
    merges = their_merges([text], 22_000, "gpt2")
    with pytest.raises(DataError, match=f"a vocabulary of at most {257 + len(merges)}, "):
        train_bpe([text], 22_000, "gpt2")
    assert merge_strings(train_bpe([text], 257 + len(merges), "gpt2").merges) == merges
