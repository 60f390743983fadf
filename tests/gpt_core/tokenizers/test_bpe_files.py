"""BPE files of GPT-2, Hugging Face and tiktoken round-trip; damaged ones are refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gpt_core.errors import DataError
from gpt_core.tokenizers import (
    BPETokenizer,
    from_tiktoken,
    read_gpt2_merges,
    read_huggingface,
    write_gpt2_files,
    write_huggingface,
)

PATTERNS = ["gpt2", "gpt4", "marks", r"\p{L}+|\s"]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_every_file_format_round_trips(bpe: BPETokenizer, pattern: str, tmp_path: Path) -> None:
    tokenizer = BPETokenizer(bpe.merges, pattern)
    write_huggingface(tokenizer, tmp_path / "tokenizer.json")
    write_gpt2_files(tokenizer, tmp_path)
    ranks = {tokenizer.token_bytes(i): i for i in range(tokenizer.vocab_size - 1)}
    text = "abc قُلْ 12345\n\n  x"
    for again in (
        read_huggingface(tmp_path / "tokenizer.json"),
        from_tiktoken(ranks, tokenizer.to_tiktoken()._pat_str),
    ):
        assert again.merges == tokenizer.merges
        assert again.encode(text) == tokenizer.encode(text)
    assert tuple(read_gpt2_merges(tmp_path)) == tokenizer.merges


def test_a_missing_header_or_last_line_end_is_accepted(bpe: BPETokenizer, tmp_path: Path) -> None:
    write_gpt2_files(bpe, tmp_path)
    file = tmp_path / "merges.txt"
    file.write_text(file.read_text(encoding="utf-8").split("\n", 1)[1].rstrip("\n"), "utf-8")
    assert tuple(read_gpt2_merges(tmp_path)) == bpe.merges


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("\n", "\n\n", "merge 1 must be two tokens"),
        (" ", "", "merge 1 must be two tokens"),
        ("#version: 0.2\n", "#version: 0.2\nb c\n", r"does not fit its merges \('bc'\)"),
    ],
)
def test_merges_that_do_not_fit_the_vocabulary_are_refused(
    bpe: BPETokenizer, tmp_path: Path, old: str, new: str, sentence: str
) -> None:
    write_gpt2_files(bpe, tmp_path)
    file = tmp_path / "merges.txt"
    header, merges = file.read_text(encoding="utf-8").split("\n", 1)
    changed = f"{header}\n{merges}".replace(old, new, 1)
    if old == " ":
        changed = f"{header}\n{merges.replace(old, new, 1)}"
    file.write_text(changed, encoding="utf-8")
    with pytest.raises(DataError, match=sentence):
        read_gpt2_merges(tmp_path)


def test_a_merges_file_that_is_not_utf8_is_refused(bpe: BPETokenizer, tmp_path: Path) -> None:
    write_gpt2_files(bpe, tmp_path)
    (tmp_path / "merges.txt").write_bytes(b"a b\n\xff")
    with pytest.raises(DataError, match=r"merges\.txt is not UTF-8 text: byte 4"):
        read_gpt2_merges(tmp_path)


@pytest.mark.parametrize("change", [{"zzzz": 9999}, {"<|endoftext|>": 0}, {"a": 3}])
def test_a_vocabulary_with_ids_in_another_order_is_refused(
    bpe: BPETokenizer, tmp_path: Path, change: dict[str, int]
) -> None:
    write_gpt2_files(bpe, tmp_path)
    file = tmp_path / "vocab.json"
    file.write_text(json.dumps(json.loads(file.read_text(encoding="utf-8")) | change))
    with pytest.raises(DataError, match=r"vocab\.json does not fit its merges"):
        read_gpt2_merges(tmp_path)
    file.write_text("[]")
    with pytest.raises(DataError, match=r"vocab\.json is no vocabulary"):
        read_gpt2_merges(tmp_path)


def wordpiece(content: dict[str, Any]) -> None:
    content["model"]["type"] = "WordPiece"


def other_split(content: dict[str, Any]) -> None:
    content["pre_tokenizer"] = {"type": "Whitespace"}


def no_split(content: dict[str, Any]) -> None:
    content["pre_tokenizer"] = None


def prefix_space(content: dict[str, Any]) -> None:
    content["pre_tokenizer"] = {"type": "ByteLevel", "add_prefix_space": True, "use_regex": True}


def specials_first(content: dict[str, Any]) -> None:
    vocabulary = content["model"]["vocab"]
    content["model"]["vocab"] = {token: i + 1 for token, i in vocabulary.items()}
    content["added_tokens"][0]["id"] = 0


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (wordpiece, r"model\.type must be BPE"),
        (other_split, "cuts text in a way that gptflow does not know"),
        (no_split, "cuts text in a way that gptflow does not know"),
        (prefix_space, "cuts text in a way that gptflow does not know"),
        (specials_first, "does not fit its merges"),
    ],
)
def test_an_unsupported_tokenizer_json_is_refused(
    bpe: BPETokenizer, tmp_path: Path, change: Callable[[dict[str, Any]], None], sentence: str
) -> None:
    file = tmp_path / "tokenizer.json"
    write_huggingface(bpe, file)
    content = json.loads(file.read_text(encoding="utf-8"))
    change(content)
    file.write_text(json.dumps(content))
    with pytest.raises(DataError, match=sentence):
        read_huggingface(file)


def test_ranks_in_another_order_are_refused(bpe: BPETokenizer) -> None:
    ranks = {bpe.token_bytes(i): i for i in range(bpe.vocab_size - 1)}
    with pytest.raises(DataError, match=r"must be 0, 1, 2, \.\.\. and begin with the bytes"):
        from_tiktoken({token: rank + 1 for token, rank in ranks.items()}, "gpt2")
    with pytest.raises(DataError, match=r"must be 0, 1, 2, \.\.\. and begin with the bytes"):
        from_tiktoken({bytes([i]): i for i in range(256)}, "gpt2")
    with pytest.raises(DataError, match=r"token 399 \(b'qqq'\) is not made of two earlier tokens"):
        from_tiktoken({**ranks, b"qqq": len(ranks)}, "gpt2")
