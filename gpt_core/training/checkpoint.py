"""Checkpoints of a run: written whole, found by their manifests, kept few."""

import logging
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from torch import Tensor

from gpt_core.artifact import Artifact, new_artifact, read_artifact, to_json_value, verify
from gpt_core.config import PretrainConfig
from gpt_core.data import TOKENIZER, copy_tokenizer
from gpt_core.errors import CheckpointError, DataError
from gpt_core.files import disk_errors, write_json
from gpt_core.models import read_model_config, write_tensors
from gpt_core.models.weights import WEIGHTS
from gpt_core.tokenizers import load_tokenizer

STATE, SHARES = "training_state.pt", "training_state"
_LOCK, _OWNER = "run.lock", "run.pid"
_LOG = logging.getLogger(__name__)


@contextmanager
def locked(out_dir: Path) -> Iterator[None]:
    """Lock a run's directory; the lock ends with the process, however it ends.

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
            process = owner.read_text(encoding="utf-8") if owner.is_file() else "of another run"
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


def save_checkpoint(
    out_dir: Path,
    *,
    step: int,
    weights: Mapping[str, Tensor],
    state: dict[str, Any],
    config: PretrainConfig,
    parents: Sequence[Artifact],
    metrics: dict[str, float],
    ended: bool = False,
    shares: Path | None = None,
) -> Artifact:
    """Write one checkpoint: weights, training state, configuration and tokenizer.

    Args:
        out_dir: The run's directory.
        step: Steps done.
        weights: Those of the model, by name.
        state: What else is needed to go on to the same bits.
        config: With the model's vocabulary size filled in.
        parents: The shards that are trained on and, if there is one, the model it began as.
        metrics: The figures at this step.
        ended: Whether it is the run's last.
        shares: A folder with the part of the state that the processes wrote apart; it is moved.

    Raises:
        DataError: If it cannot be written.
    """
    target = out_dir / f"step-{step:08d}"
    with new_artifact(target, kind="checkpoint", config=config, parents=parents) as draft:
        draft.checksums[WEIGHTS] = write_tensors(weights, draft.directory / WEIGHTS)
        with (draft.directory / STATE).open("wb") as file:  # a full disk is then an OSError
            torch.save(state, file)
        if shares is not None:
            shares.rename(draft.directory / SHARES)
        description = {"kind": "pretrained", "step": step, "model": to_json_value(config.model)}
        write_json(draft.directory / "config.json", description)
        copy_tokenizer(parents[0], draft.directory)
        draft.info |= {"step": step, "kind": "pretrained", "ended": ended}
        draft.metrics |= metrics
    return draft.artifact


def load_state(checkpoint: Artifact, device: torch.device) -> dict[str, Any]:
    """The training state of a checkpoint.

    Raises:
        CheckpointError: If it cannot be read.
    """
    file = checkpoint.directory / STATE
    try:
        state: dict[str, Any] = torch.load(file, map_location=device, weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError) as error:
        raise CheckpointError(f"{file} cannot be read as training state: {error}") from error
    return state


def list_checkpoints(out_dir: Path) -> list[Path]:
    """The directories of a run's checkpoints, newest first, whole or not."""
    return sorted(out_dir.glob("step-[0-9]*"), reverse=True)


def latest_checkpoint(out_dir: Path) -> tuple[Artifact | None, list[str]]:
    """The newest checkpoint whose every byte is as it was written, and what was passed over.

    Returns:
        The checkpoint or None, and a sentence for each newer one that is damaged.
    """
    damaged: list[str] = []
    whole: Artifact | None = None
    for directory in list_checkpoints(out_dir):
        try:
            checkpoint = read_artifact(directory, "checkpoint")
            verify(checkpoint)
        except DataError as error:
            damaged.append(str(error))
            continue
        whole = checkpoint
        break
    then = "the checkpoint before it is used" if whole else "no earlier one is whole"
    notices = [f"{sentence}; {then}" for sentence in damaged]
    for notice in notices:
        _LOG.warning(notice)
    return whole, notices


def best_checkpoint(out_dir: Path) -> Artifact | None:
    """The checkpoint with the lowest validation loss; the newest if none was evaluated."""
    best: tuple[float, Artifact] | None = None
    newest: Artifact | None = None
    for directory in list_checkpoints(out_dir):
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
    """The best checkpoint of a run that has ended.

    Raises:
        CheckpointError: If there is none.
    """
    best = best_checkpoint(out_dir)
    if best is None:
        raise CheckpointError(f"{out_dir} has no checkpoint after training: was it deleted?")
    return best


def prune(out_dir: Path, keep_last: int) -> None:
    """Delete all checkpoints but the newest ones and the best."""
    best = best_checkpoint(out_dir)
    for directory in list_checkpoints(out_dir)[keep_last:]:
        if best is None or directory != best.directory:
            hidden = directory.with_name(f".{directory.name}.old")
            directory.rename(hidden)  # so that a half-deleted checkpoint is not taken for a whole
            shutil.rmtree(hidden)


def remove_leftovers(out_dir: Path) -> None:
    """Delete what a killed process left half-written or half-deleted.

    Only the holder of the run's lock may do so: to anyone else these are work in progress.
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
    """Refuse to go on with another run's checkpoint.

    Args:
        checkpoint: What is to be resumed.
        config: With the model's vocabulary size filled in.
        parents: The shards and, if there is one, the model that the run begins as.

    Raises:
        CheckpointError: Naming the first setting that differs, or that the data does.
    """
    manifest = checkpoint.manifest()
    difference = _first_difference(manifest.config, to_json_value(config), "")
    made_from, wanted = set(manifest.parents.values()), {p.fingerprint for p in parents}
    if difference is None and parents[0].fingerprint not in made_from:
        difference = "the token shards are not the ones it was trained on"
    if difference is None and made_from != wanted:
        difference = "it did not begin as the same model"
    if difference is not None:
        raise CheckpointError(
            f"{checkpoint.path} belongs to another run: {difference}; train into another directory"
        )


def require_fitting(initial: Artifact, config: PretrainConfig, shards: Artifact) -> None:
    """Refuse to begin as a model of another shape or with another tokenizer.

    Dropout and the attention backend may differ: they are not of the weights.

    Raises:
        CheckpointError: Naming the first setting that differs, or the tokenizer.
    """
    model = read_model_config(initial.directory)["model"]
    free = ("dropout", "attention_dropout", "attention")
    model = replace(model, **{name: getattr(config.model, name) for name in free})
    difference = _first_difference(to_json_value(model), to_json_value(config.model), "model")
    if difference is not None:
        raise CheckpointError(f"{initial.path} has another shape: {difference}")
    theirs = load_tokenizer(initial.directory / TOKENIZER)
    ours = load_tokenizer(shards.directory / TOKENIZER)
    for token_id in range(ours.vocab_size):
        if theirs.token_bytes(token_id) != ours.token_bytes(token_id):
            raise CheckpointError(
                f"{initial.path} and {shards.path} have different tokenizers (token {token_id} "
                "is not the same): encode the corpus with the checkpoint's tokenizer"
            )


def _first_difference(saved: object, wanted: object, path: str) -> str | None:
    if isinstance(saved, dict) and isinstance(wanted, dict):
        for key in sorted(saved.keys() | wanted.keys()):
            found = _first_difference(saved.get(key), wanted.get(key), f"{path}.{key}".strip("."))
            if found is not None:
                return found
        return None
    return None if saved == wanted else f"{path} was {saved}, is now {wanted}"
