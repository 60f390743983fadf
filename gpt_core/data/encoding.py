"""Encode documents to token shards, in parallel; each worker writes complete files.

A large corpus is encoded by processes; a smaller one by threads if the tokenizer releases the GIL,
because processes take seconds to start. The corpus is cut into parts by its row groups and their
sizes alone, so the shards do not depend on the number of workers.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from gpt_core.artifact import Artifact, Draft, new_artifact
from gpt_core.checkpoints import TOKENIZER
from gpt_core.config import ShardConfig
from gpt_core.data.shards import ShardWriter
from gpt_core.engine import Engine, LocalEngine, group_sizes, run_serially
from gpt_core.errors import DataError
from gpt_core.files import Progress
from gpt_core.finished_parts import Finished, PartStore, open_parts
from gpt_core.text import SPLITS, RowGroup, list_row_groups, read_row_group
from gpt_core.tokenizers import Tokenizer, load_tokenizer

_MIN_PART_BYTES = 4 << 20  # of text; smaller files are not worth a worker
_PROCESS_BYTES = 1 << 28  # of text; from here on two processes gain more than their start takes
_TARGET_PARTS = 16  # enough that workers finish at about the same time
_BYTES_PER_TOKEN = 4  # an estimate, to convert tokens per shard to bytes of text


@dataclass(frozen=True, slots=True)
class _Part:
    """A shard to write, from consecutive row groups of one split."""

    groups: tuple[RowGroup, ...]
    split: str
    name: str
    """The shard's file name."""

    tokenizer: Path
    fingerprint: str
    folder: Path
    """The folder for the shard; it exists when ``_write_part`` is called."""


@dataclass(frozen=True, slots=True)
class _PartCounts:
    """Counts of one shard."""

    n_tokens: int
    n_bytes: int
    longest_document: int


def encode_corpus(
    documents: Artifact,
    tokenizer: Artifact,
    config: ShardConfig,
    out_dir: Path,
    *,
    engine: Engine | None = None,
    progress: Progress | None = None,
) -> Artifact:
    """Encode documents to token shards, each document followed by the end-of-document id.

    Args:
        documents: The clean corpus.
        tokenizer: The tokenizer, which is copied into the artifact.
        config: Tokens per shard and number of workers.
        out_dir: Directory of the artifact.
        engine: Runs the parts; None for ``config.workers`` of this machine.
        progress: Called with ``tokens``.

    Returns:
        A shards artifact with folders ``train``, ``validation`` and ``test``; ``info`` has the
        tokens, the bytes of text and the tokens of the longest document of each.

    Raises:
        DataError: If a document cannot be encoded.
    """
    parents = (documents, tokenizer)
    recorded = replace(config, workers=0)  # the shards do not depend on it
    planned = _plan(documents, tokenizer, config)
    small = sum(len(part.groups) for part in planned) <= 2 * len(SPLITS)
    with (
        open_parts(out_dir, keep=not small) as store,
        new_artifact(out_dir, kind="shards", config=recorded, parents=parents) as draft,
    ):
        loaded = _cached_tokenizer(tokenizer.directory, tokenizer.fingerprint)
        loaded.save(draft.directory / TOKENIZER)
        parts = [
            replace(part, folder=store.folder(part.split, number))
            for number, part in enumerate(planned)
        ]
        with LocalEngine(config.workers) as own:
            chosen = run_serially if small else engine or own
            inputs = [_input(part, parents) for part in parts]
            written = _write_all(store, chosen, parts, inputs, loaded.releases_gil, progress)
        _publish(parts, written, draft)
        draft.info |= {"vocab_size": loaded.vocab_size, "eos_id": loaded.eos_id}
        counts = _counts_by_split(parts, [each.result for each in written])
        draft.info |= counts
        draft.metrics |= {f"{split}_tokens": float(n) for split, n in counts["n_tokens"].items()}
    return draft.artifact


def _counts_by_split(parts: list[_Part], written: list[_PartCounts]) -> dict[str, dict[str, int]]:
    """The tokens, the bytes of text and the tokens of the longest document of each split."""
    counts: dict[str, dict[str, int]] = {"n_tokens": {}, "n_bytes": {}, "longest_document": {}}
    for split in SPLITS:
        of_split = [each for part, each in zip(parts, written, strict=True) if part.split == split]
        counts["n_tokens"][split] = sum(part.n_tokens for part in of_split)
        counts["n_bytes"][split] = sum(part.n_bytes for part in of_split)
        longest = max((part.longest_document for part in of_split), default=0)
        counts["longest_document"][split] = longest
    return counts


def _plan(documents: Artifact, tokenizer: Artifact, config: ShardConfig) -> list[_Part]:
    """Plan the shards: consecutive row groups of about equal size in bytes."""
    parts = []
    for split in SPLITS:
        groups = list_row_groups(documents, split)
        sizes = [group.n_bytes for group in groups]
        largest = config.tokens_per_shard * _BYTES_PER_TOKEN
        wanted = min(largest, max(_MIN_PART_BYTES, sum(sizes) // _TARGET_PARTS))
        for number, each in enumerate(group_sizes(sizes, wanted)):
            chosen = tuple(groups[each.start : each.stop])
            name, origin = f"part-{number:05d}.parquet", tokenizer.directory
            parts.append(_Part(chosen, split, name, origin, tokenizer.fingerprint, Path()))
    return parts


def _input(part: _Part, parents: tuple[Artifact, ...]) -> object:
    """All that the ids of a part depend on."""
    return parents, [(group.file.name, group.number) for group in part.groups], part.split


def _write_all(
    store: PartStore,
    engine: Engine,
    parts: list[_Part],
    inputs: list[object],
    releases_gil: bool,
    progress: Progress | None,
) -> list[Finished[_PartCounts]]:
    """Write all shards, those that are not finished."""
    n_bytes = sum(group.n_bytes for part in parts for group in part.groups)
    threads = releases_gil and n_bytes < _PROCESS_BYTES
    n_tokens = 0

    def done(written: _PartCounts) -> None:
        nonlocal n_tokens
        n_tokens += written.n_tokens
        if progress is not None:
            progress("tokens", n_tokens, None)

    return store.run(engine, _write_part, parts, inputs, _PartCounts, done=done, threads=threads)


def _publish(parts: list[_Part], written: list[Finished[_PartCounts]], draft: Draft) -> None:
    """Put the shards into the artifact."""
    for split in SPLITS:
        (draft.directory / split).mkdir()
    for part, each in zip(parts, written, strict=True):
        each.publish(part.name, draft.directory / part.split / part.name, draft)


@lru_cache(maxsize=2)
def _cached_tokenizer(directory: Path, fingerprint: str) -> Tokenizer:
    """The tokenizer, which a worker loads once for all its parts."""
    return load_tokenizer(directory)


def _write_part(part: _Part) -> _PartCounts:
    """Encode the row groups of one part to one file."""
    tokenizer = _cached_tokenizer(part.tokenizer, part.fingerprint)
    n_bytes = longest = 0
    end = np.array([tokenizer.eos_id], dtype=np.uint32)
    with ShardWriter(
        part.folder / part.name,
        vocab_size=tokenizer.vocab_size,
        eos_id=tokenizer.eos_id,
        tokenizer_fingerprint=part.fingerprint,
    ) as writer:
        for group in part.groups:
            encoded = [end[:0]]
            for text in read_row_group(group.file, group.number):
                try:
                    token_ids = tokenizer.encode_array(text)
                except DataError as error:
                    raise DataError(f"{group.file}, row group {group.number}: {error}") from error
                n_bytes += len(text.encode())
                longest = max(longest, len(token_ids))
                encoded += [token_ids, end]
            writer.write(np.concatenate(encoded))
    return _PartCounts(writer.n_tokens, n_bytes, longest)
