"""Notice that a model is tested on what it was fine-tuned on.

A fine-tuned checkpoint keeps a hash of each text that it or its base was tuned on, eight bytes
each, equal for texts that differ only in case, marks and punctuation.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from gpt_core.artifact import Artifact, Draft
from gpt_core.callbacks import Callback
from gpt_core.text import (
    Example,
    InstructionExample,
    PreferencePair,
    asked_text,
    parquet_errors,
    source_path,
    text_hash,
)

SEEN = "tuned_on.parquet"
"""The file of a checkpoint with the hashes: ``hash`` and the name of the ``source``."""

Counts = dict[str, float]
"""Metrics that are numbers of texts."""

Examples = Iterable[Example] | Iterable[InstructionExample] | Iterable[PreferencePair]
"""Training examples of any fine-tune; of each the part that the model is asked is compared."""

_SCHEMA = pa.schema([("hash", pa.uint64()), ("source", pa.dictionary(pa.int32(), pa.string()))])


def read_seen(checkpoint: Path) -> dict[int, str]:
    """The hashes of what a model was fine-tuned on, with the names of the sources.

    Raises:
        DataError: If the file is damaged.
    """
    file = checkpoint / SEEN
    if not file.is_file():
        return {}
    with parquet_errors(str(file)):
        table = pq.read_table(file, schema=_SCHEMA)
        return dict(zip(table["hash"].to_pylist(), table["source"].to_pylist(), strict=True))


def write_seen(
    draft: Draft,
    train: Examples,
    base: Artifact,
    examples: Artifact,
    held: Mapping[str, Artifact],
) -> None:
    """Record in a checkpoint what it was fine-tuned on.

    Args:
        draft: The unfinished checkpoint.
        train: The examples of its training split.
        base: The model that was fine-tuned.
        examples: The source of the examples.
        held: The files that are splits of their own; the manifest names their fingerprints.
    """
    source = source_path(examples).name
    seen = read_seen(base.directory) | {text_hash(asked_text(row)): source for row in train}
    hashes = sorted(seen)
    columns = [
        pa.array(hashes, pa.uint64()),
        pa.array([seen[each] for each in hashes]).dictionary_encode(),
    ]
    pq.write_table(pa.table(columns, schema=_SCHEMA), draft.directory / SEEN)
    if held:
        draft.info["held"] = {name: each.fingerprint for name, each in held.items()}


def count_seen_held(splits: Mapping[str, Examples], base: Artifact, listeners: Callback) -> Counts:
    """Count the validation and test texts that a model was fine-tuned on before.

    Args:
        splits: The examples of each split by its name.
        base: The model before this fine-tune.
        listeners: Receive a notice for each split that has some.
    """
    seen, counts = read_seen(base.directory), Counts()
    for part in ("validation", "test"):
        texts = map(asked_text, splits[part])
        counts |= count_seen(texts, seen, part, listeners)
    return counts


def count_seen(
    texts: Iterable[str], seen: dict[int, str], part: str, listeners: Callback
) -> Counts:
    """Count the texts that a model was fine-tuned on before, and say so if there are any.

    Args:
        texts: The texts of a split for validation or test.
        seen: What the model was fine-tuned on.
        part: Name of the split.
        listeners: Receive the notice.

    Returns:
        The number as the metric ``{part}_seen``; nothing if it is 0.
    """
    hashes = [text_hash(text) for text in texts]
    found = [seen[each] for each in hashes if each in seen]
    if not found:
        return {}
    sources = ", ".join(sorted(set(found)))
    listeners.on_notice(
        f"{len(found):,} of {len(hashes):,} texts of the {part} part were in what the model was "
        f"fine-tuned on before ({sources:.200}): its {part} metrics are too good"
    )
    return {f"{part}_seen": float(len(found))}
