"""Read the tokenizer of a release: GPT-2's, or that of another model of its architecture."""

from pathlib import Path

from gpt_core.checkpoints import TOKENIZER
from gpt_core.errors import ConversionError, DataError
from gpt_core.tokenizers import (
    END_OF_TEXT,
    MERGES_NAMES,
    BPEFiles,
    BPETokenizer,
    GPT2Tokenizer,
    RemappedBPETokenizer,
    Tokenizer,
    is_gpt2_vocabulary,
    load_tokenizer,
    read_tokenizer_json,
    read_vocab_and_merges,
    token_strings,
)

_MAX_PADDING = 127  # unused ids: vocabularies are often padded to a multiple of 128


def read_release_tokenizer(described: Path, vocab_size: int, eos_id: int | None) -> Tokenizer:
    """Read the tokenizer of a release.

    Args:
        described: The file that describes the model. Next to it are a ``tokenizer`` folder of
            gptflow, ``encoder.json`` and ``vocab.bpe``, ``vocab.json`` and ``merges.txt``, or
            ``tokenizer.json``.
        vocab_size: Number of ids of the model.
        eos_id: Id that ends a document, or None if the release does not say.

    Raises:
        ConversionError: If the vocabulary is not that of the model.
        DataError: If it is missing or damaged, or no token ends a document.
    """
    directory = described.parent
    if (directory / TOKENIZER).is_dir():
        tokenizer = load_tokenizer(directory / TOKENIZER)
        _require_size(tokenizer.vocab_size, vocab_size, described, max_padding=0)
        return tokenizer
    one = directory / "tokenizer.json"
    has_merges = any((directory / name).is_file() for name in MERGES_NAMES)
    files = (
        read_tokenizer_json(one)
        if one.is_file() and not has_merges
        else read_vocab_and_merges(directory)
    )
    n_ids = max(files.vocabulary.values(), default=-1) + 1
    _require_size(n_ids, vocab_size, described, max_padding=_MAX_PADDING)
    return _to_tokenizer(files, vocab_size, eos_id, directory)


def _to_tokenizer(
    files: BPEFiles, vocab_size: int, eos_id: int | None, directory: Path
) -> Tokenizer:
    """Under GPT-2's numbers where they are these, else with a table of the numbers."""
    tokens = token_strings(files.merges)
    missing = next((token for token in tokens if token not in files.vocabulary), None)
    if missing is not None:
        raise DataError(f"{directory}: the vocabulary lacks {missing!r}, which its merges make")
    ids = [files.vocabulary[token] for token in tokens]
    made = set(tokens)
    controls = {token: i for token, i in files.vocabulary.items() if token not in made}
    base = BPETokenizer(files.merges, files.pattern)
    if ids == list(range(base.eos_id)) and controls == {END_OF_TEXT: base.eos_id}:
        released = is_gpt2_vocabulary(files.merges) and files.pattern == "gpt2"
        if vocab_size == base.vocab_size:
            return GPT2Tokenizer(files.merges, "gpt2") if released else base
    end = eos_id if eos_id in controls.values() else controls.get(END_OF_TEXT)
    if end is None:
        raise DataError(
            f"{directory} does not say which token ends a document: set eos_token_id in "
            "config.json to the id of a control token"
        )
    return RemappedBPETokenizer(base, ids, controls, end, vocab_size)


def _require_size(found: int, vocab_size: int, described: Path, *, max_padding: int) -> None:
    if not found <= vocab_size <= found + max_padding:
        raise ConversionError(
            f"{described}: the model has {vocab_size} tokens, but the vocabulary beside it has "
            f"{found}: put the model's own vocabulary there"
        )
