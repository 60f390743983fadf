"""Encode documents to token shards, in parallel; each worker writes complete files.

Uses threads if the tokenizer releases the GIL, else processes. The corpus is cut into parts by its
row groups and their sizes alone, so the shards do not depend on the number of workers.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from gpt_core.artifact import Artifact, new_artifact
from gpt_core.checkpoints import TOKENIZER
from gpt_core.config import ShardConfig
from gpt_core.data.shards import ShardWriter
from gpt_core.engine import Engine, LocalEngine, group_sizes, run_serially
from gpt_core.errors import DataError
from gpt_core.files import Progress
from gpt_core.text import SPLITS, RowGroup, list_row_groups, read_row_group
from gpt_core.tokenizers import Tokenizer, load_tokenizer

_MIN_PART_BYTES = 4 << 20  # of text; smaller files are not worth a worker
_TARGET_PARTS = 16  # enough that workers finish at about the same time
_BYTES_PER_TOKEN = 4  # an estimate, to convert tokens per shard to bytes of text


@dataclass(frozen=True, slots=True)
class _Part:
    """A shard to write, from consecutive row groups of one split."""

    groups: tuple[RowGroup, ...]
    target: Path
    tokenizer: Path
    fingerprint: str


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
    with new_artifact(out_dir, kind="shards", config=recorded, parents=parents) as draft:
        loaded = _cached_tokenizer(tokenizer.directory, tokenizer.fingerprint)
        loaded.save(draft.directory / TOKENIZER)
        parts = _plan(documents, tokenizer, config, draft.directory)
        with LocalEngine(config.workers) as own:
            written = _write_all(parts, loaded, engine or own, progress)
        draft.info |= {"vocab_size": loaded.vocab_size, "eos_id": loaded.eos_id}
        n_tokens, n_bytes, longest = {}, {}, {}
        for split in SPLITS:
            of_split = [
                counts
                for part, counts in zip(parts, written, strict=True)
                if part.target.parent.name == split
            ]
            n_tokens[split] = sum(part.n_tokens for part in of_split)
            n_bytes[split] = sum(part.n_bytes for part in of_split)
            longest[split] = max((part.longest_document for part in of_split), default=0)
        draft.info |= {"n_tokens": n_tokens, "n_bytes": n_bytes, "longest_document": longest}
        draft.metrics |= {f"{split}_tokens": float(n) for split, n in n_tokens.items()}
    return draft.artifact


def _plan(
    documents: Artifact, tokenizer: Artifact, config: ShardConfig, out_dir: Path
) -> list[_Part]:
    """Plan the shards: consecutive row groups of about equal size in bytes."""
    parts = []
    for split in SPLITS:
        (out_dir / split).mkdir()
        groups = list_row_groups(documents, split)
        sizes = [group.n_bytes for group in groups]
        largest = config.tokens_per_shard * _BYTES_PER_TOKEN
        wanted = min(largest, max(_MIN_PART_BYTES, sum(sizes) // _TARGET_PARTS))
        for number, each in enumerate(group_sizes(sizes, wanted)):
            target = out_dir / split / f"part-{number:05d}.parquet"
            chosen = tuple(groups[each.start : each.stop])
            parts.append(_Part(chosen, target, tokenizer.directory, tokenizer.fingerprint))
    return parts


def _write_all(
    parts: list[_Part], tokenizer: Tokenizer, engine: Engine, progress: Progress | None
) -> list[_PartCounts]:
    """Write all shards, in this process if the corpus is small."""
    if sum(len(part.groups) for part in parts) <= 2 * len(SPLITS):
        engine = run_serially
    n_tokens = 0

    def done(written: _PartCounts) -> None:
        nonlocal n_tokens
        n_tokens += written.n_tokens
        if progress is not None:
            progress("tokens", n_tokens, None)

    return engine(_write_part, parts, done=done, threads=tokenizer.releases_gil)


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
        part.target,
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
