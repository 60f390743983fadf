"""The layout of a checkpoint directory: its files, its kinds and its description.

config.json           the description: kind, step, shape of the model
model.safetensors     the weights
tokenizer/            the tokenizer
training_state.pt     state to resume pretraining, and with FSDP
training_state/       the shards of the optimizer's state
adapter/              the adapter of a fine-tuned model in PEFT's format, see
                      ``gpt_core.models.adapter_files``; with ``lora.merge=false`` in place of the
                      weights, else they have its update in them
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gpt_core.artifact import Draft, to_json_value
from gpt_core.config import GPTConfig, build_config
from gpt_core.config.checks import require, require_at_least, require_positive
from gpt_core.config.section import Section
from gpt_core.errors import CheckpointError, ConfigError, DataError
from gpt_core.files import read_json, write_json

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
TOKENIZER = "tokenizer"
TRAINING_STATE = "training_state.pt"
SHARDED_STATE = "training_state"
ADAPTER = "adapter"

_STEP = re.compile(r"step-[0-9]{8,18}")

CheckpointKind = Literal["pretrained", "imported", "classifier", "instruction"]


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckpointDescription(Section):
    """The content of a checkpoint's ``config.json``."""

    kind: CheckpointKind
    """Kind of training; all kinds but a classifier are language models."""

    step: int
    """Optimizer updates done, 0 for an imported model."""

    model: GPTConfig
    """Shape of the model, its vocabulary size set."""

    labels: tuple[str, ...] | None = None
    """Classifier: the label of each class."""

    template: str | None = None
    """Instruction model: name of the prompt template it was trained with."""

    max_tokens: int | None = None
    """Fine-tuned model: longer inputs are truncated to this many tokens."""

    windows: Literal[True] | None = None
    """Classifier: longer texts are read in windows of ``max_tokens``, not truncated."""

    token: Literal["first", "mean"] | None = None
    """Classifier: the token that is classified, or the mean of all; None for the last one."""

    pad_to: int | None = None
    """Classifier: every input is padded to this many tokens; None for no padding."""

    temperature: float | None = None
    """Classifier: divides the logits before they become probabilities; None for 1."""

    positive: str | None = None
    """Classifier: the label that ``threshold`` is about."""

    threshold: float | None = None
    """Classifier of two labels: the probability of ``positive`` from which on it is predicted with
    the highest F1 on the validation split."""

    def __post_init__(self) -> None:
        is_classifier, is_instruction = self.kind == "classifier", self.kind == "instruction"
        require((self.labels is not None) == is_classifier, "labels belong to a classifier")
        require((self.template is not None) == is_instruction, "a template belongs to instructions")
        require_at_least(self, 1, "pad_to")
        if self.temperature is not None:
            require_positive(self, "temperature")


def write_checkpoint(
    draft: Draft,
    description: CheckpointDescription,
    *,
    save_weights: Callable[[Path], str] | None,
    save_tokenizer: Callable[[Path], object],
) -> None:
    """Write the files that every checkpoint has.

    Args:
        draft: The unfinished artifact; its ``info`` receives the description without the model.
        description: The content of ``config.json``.
        save_weights: Writes the safetensors file and returns its SHA-256; None for a checkpoint
            that has only an adapter.
        save_tokenizer: Writes the tokenizer's directory.
    """
    if save_weights is not None:
        draft.checksums[WEIGHTS] = save_weights(draft.directory / WEIGHTS)
    save_tokenizer(draft.directory / TOKENIZER)
    values = to_json_value(description)
    assert isinstance(values, dict)
    given = {name: value for name, value in values.items() if value is not None}
    write_json(draft.directory / CONFIG, given)
    draft.info |= {name: value for name, value in given.items() if name != "model"}


def read_description(checkpoint: Path) -> CheckpointDescription:
    """Read a checkpoint's ``config.json``.

    Raises:
        CheckpointError: If it is missing, or naming the key that is missing, unknown or wrong.
    """
    try:
        content = read_json(checkpoint / CONFIG)
        if not isinstance(content, dict):
            raise DataError(f"{CONFIG} should be a JSON object")
        description = build_config(CheckpointDescription, content)
        require(description.model.vocab_size is not None, "model.vocab_size is missing")
        return description
    except (DataError, ConfigError) as error:
        raise CheckpointError(f"{checkpoint} is not a checkpoint of gptflow: {error}") from error


def is_training_state(name: str) -> bool:
    """Whether a file, named by its path in a checkpoint, is needed to resume training only."""
    return name == TRAINING_STATE or name.startswith(f"{SHARDED_STATE}/")


def step_directory(out_dir: Path, step: int) -> Path:
    """The directory of a run's checkpoint at a step.

    Example:
        >>> step_directory(Path("run"), 250).name
        'step-00000250'
    """
    return out_dir / f"step-{step:08d}"


def is_step_name(name: str) -> bool:
    """Whether a name is one of a checkpoint's directory in that of its run."""
    return _STEP.fullmatch(name) is not None


def list_steps(out_dir: Path) -> list[Path]:
    """The directories of a run's checkpoints, newest first, intact or not."""
    found = (path for path in out_dir.glob("step-*") if is_step_name(path.name))
    return sorted(found, key=step_of_directory, reverse=True)


def step_of_directory(directory: Path) -> int:
    """The step in the name of a checkpoint's directory.

    Example:
        >>> step_of_directory(Path("run/step-00000250"))
        250
    """
    return int(directory.name.removeprefix("step-"))
