"""Ways of fine-tuning a classifier, side by side: the table of the tutorials, by one command."""

from dataclasses import replace
from typing import Any

from flows.commands.classify import train_seeds
from flows.commands.pretrain import ensure_checkpoint
from flows.examples import fetch_examples
from gpt_core.artifact import Artifact
from gpt_core.checkpoints import read_description
from gpt_core.config import AblationRow, ClassificationConfig, LoRAConfig, RunConfig
from tasks import stages
from tasks.planning import PendingArtifact
from tasks.reads import Given

Settings = dict[str, Any]


def classify_table(config: RunConfig) -> Artifact:
    """Fine-tune each base model in each way with each seed, and combine the results."""
    models = {"": ensure_checkpoint(config)}
    for name, directory in config.ablation.by_label().items():
        models[name] = Given(directory, "checkpoint").read()
    examples = fetch_examples(config.classification, "classification")
    summaries = []
    for name, checkpoint in models.items():
        for row in config.ablation.rows:
            settings, lora = settings_of(row, config, _context(checkpoint, config))
            label = f"{row} {name}".strip()
            summaries.append(train_seeds(checkpoint, examples, settings, lora, label)["comparison"])
    return stages.compare_classifiers(summaries)


def settings_of(
    row: AblationRow, config: RunConfig, context: int
) -> tuple[ClassificationConfig, LoRAConfig]:
    """The settings of one row of the table.

    Args:
        row: Its name.
        config: The settings that all rows have in common.
        context: The context length of the base model.
    """
    common: Settings = {"trainable_blocks": 1, "token": "last", "pad_to": None}
    whole = replace(config.lora, rank=0)
    if row == "lora":
        adapters = replace(config.lora, rank=config.lora.rank or config.ablation.rank)
        return replace(config.classification, **{**common, "trainable_blocks": None}), adapters
    changes: dict[AblationRow, Settings] = {
        "head": {"trainable_blocks": 0},
        "last-block": {},
        "first-token": {"token": "first"},
        "padded": {"pad_to": min(config.ablation.pad_to, context)},
        "padded-context": {"pad_to": context},
        "all": {"trainable_blocks": None},
    }
    return replace(config.classification, **{**common, **changes[row]}), whole


def _context(checkpoint: Artifact, config: RunConfig) -> int:
    """The context length of a base model, which may not be made yet in a plan."""
    if isinstance(checkpoint, PendingArtifact):
        return config.model.context_length
    return read_description(checkpoint.directory).model.context_length
