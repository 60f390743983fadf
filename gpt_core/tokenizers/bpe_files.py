"""Read and write byte-level BPE in the formats of GPT-2, Hugging Face and tiktoken.

All of them store the tokens and the order of the merges. A ``BPETokenizer`` is read only if the ids
are in GPT-2's order: 256 bytes, the merges, ``<|endoftext|>`` last.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from gpt_core.errors import DataError
from gpt_core.files import atomic_write_text, read_json, write_json
from gpt_core.tokenizers.bpe import (
    END_OF_TEXT,
    N_BYTES,
    BPETokenizer,
    Pair,
    byte_ids,
    merge_pair,
    merge_strings,
    parse_merges,
    token_strings,
)
from gpt_core.tokenizers.split_patterns import name_of_pattern, split_pattern

VOCABULARY_NAMES = ("encoder.json", "vocab.json")
MERGES_NAMES = ("vocab.bpe", "merges.txt")
"""OpenAI's and Hugging Face's names of the file of merges."""
BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
"""Hugging Face's name for the bytes' characters, in which GPT-2 spells tokens."""

_HEADER = "#version: 0.2"


@dataclass(frozen=True, slots=True)
class BPEFiles:
    """The content of byte-level BPE files, with ids in any order."""

    vocabulary: Mapping[str, int]
    """Ids by token, as spelled in the files, control tokens included."""

    merges: list[Pair]
    """Pairs of ids in GPT-2's order."""

    pattern: str
    """Name of the split pattern, or a regular expression."""


def read_vocab_and_merges(directory: Path) -> BPEFiles:
    """Read ``encoder.json`` and ``vocab.bpe``, or ``vocab.json`` and ``merges.txt``.

    The split pattern is not in these files; it is GPT-2's.

    Raises:
        DataError: If a file is missing or damaged.
    """
    vocabulary = _find(directory, VOCABULARY_NAMES)
    file = _find(directory, MERGES_NAMES)
    try:
        lines = file.read_text(encoding="utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise DataError(f"{file} is not UTF-8 text: byte {error.start} cannot be read") from error
    if lines and lines[0].startswith("#version"):
        del lines[0]
    merges = _read(lines[:-1] if lines and not lines[-1] else lines, file)
    return BPEFiles(_require_vocabulary(read_json(vocabulary), vocabulary), merges, "gpt2")


def read_tokenizer_json(file: Path) -> BPEFiles:
    """Read Hugging Face's ``tokenizer.json``.

    Raises:
        DataError: If it is missing, damaged, of another model, or has an unknown pre-tokenizer.
    """
    content = read_json(file)
    model = content.get("model") if isinstance(content, dict) else None
    model = model if isinstance(model, dict) else {}
    if model.get("type") != "BPE" or not {"vocab", "merges"} <= model.keys():
        raise DataError(f"{file} is not a BPE tokenizer of Hugging Face: model.type must be BPE")
    merges = _read(model["merges"], file)
    vocabulary = {**_require_vocabulary(model["vocab"], file)}
    try:
        vocabulary |= {token["content"]: token["id"] for token in content.get("added_tokens") or ()}
    except (TypeError, KeyError) as error:
        raise DataError(f"{file}: each of added_tokens needs a content and an id") from error
    vocabulary = dict(_require_vocabulary(vocabulary, file))
    return BPEFiles(vocabulary, merges, _pattern_in(content.get("pre_tokenizer"), file))


def read_gpt2_merges(directory: Path) -> list[Pair]:
    """Read the merges of a vocabulary in GPT-2's two files; see ``read_vocab_and_merges``.

    Raises:
        DataError: If a file is missing or damaged, or the two do not fit each other.
    """
    files = read_vocab_and_merges(directory)
    _require_gpt2_ids(files, _find(directory, VOCABULARY_NAMES))
    return files.merges


def write_gpt2_files(tokenizer: BPETokenizer, directory: Path) -> None:
    """Write ``vocab.json`` and ``merges.txt``, which ``transformers`` reads as GPT-2's tokenizer.

    They do not contain the split pattern: a reader assumes GPT-2's.
    """
    write_json(directory / "vocab.json", _vocabulary(tokenizer.merges))
    with atomic_write_text(directory / "merges.txt") as file:
        file.write(f"{_HEADER}\n")
        file.writelines(f"{a} {b}\n" for a, b in merge_strings(tokenizer.merges))


def read_huggingface(file: Path) -> BPETokenizer:
    """Load a byte-level BPE tokenizer from Hugging Face's ``tokenizer.json``.

    Raises:
        DataError: If it is missing, of another model, or its ids are not in GPT-2's order.
    """
    files = read_tokenizer_json(file)
    _require_gpt2_ids(files, file)
    return BPETokenizer(files.merges, files.pattern)


def write_huggingface(
    tokenizer: BPETokenizer,
    file: Path,
    ids: tuple[Mapping[str, int], Mapping[str, int]] | None = None,
) -> None:
    """Write Hugging Face's ``tokenizer.json``, which ``tokenizers`` and ``transformers`` read.

    Args:
        tokenizer: Merges and pattern.
        file: The file to write.
        ids: Ids of the tokens and of control tokens; None for GPT-2's order.
    """
    split = {
        "type": "Split",
        "pattern": {"Regex": split_pattern(tokenizer.pattern).published},
        "behavior": "Isolated",
        "invert": False,
    }
    vocabulary, controls = ids or (_vocabulary(tokenizer.merges), {})
    controls = controls or {END_OF_TEXT: vocabulary[END_OF_TEXT]}
    model = {
        "type": "BPE",
        "dropout": None,
        "unk_token": None,
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": False,
        "byte_fallback": False,
        "ignore_merges": False,
        "vocab": {**vocabulary, **controls},
        "merges": merge_strings(tokenizer.merges),
    }
    steps = [split, {**BYTE_LEVEL, "use_regex": False}]
    content = huggingface_form(
        model,
        specials=controls,
        pre_tokenizer={"type": "Sequence", "pretokenizers": steps},
        decoder={**BYTE_LEVEL, "use_regex": True},
    )
    write_json(file, content)


def huggingface_form(
    model: Mapping[str, object],
    *,
    specials: Mapping[str, int],
    decoder: Mapping[str, object],
    normalizer: Mapping[str, object] | None = None,
    pre_tokenizer: Mapping[str, object] | None = None,
) -> dict[str, object]:
    """The content of a ``tokenizer.json``.

    Args:
        model: The merges or pieces.
        specials: Ids of the control tokens.
        decoder: Makes text of tokens.
        normalizer: Changes a text before it is split.
        pre_tokenizer: Splits a text.
    """
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": number, "content": token, "special": True, **flags}
            for token, number in sorted(specials.items(), key=lambda item: item[1])
        ],
        "normalizer": normalizer,
        "pre_tokenizer": pre_tokenizer,
        "post_processor": None,
        "decoder": decoder,
        "model": model,
    }


def from_tiktoken(ranks: Mapping[bytes, int], pattern: str) -> BPETokenizer:
    """Reconstruct a tokenizer from tiktoken's ranks, which do not contain the merges.

    Args:
        ranks: Ids by the bytes of their tokens.
        pattern: The encoding's regular expression.

    Raises:
        DataError: If the ids are not in GPT-2's order, or a token has no two earlier parts.
    """
    tokens = sorted(ranks, key=ranks.__getitem__)
    table = byte_ids()
    if [ranks[token] for token in tokens] != list(range(len(tokens))) or any(
        len(token) != 1 or table[token[0]] != i for i, token in enumerate(tokens[:N_BYTES])
    ):
        raise DataError("the ranks must be 0, 1, 2, ... and begin with the bytes in GPT-2's order")
    merges: list[Pair] = []
    for rank, token in enumerate(tokens[N_BYTES:], start=N_BYTES):
        parts = _parts(token, rank, ranks, tokens)
        if len(parts) != 2:
            raise DataError(f"token {rank} ({token!r}) is not made of two earlier tokens")
        merges.append((parts[0], parts[1]))
    return BPETokenizer(merges, name_of_pattern(pattern))


def _parts(
    token: bytes, rank: int, ranks: Mapping[bytes, int], tokens: Sequence[bytes]
) -> list[int]:
    """The ids to which a token's bytes merge if only tokens of lower rank exist."""
    ids = [ranks[bytes([byte])] for byte in token]
    while len(ids) > 2:
        joined = {ranks.get(tokens[a] + tokens[b], rank): (a, b) for a, b in pairwise(ids)}
        lowest = min(joined)
        if lowest >= rank:
            break
        ids = merge_pair(ids, joined[lowest], lowest)
    return ids


def _find(directory: Path, names: Sequence[str]) -> Path:
    for name in names:
        if (directory / name).is_file():
            return directory / name
    raise DataError(
        f"{directory} has neither {names[0]} nor {names[1]}: put the vocabulary's two files there "
        "or set tokenizer.directory to where they are"
    )


def _read(lines: object, file: Path) -> list[Pair]:
    if not isinstance(lines, list):
        raise DataError(f"{file}: the merges should be a list")
    try:
        return parse_merges(lines)
    except DataError as error:
        raise DataError(f"{file}: {error}") from error


def _vocabulary(merges: Sequence[Pair]) -> dict[str, int]:
    return {token: i for i, token in enumerate([*token_strings(merges), END_OF_TEXT])}


def _require_vocabulary(found: object, file: Path) -> Mapping[str, int]:
    numbered = isinstance(found, dict) and all(
        isinstance(token, str) and type(value) is int for token, value in found.items()
    )
    if not numbered:
        raise DataError(f"{file} is no vocabulary: it must give each token a number")
    assert isinstance(found, dict)
    return found


def _require_gpt2_ids(files: BPEFiles, file: Path) -> None:
    """Raise unless the vocabulary is the one that the merges make, in GPT-2's order."""
    expected, found = _vocabulary(files.merges), files.vocabulary
    if found != expected:
        wrong = (token for token, i in expected.items() if found.get(token) != i)
        differing = next(wrong, "a token that no merge makes")
        raise DataError(
            f"{file} does not fit its merges ({differing!r}): the ids must be the 256 bytes in "
            f"GPT-2's order, the merges in theirs and {END_OF_TEXT} last"
        )


def _pattern_in(pre_tokenizer: object, file: Path) -> str:
    """The split pattern of a ``tokenizer.json``."""
    found = pre_tokenizer if isinstance(pre_tokenizer, dict) else {}
    steps = found.get("pretokenizers", [found])
    for step in steps if isinstance(steps, list) else []:
        if not isinstance(step, dict):
            continue
        pattern = step.get("pattern")
        expression = pattern.get("Regex") if isinstance(pattern, dict) else None
        if step.get("type") == "Split" and isinstance(expression, str):
            return name_of_pattern(expression)
        if step and step.get("type") == "ByteLevel" and step.get("use_regex", True):
            if step.get("add_prefix_space"):
                break
            return "gpt2"
    raise DataError(
        f"{file} cuts text in a way that gptflow does not know: its pre_tokenizer must be "
        "ByteLevel without add_prefix_space, or Split by a Regex"
    )
