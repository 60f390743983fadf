"""Small checkpoints, without weights that compute anything, for tests of records."""

from pathlib import Path

from gpt_core.artifact import Artifact, new_artifact, to_json_value
from gpt_core.checkpoints import CONFIG, CheckpointDescription, CheckpointKind
from gpt_core.config import GPTConfig
from gpt_core.files import write_json

SHAPE = GPTConfig(n_layer=1, n_head=1, n_embd=8, context_length=8, vocab_size=16)


def write_checkpoint(
    directory: Path,
    *,
    kind: CheckpointKind = "pretrained",
    labels: tuple[str, ...] | None = None,
    config: object = None,
    files: tuple[str, ...] = ("model.safetensors", "training_state.pt"),
    **metrics: float,
) -> Artifact:
    """Write a checkpoint with its description.

    Args:
        directory: Where.
        kind: Its kind.
        labels: The labels of a classifier.
        config: The settings in its manifest.
        files: Files beside the description, each with its own name and place as content.
        metrics: Its metrics.
    """
    template = "alpaca" if kind == "instruction" else None
    description = CheckpointDescription(
        kind=kind, step=4, model=SHAPE, labels=labels, template=template
    )
    with new_artifact(directory, kind="checkpoint", config=config) as draft:
        for name in files:
            (draft.directory / name).parent.mkdir(exist_ok=True)
            (draft.directory / name).write_text(f"{name} of {directory.name}")
        write_json(draft.directory / CONFIG, to_json_value(description))
        draft.metrics.update(metrics)
    return draft.artifact


def pretrained(home: Path, name: str, loss: float = 2.5) -> Artifact:
    """Write a language model among a home's checkpoints."""
    return write_checkpoint(home / "data" / "checkpoints" / name, validation_loss=loss)
