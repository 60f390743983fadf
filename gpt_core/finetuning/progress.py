"""Checkpoints of a fine-tune that is under way, from which a killed one continues.

They are in the directory that the fine-tuned model will get, are written as pretraining's are, and
are gone when the model takes that place.
"""

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict, cast

import torch
from torch import Tensor

from gpt_core.artifact import Artifact, Draft, new_artifact
from gpt_core.callbacks import Callback
from gpt_core.checkpoints import (
    TRAINING_STATE,
    list_steps,
    step_directory,
    step_of_directory,
)
from gpt_core.durable import remove_directory
from gpt_core.errors import CheckpointError
from gpt_core.finetuning.best import BestState
from gpt_core.optim import OptimizersState
from gpt_core.training.checkpoint import (
    find_latest,
    prune,
    remove_leftovers,
    require_same_origin,
    step_of,
    sync_records,
)
from gpt_core.training.saving import BackgroundSaver, HostCopier
from gpt_core.training.state_file import load_state, write_state

PROGRESS = "progress"
"""The kind of artifact that a checkpoint of a fine-tune is."""


class LoopState(TypedDict):
    """Everything that a continued fine-tune needs to end with the same bits."""

    step: int
    weights: dict[str, Tensor]
    """The trained ones."""

    optimizer: OptimizersState
    best: BestState
    rng: Tensor
    cuda_rng: Tensor | None
    loss_sum: Tensor
    """The loss of the updates since the last that was logged."""

    updates_since_log: int


@dataclass(frozen=True, slots=True)
class FinetuningRun:
    """Where a fine-tune writes and what it is made from."""

    out_dir: Path
    settings: object
    """The configuration, as it is recorded with the result."""

    parents: Sequence[Artifact]

    def result(self) -> AbstractContextManager[Draft]:
        """The draft of the fine-tuned model, which takes the place of the checkpoints."""
        return new_artifact(
            self.out_dir, kind="checkpoint", config=self.settings, parents=self.parents
        )


@dataclass(frozen=True, slots=True)
class _Pending:
    """A copied state on its way to disk."""

    run: FinetuningRun
    state: LoopState

    def finish(self) -> Artifact:
        """Write the checkpoint.

        Raises:
            DataError: If it cannot be written.
        """
        run, step = self.run, self.state["step"]
        target = step_directory(run.out_dir, step)
        with new_artifact(target, kind=PROGRESS, config=run.settings, parents=run.parents) as draft:
            write_state(self.state, draft.directory / TRAINING_STATE)
            draft.info["step"] = step
            draft.metrics["step"] = float(step)
            sync_records(run.out_dir)
        return draft.artifact


class Checkpoints:
    """Saves a fine-tune's state in the background, and finds it again.

    Leaving the context waits for the checkpoint that is being written.

    Args:
        run: The fine-tune.
        seconds: Time between two checkpoints.
        callbacks: Receive each checkpoint that is complete.
    """

    def __init__(self, run: FinetuningRun, seconds: float, callbacks: Callback) -> None:
        self._run, self._seconds, self._callbacks = run, seconds, callbacks
        self._saver, self._copier = BackgroundSaver(), HostCopier()
        self._saved_at = time.monotonic()

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *error: object) -> None:
        self._saver.__exit__(*error)

    def find(self, device: torch.device) -> LoopState | None:
        """The state of the newest intact checkpoint, or None. Call with the directory locked.

        Raises:
            CheckpointError: If it is one of another fine-tune.
        """
        remove_leftovers(self._run.out_dir)
        checkpoint, notices = find_latest(self._run.out_dir, PROGRESS, _require_state)
        for notice in notices:
            self._callbacks.on_notice(notice)
        for directory in list_steps(self._run.out_dir):  # a damaged one must not be kept as newest
            if step_of_directory(directory) > step_of(checkpoint):
                remove_directory(directory)
        if checkpoint is None:
            return None
        require_same_origin(checkpoint, self._run.settings, self._run.parents)
        return cast(LoopState, load_state(checkpoint, device))

    @property
    def due(self) -> bool:
        """Whether it is time for the next checkpoint."""
        return time.monotonic() - self._saved_at >= self._seconds

    def save(self, state: LoopState) -> None:
        """Copy a state and start writing it, after the one before it is written."""
        self.wait()
        self._saver.start(_Pending(self._run, self._copier.copy(state, "state")))
        self._saved_at = time.monotonic()

    def publish(self) -> None:
        """Report a checkpoint that has been written by now, and remove older ones."""
        self._publish(self._saver.finished())

    def wait(self) -> None:
        """Wait for the checkpoint that is being written, and report it."""
        self._publish(self._saver.wait())

    def _publish(self, checkpoint: Artifact | None) -> None:
        if checkpoint is not None:
            prune(self._run.out_dir, keep_last=1)
            self._callbacks.on_checkpoint(step_of(checkpoint), checkpoint)


def _require_state(checkpoint: Artifact) -> None:
    """Raise unless a checkpoint has a state, of the step that its name says."""
    if TRAINING_STATE not in checkpoint.manifest().files:
        raise CheckpointError(f"{checkpoint.path} lacks {TRAINING_STATE}")
    if step_of(checkpoint) != step_of_directory(checkpoint.directory):
        raise CheckpointError(f"{checkpoint.path} is of step {step_of(checkpoint)}")
