"""Encode documents to token shards, in parallel; each worker writes complete files.

Uses threads if the tokenizer releases the GIL, else processes. The corpus is cut into parts by its
row groups and their sizes alone, so the shards do not depend on the number of workers.
"""

import multiprocessing
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

import numpy as np

from gpt_core.artifact import Artifact, new_artifact
from gpt_core.checkpoints import TOKENIZER
from gpt_core.config import ShardConfig
from gpt_core.cores import usable_cores
from gpt_core.data.shards import ShardWriter
from gpt_core.errors import DataError
from gpt_core.files import Progress
from gpt_core.text import SPLITS, count_row_groups, documents_file, read_row_group
from gpt_core.text.parquet_files import open_parquet
from gpt_core.tokenizers import Tokenizer, load_tokenizer

_MIN_PART_BYTES = 4 << 20  # of text; smaller files are not worth a worker
_TARGET_PARTS = 16  # enough that workers finish at about the same time
_BYTES_PER_TOKEN = 4  # an estimate, to convert tokens per shard to bytes of text


@dataclass(frozen=True, slots=True)
class _Part:
    """A shard to write, from consecutive row groups of one split."""

    source: Path
    groups: range
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
    progress: Progress | None = None,
) -> Artifact:
    """Encode documents to token shards, each document followed by the end-of-document id.

    Args:
        documents: The clean corpus.
        tokenizer: The tokenizer, which is copied into the artifact.
        config: Tokens per shard and number of workers.
        out_dir: Directory of the artifact.
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
        loaded = load_tokenizer(tokenizer.directory)
        loaded.save(draft.directory / TOKENIZER)
        parts = _plan(documents, tokenizer, config, draft.directory)
        written = _write_all(parts, loaded, config.workers or usable_cores(), progress)
        draft.info |= {"vocab_size": loaded.vocab_size, "eos_id": loaded.eos_id}
        n_tokens, n_bytes, longest = {}, {}, {}
        for split in SPLITS:
            of_split = [written[part] for part in parts if part.target.parent.name == split]
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
        file = documents_file(documents, split)
        (out_dir / split).mkdir()
        sizes = _group_bytes(file, count_row_groups(documents, split))
        largest = config.tokens_per_shard * _BYTES_PER_TOKEN
        wanted = min(largest, max(_MIN_PART_BYTES, sum(sizes) // _TARGET_PARTS))
        for number, groups in enumerate(_runs(sizes, wanted)):
            target = out_dir / split / f"part-{number:05d}.parquet"
            parts.append(_Part(file, groups, target, tokenizer.directory, tokenizer.fingerprint))
    return parts


def _group_bytes(file: Path, n_groups: int) -> list[int]:
    """Uncompressed bytes of each row group, from the footer."""
    metadata = open_parquet(file, str(file)).metadata
    return [int(metadata.row_group(i).total_byte_size) for i in range(n_groups)]


def _runs(sizes: list[int], wanted: int) -> list[range]:
    """Group consecutive sizes to ranges of about ``wanted``; at least one, which may be empty.

    Example:
        >>> _runs([3, 3, 3, 1], 5)
        [range(0, 2), range(2, 4)]
    """
    runs, start, filled = [], 0, 0
    for index, size in enumerate(sizes):
        if filled and filled + size // 2 > wanted:
            runs.append(range(start, index))
            start, filled = index, 0
        filled += size
    return [*runs, range(start, len(sizes))]


def _write_all(
    parts: list[_Part], tokenizer: Tokenizer, workers: int, progress: Progress | None
) -> dict[_Part, _PartCounts]:
    """Write all shards, with one worker if the corpus is small."""
    workers = min(workers, len([part for part in parts if len(part.groups)]))
    small = sum(len(part.groups) for part in parts) <= 2 * len(SPLITS)
    workers = 1 if small else max(1, workers)
    written: dict[_Part, _PartCounts] = {}
    write: Callable[[_Part], _PartCounts] = partial(_write_part, tokenizer=tokenizer)
    pool: Executor = ThreadPoolExecutor(workers)
    if workers > 1 and not tokenizer.releases_gil:
        write = _write_part_in_process
        # Unlike forked processes, spawned ones are safe in a process with threads.
        pool = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))
    with pool:
        waiting = {pool.submit(write, part): part for part in parts}
        try:
            for future in as_completed(waiting):
                written[waiting[future]] = future.result()
                if progress is not None:
                    progress("tokens", sum(done.n_tokens for done in written.values()), None)
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    return written


def _write_part_in_process(part: _Part) -> _PartCounts:
    """Encode one part in a worker process, which loads the tokenizer once."""
    return _write_part(part, _cached_tokenizer(part.tokenizer))


@cache
def _cached_tokenizer(directory: Path) -> Tokenizer:
    return load_tokenizer(directory)


def _write_part(part: _Part, tokenizer: Tokenizer) -> _PartCounts:
    """Encode the row groups of one part to one file."""
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
            for text in read_row_group(part.source, group):
                try:
                    token_ids = tokenizer.encode_array(text)
                except DataError as error:
                    raise DataError(f"{part.source}, row group {group}: {error}") from error
                n_bytes += len(text.encode())
                longest = max(longest, len(token_ids))
                encoded += [token_ids, end]
            writer.write(np.concatenate(encoded))
    return _PartCounts(writer.n_tokens, n_bytes, longest)
