"""A run's checkpoints: writing them atomically, finding the newest and the best, pruning."""

import logging
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from filelock import FileLock, Timeout
from torch import Tensor

from gpt_core.artifact import (
    Artifact,
    new_artifact,
    read_artifact,
    recorded_config,
    to_json_value,
    verify,
)
from gpt_core.callbacks import METRICS, SAMPLES
from gpt_core.checkpoints import (
    CONFIG,
    SHARDED_STATE,
    TOKENIZER,
    TRAINING_STATE,
    WEIGHTS,
    CheckpointDescription,
    list_steps,
    read_description,
    step_directory,
    step_of_directory,
    write_checkpoint,
)
from gpt_core.config import PretrainConfig, find_difference
from gpt_core.durable import remove_directory, sync_file
from gpt_core.errors import CheckpointError, DataError
from gpt_core.files import copy_directory, disk_errors
from gpt_core.models import parameter_shapes, require_weights, write_tensors
from gpt_core.tokenizers import first_difference, load_tokenizer
from gpt_core.training.state_file import write_state
from gpt_core.training.trainer import TrainerState

_LOCK, _OWNER = "run.lock", "run.pid"
_LOG = logging.getLogger(__name__)


@contextmanager
def lock_run_dir(out_dir: Path) -> Iterator[None]:
    """Lock a run's directory; the lock is released when the process ends, however it ends.

    Raises:
        CheckpointError: If another process holds it.
        DataError: If the directory cannot be written.
    """
    lock, owner = FileLock(out_dir / _LOCK, timeout=0), out_dir / _OWNER
    with disk_errors(out_dir):
        out_dir.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire()
        except Timeout as error:
            known = owner.read_text(encoding="utf-8") if owner.is_file() else ""
            process = known or "of another run"  # it has not written its number yet
            raise CheckpointError(
                f"{out_dir} is in use by process {process}: wait for it to end or train into "
                "another directory"
            ) from error
    try:
        with disk_errors(out_dir):
            owner.write_text(str(os.getpid()), encoding="utf-8")
        yield
    finally:
        lock.release()


@dataclass(frozen=True, kw_only=True, slots=True)
class Snapshot:
    """The content of one checkpoint."""

    step: int
    """Steps done."""

    weights: Mapping[str, Tensor]
    """The model's weights by name, averaged if there is an average."""

    state: TrainerState
    """Everything else that a resumed run needs to give the same bits."""

    config: PretrainConfig
    """With the model's vocabulary size filled in."""

    parents: Sequence[Artifact]
    """The training shards and, if there is one, the initial checkpoint."""

    metrics: Mapping[str, float]
    ended: bool = False
    """Whether this is the run's last checkpoint."""


def save_checkpoint(
    out_dir: Path, snapshot: Snapshot, *, sharded_state: Path | None = None
) -> Artifact:
    """Write one checkpoint: weights, training state, configuration and tokenizer.

    Args:
        out_dir: The run's directory.
        snapshot: The content.
        sharded_state: A folder with the shards of the state that the ranks wrote; it is moved.

    Raises:
        DataError: If it cannot be written.
    """
    config, step, parents = snapshot.config, snapshot.step, snapshot.parents
    target = step_directory(out_dir, step)
    with new_artifact(target, kind="checkpoint", config=config, parents=parents) as draft:
        write_checkpoint(
            draft,
            CheckpointDescription(kind="pretrained", step=step, model=config.model),
            save_weights=partial(write_tensors, snapshot.weights),
            save_tokenizer=partial(copy_directory, parents[0].directory / TOKENIZER),
        )
        draft.info["ended"] = snapshot.ended
        write_state(snapshot.state, draft.directory / TRAINING_STATE)
        if sharded_state is not None:
            sharded_state.rename(draft.directory / SHARDED_STATE)
        draft.metrics |= snapshot.metrics
        sync_records(out_dir)
    return draft.artifact


def sync_records(out_dir: Path) -> None:
    """Flush the run's records to disk: their steps are not repeated once the checkpoint is."""
    for name in (METRICS, SAMPLES):
        if (out_dir / name).is_file():
            sync_file(out_dir / name)


def step_of(checkpoint: Artifact | None) -> int:
    """The step that a checkpoint was saved at; 0 for None."""
    return 0 if checkpoint is None else checkpoint.manifest().info_int("step")


def latest_checkpoint(out_dir: Path) -> tuple[Artifact | None, list[str]]:
    """Find the newest intact checkpoint of a pretraining run, see ``find_latest``."""
    return find_latest(out_dir, "checkpoint", _require_resumable)


def find_latest(
    out_dir: Path, kind: str, require: Callable[[Artifact], None]
) -> tuple[Artifact | None, list[str]]:
    """Find the newest intact checkpoint, verifying every byte.

    Args:
        out_dir: The run's directory.
        kind: The kind of artifact that its checkpoints are.
        require: Raises a CheckpointError or a DataError for one that cannot be resumed from.

    Returns:
        The checkpoint or None, and a sentence for each newer one that is damaged.
    """
    damaged: list[str] = []
    intact: Artifact | None = None
    for directory in list_steps(out_dir):
        try:
            checkpoint = read_artifact(directory, kind)
            verify(checkpoint)
            require(checkpoint)
        except (DataError, CheckpointError) as error:
            damaged.append(str(error))
            continue
        intact = checkpoint
        break
    then = "the checkpoint before it is used" if intact else "no earlier one is intact"
    notices = [f"{sentence}; {then}" for sentence in damaged]
    for notice in notices:
        _LOG.warning(notice)
    return intact, notices


def _require_resumable(checkpoint: Artifact) -> None:
    """Check that everything a resumed run reads is there and is of one model.

    Raises:
        CheckpointError: If a file is missing, the weights are not those of the described model, or
            the description is of another step.
        DataError: If the manifest lacks a value.
    """
    manifest, directory = checkpoint.manifest(), checkpoint.directory
    step, ended = manifest.info_int("step"), manifest.info_bool("ended")
    description = read_description(directory)
    if not step == description.step == step_of_directory(directory):
        raise CheckpointError(f"{directory} has the description of step {description.step}")
    require_weights(directory / WEIGHTS, parameter_shapes(description.model))
    missing = {WEIGHTS, CONFIG, *([] if ended else [TRAINING_STATE])} - manifest.files.keys()
    if missing:
        raise CheckpointError(f"{directory} lacks {min(missing)}")


def best_checkpoint(out_dir: Path) -> Artifact | None:
    """Find the checkpoint with the lowest validation loss; the newest if none was evaluated."""
    best: tuple[float, Artifact] | None = None
    newest: Artifact | None = None
    for directory in list_steps(out_dir):
        try:
            checkpoint = read_artifact(directory, "checkpoint")
        except DataError:
            continue
        newest = newest or checkpoint
        loss = checkpoint.metrics().get("validation_loss")
        if loss is not None and (best is None or loss < best[0]):
            best = (loss, checkpoint)
    return best[1] if best else newest


def require_best(out_dir: Path) -> Artifact:
    """Find the best checkpoint of a run that has ended.

    Raises:
        CheckpointError: If there is none.
    """
    best = best_checkpoint(out_dir)
    if best is None:
        raise CheckpointError(f"{out_dir} has no checkpoint after training: was it deleted?")
    return best


def prune(out_dir: Path, keep_last: int) -> None:
    """Delete all checkpoints except the newest ``keep_last`` and the best."""
    best = best_checkpoint(out_dir)
    for directory in list_steps(out_dir)[keep_last:]:
        if best is None or directory != best.directory:
            remove_directory(directory)  # a half-deleted checkpoint must not look intact


def remove_leftovers(out_dir: Path) -> None:
    """Delete what a killed process left half-written or half-deleted.

    Call with the run's lock held: otherwise these files may be in use.
    """
    for path in out_dir.glob(".*"):
        ours = path.name.startswith((".step-", ".metrics.jsonl.", ".samples.jsonl."))
        if ours and path.is_dir():
            shutil.rmtree(path)
        elif ours:
            path.unlink()


def require_same_run(
    checkpoint: Artifact, config: PretrainConfig, parents: Sequence[Artifact]
) -> None:
    """Raise unless a checkpoint has the configuration and the data of the run to resume.

    The micro-batch size may differ if the run chose it itself (``fit_memory``).

    Args:
        checkpoint: The one to resume from.
        config: With the model's vocabulary size filled in.
        parents: The shards and, if there is one, the run's initial checkpoint.

    Raises:
        CheckpointError: Naming the first setting that differs, or that the data does.
    """
    manifest = checkpoint.manifest()
    if config.compute.fit_memory:
        config = config.with_micro_batch(manifest.config_int("training", "micro_batch"))
    other = "the token shards are not the ones it was trained on"
    if parents[0].fingerprint in manifest.parents.values():
        other = "it did not begin as the same model"
    require_same_origin(checkpoint, config, parents, other)


def require_same_origin(
    checkpoint: Artifact,
    settings: object,
    parents: Sequence[Artifact],
    other_parents: str = "the model or the data are others",
) -> None:
    """Raise unless a checkpoint was made by these settings from these artifacts.

    Args:
        checkpoint: The one to resume from.
        settings: The configuration of the run to resume.
        parents: What that run is made from.
        other_parents: What is said if these differ.

    Raises:
        CheckpointError: Naming the first setting that differs, or that the parents do.
    """
    manifest = checkpoint.manifest()
    difference = _first_difference(manifest.config, recorded_config(settings), "")
    if difference is None and set(manifest.parents.values()) != {p.fingerprint for p in parents}:
        difference = other_parents
    if difference is not None:
        raise CheckpointError(
            f"{checkpoint.path} belongs to another run: {difference}; train into another directory"
        )


def require_compatible(initial: Artifact, config: PretrainConfig, shards: Artifact) -> None:
    """Raise unless ``initial`` has the configured shape and the shards' tokenizer.

    Dropout and the attention backend may differ: they do not affect the weights.

    Raises:
        CheckpointError: Naming the first setting that differs, or the tokenizer.
    """
    model = read_description(initial.directory).model
    free = ("dropout", "attention_dropout", "attention")
    model = replace(model, **{name: getattr(config.model, name) for name in free})
    difference = _first_difference(to_json_value(model), to_json_value(config.model), "model")
    if difference is not None:
        raise CheckpointError(f"{initial.path} has another shape: {difference}")
    theirs = load_tokenizer(initial.directory / TOKENIZER)
    ours = load_tokenizer(shards.directory / TOKENIZER)
    difference = first_difference(theirs, ours)
    if difference is not None:
        raise CheckpointError(
            f"{initial.path} and {shards.path} have different tokenizers ({difference}): encode "
            "the corpus with the checkpoint's tokenizer"
        )


def _first_difference(saved: object, wanted: object, path: str) -> str | None:
    """Describe the first leaf that differs between two trees of settings, or None."""
    found = find_difference(saved, wanted, path)
    return None if found is None else f"{found[0]} was {found[1]}, is now {found[2]}"
