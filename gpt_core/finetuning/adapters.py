"""Merge a saved adapter into the weights of its model, and describe it."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from gpt_core.artifact import Artifact, new_artifact
from gpt_core.checkpoints import ADAPTER, TOKENIZER, read_description, write_checkpoint
from gpt_core.errors import CheckpointError
from gpt_core.models import (
    GPT,
    Adapter,
    Adapters,
    GPTClassifier,
    count_parameters,
    find_base,
    holds_only_adapter,
    load_model,
    read_adapter,
    save_weights,
    weights_fingerprint,
)
from gpt_core.models.loading import with_head
from gpt_core.tokenizers import load_tokenizer


def merge_adapter(checkpoint: Artifact, directory: Path, out_dir: Path) -> Artifact:
    """Write a checkpoint with an adapter's update in its weights.

    Args:
        checkpoint: The language model that the adapter belongs to.
        directory: The adapter's directory, or a checkpoint's that has one.
        out_dir: Directory of the result.

    Returns:
        A checkpoint artifact that needs neither the adapter nor PEFT.

    Raises:
        CheckpointError: If one of them is damaged, or they do not fit.
        ConfigError: If PEFT is not installed.
    """
    adapter = read_adapter(directory)
    given = adapter.description
    description = read_description(checkpoint.directory) if given is None else given.checkpoint
    model: GPT | GPTClassifier = load_model(checkpoint.directory)
    if description.labels is not None:
        assert isinstance(model, GPT)
        model = with_head(model, description)
    adapters = Adapters(model, weights_fingerprint(checkpoint))
    adapters.load(adapter.directory)
    adapters.merge_and_remove()
    tokenizer = load_tokenizer(checkpoint.directory / TOKENIZER)
    settings = dict(adapter.settings)
    with new_artifact(out_dir, kind="checkpoint", config=settings, parents=(checkpoint,)) as draft:
        write_checkpoint(
            draft,
            description,
            save_weights=partial(save_weights, model),
            save_tokenizer=tokenizer.save,
        )
    return draft.artifact


def base_of(directory: Path) -> Artifact:
    """The checkpoint that an adapter without weights belongs to.

    Args:
        directory: The checkpoint that holds the adapter, or the adapter's directory in it.

    Raises:
        CheckpointError: If it is not there, or the adapter does not say where it is.
    """
    for checkpoint in (directory, directory.parent):
        if (checkpoint / ADAPTER).is_dir() and holds_only_adapter(checkpoint):
            return find_base(checkpoint)
    raise CheckpointError(
        f"{directory} does not say where the model is that it belongs to: give it with --checkpoint"
    )


def describe_adapter(adapter: Adapter) -> Mapping[str, str]:
    """Rank, layers, size and base of an adapter, as texts by name."""
    settings, given = adapter.settings, adapter.description
    variants = {"use_dora": "DoRA", "use_rslora": "rsLoRA"}
    variant = next((name for key, name in variants.items() if settings.get(key)), "LoRA")
    layers = sorted({n.partition(".lora_")[0] for n in adapter.tensors if ".lora_" in n})
    kinds = sorted({".".join(name.split(".")[-2:]) for name in layers})
    parameters = f"{adapter.n_parameters:,}"
    if given is not None:
        total = count_parameters(given.checkpoint.model)
        parameters += f", {adapter.n_parameters / total:.2%} of the model's"
    size = sum(tensor.nbytes for tensor in adapter.tensors.values())
    rows = {
        "adapter": str(adapter.directory),
        "variant": f"{variant}, rank {settings['r']}, alpha {settings['lora_alpha']}",
        "layers": f"{', '.join(kinds)} in {len({name.split('.')[-3] for name in layers})} blocks",
        "parameters": parameters,
        "size": f"{size / 1024:,.0f} KiB",
        "made for": "unknown, made by another program" if given is None else given.checkpoint.kind,
    }
    if given is not None:
        rows["belongs to"] = f"weights {given.base}"
    return rows
