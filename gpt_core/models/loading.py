"""Models from checkpoint directories, with whole weights or with an adapter for another's."""

from pathlib import Path

import torch

from gpt_core.artifact import read_artifact
from gpt_core.checkpoints import ADAPTER, WEIGHTS, CheckpointDescription, read_description
from gpt_core.errors import CheckpointError
from gpt_core.models.adapter_files import (
    description_with,
    find_base,
    holds_only_adapter,
    read_adapter,
    weights_fingerprint,
)
from gpt_core.models.adapters import Adapters
from gpt_core.models.classifier import GPTClassifier
from gpt_core.models.factory import allocate_model
from gpt_core.models.gpt import GPT
from gpt_core.models.shapes import classifier_shapes, parameter_shapes
from gpt_core.models.weights import load_weights, require_weights


def load_model(checkpoint: Path, device: torch.device | str = "cpu") -> GPT:
    """Load the language model of a checkpoint directory, in evaluation mode.

    Args:
        checkpoint: The directory; if it holds only an adapter, the model that this belongs to is
            loaded and the adapter merged.
        device: Device of the model.

    Raises:
        CheckpointError: If the checkpoint is incomplete, damaged or a classifier's, or its adapter
            does not fit.
        ConfigError: If it holds only an adapter and PEFT is not installed.
    """
    description = read_description(checkpoint)
    if description.kind == "classifier":
        raise CheckpointError(f"{checkpoint} is a classifier, but a language model is needed")
    if holds_only_adapter(checkpoint):
        model = _merge_own_adapter(checkpoint, description)
        assert isinstance(model, GPT)
        return model.to(device).eval()
    require_weights(checkpoint / WEIGHTS, parameter_shapes(description.model))
    model = allocate_model(description.model)
    load_weights(model, checkpoint / WEIGHTS)
    return model.to(device).eval()


def load_classifier(
    checkpoint: Path, device: torch.device | str = "cpu"
) -> tuple[GPTClassifier, list[str]]:
    """Load the classifier of a checkpoint directory, in evaluation mode, and its labels.

    Args:
        checkpoint: The directory; it may hold only an adapter, as in ``load_model``.
        device: Device of the model.

    Returns:
        The classifier, and the label of each class.

    Raises:
        CheckpointError: If the checkpoint is incomplete, damaged or not a classifier's, or its
            adapter does not fit.
        ConfigError: If it holds only an adapter and PEFT is not installed.
    """
    description = read_description(checkpoint)
    if description.labels is None:
        raise CheckpointError(f"{checkpoint} is a language model, but a classifier is needed")
    labels = list(description.labels)
    if holds_only_adapter(checkpoint):
        model = _merge_own_adapter(checkpoint, description)
        assert isinstance(model, GPTClassifier)
        return model.to(device).eval(), labels
    shapes = classifier_shapes(description.model, len(labels))
    require_weights(checkpoint / WEIGHTS, shapes)
    model = with_head(allocate_model(description.model), description)
    load_weights(model, checkpoint / WEIGHTS)
    return model.to(device).eval(), labels


def load_adapted(checkpoint: Path, adapter: Path, device: torch.device | str = "cpu") -> GPT:
    """Load a language model and use an adapter on it, without merging.

    Args:
        checkpoint: The directory of the model that the adapter belongs to.
        adapter: The adapter's directory, or a checkpoint's that has one.
        device: Device of the model.

    Raises:
        CheckpointError: If one of them is damaged or a classifier's, or they do not fit.
        ConfigError: If PEFT is not installed.
    """
    description = read_adapter(adapter).description
    if description is not None and description.checkpoint.kind == "classifier":
        raise CheckpointError(f"{adapter} is a classifier's, but a language model's is needed")
    model = load_model(checkpoint, device)
    base = read_artifact(checkpoint, "checkpoint")
    Adapters(model, weights_fingerprint(base)).load(adapter)
    return model.to(device)


def load_adapted_classifier(
    checkpoint: Path, adapter: Path, device: torch.device | str = "cpu"
) -> tuple[GPTClassifier, list[str]]:
    """Load a model and use a classifier's adapter on it, without merging.

    Args:
        checkpoint: The directory of the model that the adapter belongs to.
        adapter: The adapter's directory, or a checkpoint's that has one.
        device: Device of the model.

    Returns:
        The classifier, and the label of each class.

    Raises:
        CheckpointError: If one of them is damaged, or they do not fit.
        ConfigError: If PEFT is not installed.
    """
    description = description_with(checkpoint, adapter)
    if read_description(checkpoint).kind == "classifier":
        model, _ = load_classifier(checkpoint)
    else:
        model = with_head(load_model(checkpoint), description)
    Adapters(model, weights_fingerprint(read_artifact(checkpoint, "checkpoint"))).load(adapter)
    return model.to(device), list(description.labels or ())


def _merge_own_adapter(checkpoint: Path, description: CheckpointDescription) -> GPT | GPTClassifier:
    """The model that a checkpoint's adapter belongs to, with the adapter merged."""
    base = find_base(checkpoint)
    model: GPT | GPTClassifier = load_model(base.directory)
    if description.labels is not None:
        assert isinstance(model, GPT)
        model = with_head(model, description)
    adapters = Adapters(model, weights_fingerprint(base))
    adapters.load(checkpoint / ADAPTER)
    adapters.merge_and_remove()
    return model


def with_head(body: GPT, description: CheckpointDescription) -> GPTClassifier:
    """A classifier of a description with a new head, whose weights are then replaced."""
    with torch.random.fork_rng(devices=[]):
        return GPTClassifier(
            body,
            len(description.labels or ()),
            description.token or "last",
            description.pad_to,
            description.temperature or 1.0,
            description.max_tokens if description.windows else None,
        )
