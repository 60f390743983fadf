"""Which tokenizer a release's vocabulary becomes; tests/parity compares ids with Hugging Face's."""

import shutil
from pathlib import Path

import pytest

from gpt_core.errors import ConversionError
from gpt_core.interop.release_tokenizer import read_release_tokenizer
from gpt_core.tokenizers import (
    BPETokenizer,
    ByteTokenizer,
    GPT2Tokenizer,
    RemappedBPETokenizer,
    train_bpe,
    write_gpt2_files,
    write_huggingface,
)

TEXT = "low lower lowest new newer newest\n" * 3


@pytest.fixture(scope="module")
def bpe() -> BPETokenizer:
    return train_bpe([TEXT], 270, "gpt2")


def test_the_released_vocabulary_is_gpt2s(shared_data: Path, tmp_path: Path) -> None:
    for name in ("encoder.json", "vocab.bpe"):
        shutil.copyfile(shared_data / "gpt2" / name, tmp_path / name)
    gpt2 = read_release_tokenizer(tmp_path / "config.json", 50_257, 50_256)
    assert isinstance(gpt2, GPT2Tokenizer)
    (tmp_path / "other").mkdir()
    write_huggingface(BPETokenizer(gpt2.merges, "marks"), tmp_path / "other" / "tokenizer.json")
    other = read_release_tokenizer(tmp_path / "other" / "config.json", 50_257, 50_256)
    assert type(other) is BPETokenizer
    assert other.pattern == "marks"


def test_a_vocabulary_in_gpt2s_order_is_a_bpe_with_its_ids(
    bpe: BPETokenizer, tmp_path: Path
) -> None:
    write_gpt2_files(bpe, tmp_path)
    tokenizer = read_release_tokenizer(tmp_path / "config.json", bpe.vocab_size, bpe.eos_id)
    assert type(tokenizer) is BPETokenizer
    assert tokenizer.encode(TEXT) == bpe.encode(TEXT)


def test_unused_ids_at_the_end_are_kept_up_to_a_multiple_of_128(
    bpe: BPETokenizer, tmp_path: Path
) -> None:
    write_gpt2_files(bpe, tmp_path)
    described = tmp_path / "config.json"
    padded = read_release_tokenizer(described, bpe.vocab_size + 127, None)
    assert isinstance(padded, RemappedBPETokenizer)
    assert (padded.vocab_size, padded.eos_id) == (bpe.vocab_size + 127, bpe.eos_id)
    assert padded.encode(TEXT) == bpe.encode(TEXT)
    for size in (bpe.vocab_size - 1, bpe.vocab_size + 128):
        with pytest.raises(ConversionError, match=f"the model has {size} tokens, but the vocab"):
            read_release_tokenizer(described, size, None)


def test_a_folder_of_gptflow_must_have_the_models_size(tmp_path: Path) -> None:
    ByteTokenizer().save(tmp_path / "tokenizer")
    described = tmp_path / "config.json"
    assert isinstance(read_release_tokenizer(described, 257, None), ByteTokenizer)
    with pytest.raises(ConversionError, match="the model has 258 tokens, but the vocabulary"):
        read_release_tokenizer(described, 258, None)
