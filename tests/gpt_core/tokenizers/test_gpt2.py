"""GPT-2's vocabulary is loaded from its two files, and no other is accepted."""

import shutil
from pathlib import Path

import pytest

from gpt_core.errors import DataError
from gpt_core.tokenizers import (
    BPETokenizer,
    GPT2Tokenizer,
    is_gpt2_vocabulary,
    load_tokenizer,
    write_gpt2_files,
)


@pytest.fixture
def release(shared_data: Path, tmp_path: Path) -> Path:
    """A copy of the released files that may be damaged."""
    for name in ("encoder.json", "vocab.bpe"):
        shutil.copyfile(shared_data / "gpt2" / name, tmp_path / name)
    return tmp_path


def test_known_texts_have_gpt2s_ids(release: Path) -> None:
    gpt2 = GPT2Tokenizer.from_release(release)
    assert (gpt2.vocab_size, gpt2.eos_id, gpt2.unk_id) == (50_257, 50_256, None)
    assert gpt2.encode("Hello, I'm a language model,") == [
        15496,
        11,
        314,
        1101,
        257,
        3303,
        2746,
        11,
    ]
    assert gpt2.eos_id not in gpt2.encode("a<|endoftext|>b")


def test_saving_and_loading_keeps_the_kind(release: Path, tmp_path: Path) -> None:
    gpt2 = GPT2Tokenizer.from_release(release)
    gpt2.save(tmp_path / "saved")
    again = load_tokenizer(tmp_path / "saved")
    assert isinstance(again, GPT2Tokenizer)
    assert again.encode("a<|endoftext|>b سلام") == gpt2.encode("a<|endoftext|>b سلام")
    with pytest.raises(DataError, match="is a gpt2 tokenizer, not bpe"):
        BPETokenizer.load(tmp_path / "saved")


def test_hugging_faces_file_names_are_accepted(release: Path) -> None:
    (release / "encoder.json").rename(release / "vocab.json")
    merges = (release / "vocab.bpe").read_text(encoding="utf-8").split("\n", 1)[1]
    (release / "vocab.bpe").unlink()
    (release / "merges.txt").write_text(merges, encoding="utf-8")  # without a header
    assert GPT2Tokenizer.from_release(release).encode("Hello") == [15496]


@pytest.mark.parametrize("name", ["encoder.json", "vocab.bpe"])
def test_a_missing_file_is_named(release: Path, name: str) -> None:
    (release / name).unlink()
    with pytest.raises(DataError, match=f"has neither {name} nor"):
        GPT2Tokenizer.from_release(release)


@pytest.mark.parametrize("position", [0.001, 0.3, 0.7, 0.999])
@pytest.mark.parametrize("name", ["encoder.json", "vocab.bpe"])
def test_a_flipped_bit_is_detected(release: Path, name: str, position: float) -> None:
    content = bytearray((release / name).read_bytes())
    content[int(len(content) * position)] ^= 1
    (release / name).write_bytes(content)
    with pytest.raises(DataError, match=str(release)):
        GPT2Tokenizer.from_release(release)


@pytest.mark.parametrize("name", ["encoder.json", "vocab.bpe"])
def test_a_truncated_file_is_detected(release: Path, name: str) -> None:
    content = (release / name).read_bytes()
    (release / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=name.replace(".", r"\.") + "|encoder.json"):
        GPT2Tokenizer.from_release(release)


def test_another_vocabulary_is_refused(bpe: BPETokenizer, tmp_path: Path) -> None:
    write_gpt2_files(bpe, tmp_path)
    with pytest.raises(DataError, match="is not GPT-2's released one: the sha256 of its merges is"):
        GPT2Tokenizer.from_release(tmp_path)


def test_the_released_merges_are_gpt2s(release: Path) -> None:
    merges = GPT2Tokenizer.from_release(release).merges
    assert is_gpt2_vocabulary(merges)
    assert not is_gpt2_vocabulary(merges[:-1])


def test_other_merges_are_not_gpt2s(bpe: BPETokenizer) -> None:
    assert not is_gpt2_vocabulary(bpe.merges)
