"""A model to a classifier of texts, measured next to baselines that need no model."""

from dataclasses import replace

from flows.commands.pretrain import ensure_checkpoint
from flows.examples import fetch_examples
from gpt_core.artifact import Artifact
from gpt_core.config import ClassificationConfig, LoRAConfig, RunConfig
from tasks import stages
from tasks.planning import PendingArtifact
from tasks.stage import labelled, record_kept


def classify(config: RunConfig, checkpoint: Artifact | None = None) -> dict[str, Artifact]:
    """Fine-tune a model on labelled texts; the model is made first if none is given."""
    checkpoint = checkpoint or ensure_checkpoint(config)
    tables = fetch_examples(config.classification, "classification")
    return train_seeds(checkpoint, tables, config.classification, config.lora)


def train_seeds(
    checkpoint: Artifact,
    tables: tuple[Artifact, dict[str, Artifact]],
    config: ClassificationConfig,
    lora: LoRAConfig,
    label: str = "",
) -> dict[str, Artifact]:
    """Train a classifier for each seed, and compare them with the baselines on the same splits.

    Args:
        checkpoint: The base model.
        tables: The registered table, and those for ``validation`` and ``test``.
        config: The settings, with the number of seeds.
        lora: The adapters.
        label: Names the classifiers in a comparison, which registers none of them.

    Returns:
        The classifier that is the best on its validation part, and the report.
    """
    examples, held = tables
    several = config.seeds > 1 or bool(label)
    classifiers, baselines = {}, []
    for seed in range(config.seed, config.seed + config.seeds):
        alone = replace(config, seed=seed, seeds=1)
        with labelled(f"{label} seed {seed}".strip() if several else ""):
            baselines.append(stages.fit_baselines(examples, alone.for_baselines(), held))
            classifiers[seed] = stages.finetune_classifier(checkpoint, examples, alone, lora, held)
    with labelled(label):
        made = list(classifiers.values())
        report = stages.summarize_classifiers(made, baselines, label)
    if isinstance(report, PendingArtifact):
        return {"classifier": made[0], "comparison": report}
    kept = classifiers[int(report.metrics()["kept_seed"])]
    if several and not label:
        record_kept(stages.finetune_classifier, kept)
    return {"classifier": kept, "comparison": report}
