"""Ids equal those of independent implementations."""

import random
from pathlib import Path

import pytest
import sentencepiece
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import ByteLevelBPETokenizer

from gpt_core.config import TokenizerConfig
from gpt_core.tokenizers import GPT2Tokenizer, load_tokenizer, train_unigram


@pytest.fixture(scope="module")
def gpt2(shared_data: Path) -> GPT2Tokenizer:
    return GPT2Tokenizer.from_release(shared_data / "gpt2")


@pytest.fixture(scope="module")
def reference(shared_data: Path) -> ByteLevelBPETokenizer:
    folder = shared_data / "gpt2"
    return ByteLevelBPETokenizer(str(folder / "encoder.json"), str(folder / "vocab.bpe"))


@given(text=st.text())
def test_gpt2_ids_equal_those_of_hugging_face(
    gpt2: GPT2Tokenizer, reference: ByteLevelBPETokenizer, text: str
) -> None:
    assert gpt2.encode(text) == reference.encode(text).ids
    assert gpt2.decode(gpt2.encode(text)) == text


def test_gpt2_ids_of_real_text_equal_those_of_hugging_face(
    gpt2: GPT2Tokenizer, reference: ByteLevelBPETokenizer, shared_data: Path
) -> None:
    for name in ("the-verdict.txt", "unicode/UTF-8-demo.txt", "unicode/blns.txt"):
        text = (shared_data / name).read_text(encoding="utf-8")
        assert gpt2.encode(text) == reference.encode(text).ids, name


def test_text_that_names_the_end_of_a_document_is_text(gpt2: GPT2Tokenizer, tmp_path: Path) -> None:
    assert gpt2.eos_id == 50_256
    assert gpt2.eos_id not in gpt2.encode("a<|endoftext|>b")
    gpt2.save(tmp_path)
    assert load_tokenizer(tmp_path).encode("a<|endoftext|>b") == gpt2.encode("a<|endoftext|>b")


def test_unigram_ids_equal_those_of_sentencepiece() -> None:
    draw = random.Random(5)
    words = ["".join(draw.choices("abcdefgh", k=draw.randint(2, 6))) for _ in range(100)]
    texts = [" ".join(draw.choices(words, k=12)) for _ in range(300)]
    ours = train_unigram(texts, TokenizerConfig(vocab_size=300))
    theirs = sentencepiece.SentencePieceProcessor(model_proto=ours.__reduce__()[1][0])
    for text in (texts[0], " abc  def\ngh", "zebra é 😀"):
        assert ours.encode(text) == theirs.encode(text)
        assert ours.decode(ours.encode(text)) == theirs.decode(theirs.encode(text))
