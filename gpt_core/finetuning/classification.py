"""Fine-tune a language model as a classifier of texts.

Shapes: B batch, T time, K classes, N examples.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

from torch import Tensor

from gpt_core.artifact import Artifact
from gpt_core.callbacks import Callback, Callbacks
from gpt_core.checkpoints import CheckpointDescription
from gpt_core.config import ClassificationConfig, GPTConfig, LoRAConfig
from gpt_core.data import encode_texts
from gpt_core.errors import ConfigError, DataError
from gpt_core.execution import resolve_device
from gpt_core.finetuning.contamination import count_seen_held, write_seen
from gpt_core.finetuning.epochs import EpochLoop, seeded
from gpt_core.finetuning.label_loss import EncodedExample, LabelLoss
from gpt_core.finetuning.lora import add_adapters, merge_adapters
from gpt_core.finetuning.measuring import Calibration, calibrate, write_test
from gpt_core.finetuning.progress import FinetuningRun
from gpt_core.finetuning.saving import load_base, write_finetuned
from gpt_core.models import GPT, GPTClassifier
from gpt_core.text import (
    ExampleSplits,
    label_weights,
    positive_label,
    read_example_splits,
    source_path,
)
from gpt_core.tokenizers import Tokenizer


def finetune_classifier(
    checkpoint: Artifact,
    examples: Artifact,
    config: ClassificationConfig,
    lora: LoRAConfig,
    out_dir: Path,
    *,
    held: Mapping[str, Artifact] | None = None,
    callbacks: Sequence[Callback] = (),
) -> Artifact:
    """Train a classification head, and as much of the body as configured, on labelled texts.

    Args:
        checkpoint: A language model: pretrained, imported or fine-tuned.
        examples: A registered table of texts and labels.
        config: The splits, the trainable blocks and the training settings.
        lora: Adapters instead of full training, if its rank is above 0.
        out_dir: Directory of the classifier.
        held: The registered tables for ``validation`` and ``test``, where these are not split off.
        callbacks: Receive losses and validation metrics.

    Returns:
        A checkpoint with the test metrics and tables of ``write_test``; adapters are apart.

    Raises:
        DataError: If the table cannot be read, or a split lacks a label.
        ConfigError: If ``trainable_blocks`` exceeds the model's blocks.
        CheckpointError: If the checkpoint is damaged or a classifier's.
    """
    device, listeners = resolve_device(config.device), Callbacks(callbacks)
    config, held = config.with_rate(lora), held or {}
    run = FinetuningRun(out_dir, (config, lora), (checkpoint, examples, *held.values()))
    splits, labels, positive, counts = _read(checkpoint, examples, config, held, listeners)
    body, tokenizer = load_base(checkpoint)
    with seeded(config.seed, device):
        encoded, n_cut = _encode_splits(splits, tokenizer, labels, body.config, config, listeners)
        trained, head = _adapt(body.to(device), len(labels), config, lora)
        objective = LabelLoss(trained, head, tokenizer.pad_id, encoded["validation"], config)
        loop = EpochLoop(trained, objective, config, listeners, run)
        metrics = loop.run(encoded["train"])
        validation, test = (objective.predict(encoded[name]) for name in ("validation", "test"))
    model, adapter = merge_adapters(trained)
    calibration = calibrate(splits.validation, validation, labels, positive)
    description = _describe(body.config, config, labels, loop.step, calibration)
    with run.result() as draft:
        write_finetuned(draft, model, tokenizer, description, adapter, checkpoint, lora)
        write_seen(draft, splits.train, checkpoint, examples, held)
        draft.metrics |= metrics | counts | {"cut_examples": float(n_cut)}
        write_test(draft, splits.test, test, labels, calibration)
    return draft.artifact


def _read(
    checkpoint: Artifact,
    examples: Artifact,
    config: ClassificationConfig,
    held: Mapping[str, Artifact],
    listeners: Callback,
) -> tuple[ExampleSplits, list[str], str | None, dict[str, float]]:
    """The splits, the labels in the order of the classes, the positive one, and counts of rows."""
    files = {name: source_path(artifact) for name, artifact in held.items()}
    splits, file = read_example_splits(source_path(examples), config, files)
    for notice in file.notices:
        listeners.on_notice(notice)
    counts = {"blank_rows": float(file.n_left_out)}
    counts |= count_seen_held(splits.by_name(), checkpoint, listeners)
    counts |= {name: float(n) for name, n in file.counts.items()}
    counts |= {f"{name}_examples": float(len(rows)) for name, rows in splits.by_name().items()}
    labels = Counter(example.label for example in file.rows)
    return splits, sorted(labels), positive_label(config.positive, labels), counts


def _width(config: ClassificationConfig, model: GPTConfig) -> int:
    """The number of tokens at which texts are cut."""
    context = model.context_length
    if config.pad_to is not None and config.pad_to > context:
        raise ConfigError(
            f"classification.pad_to is {config.pad_to}, but the model's context has {context} "
            "tokens"
        )
    return min(config.max_tokens or context, config.pad_to or context, context)


def _describe(
    model: GPTConfig,
    config: ClassificationConfig,
    labels: Sequence[str],
    step: int,
    calibration: Calibration,
) -> CheckpointDescription:
    """The content of ``config.json``."""
    return CheckpointDescription(
        kind="classifier",
        step=step,
        model=model,
        labels=tuple(labels),
        max_tokens=_width(config, model),
        windows=True if config.too_long == "windows" else None,
        token=None if config.token == "last" else config.token,
        pad_to=config.pad_to,
        temperature=calibration.temperature,
        positive=calibration.positive,
        threshold=calibration.threshold,
    )


def _adapt(
    body: GPT, n_classes: int, config: ClassificationConfig, lora: LoRAConfig
) -> tuple[GPTClassifier, Tensor]:
    """Replace the head, and enable gradients for the configured parameters only.

    Returns:
        The classifier, on the body's device, and the weight of the head that was replaced, which
        is trained if it is that of the token embeddings.
    """
    head = body.lm_head.weight if body.config.tied_head else body.lm_head.weight.detach()
    window = _width(config, body.config) if config.too_long == "windows" else None
    model = GPTClassifier(body, n_classes, config.token, config.pad_to, window=window)
    n_layer, n_blocks = model.config.n_layer, config.trainable_blocks
    if n_blocks is not None and n_blocks > n_layer:
        raise ConfigError(
            f"classification.trainable_blocks is {n_blocks}, but the model has {n_layer} blocks"
        )
    if lora.rank:
        first = 0 if n_blocks is None else n_layer - n_blocks
        wrapper = add_adapters(model, lora, range(first, n_layer), ("score",))
        model = cast(GPTClassifier, wrapper)  # PEFT's, which has the same methods
    elif n_blocks is not None:
        model.freeze_all_but(n_blocks)
    return model.to(head.device), head


def _encode_splits(
    splits: ExampleSplits,
    tokenizer: Tokenizer,
    labels: list[str],
    model: GPTConfig,
    config: ClassificationConfig,
    listeners: Callback,
) -> tuple[dict[str, list[EncodedExample]], int]:
    """The encoded splits by name; also counts the texts that are longer than the width."""
    encoded, n_long, total = {}, 0, 0
    width, windows = _width(config, model), config.too_long == "windows"
    weights = label_weights(splits.train) if config.balance == "weights" else {}
    for name, examples in splits.by_name().items():
        limit = None if windows else width + 1  # one more, to see which are longer
        texts = encode_texts([example.text for example in examples], tokenizer, limit)
        encoded[name] = [
            EncodedExample(
                token_ids if windows else token_ids[:width],
                labels.index(example.label),
                weights.get(example.label, 1.0),
            )
            for token_ids, example in zip(texts, examples, strict=True)
        ]
        n_long += sum(len(token_ids) > width for token_ids in texts)
        total += len(texts)
    if n_long:
        found = f"{n_long:,} of {total:,} texts are longer than {width} tokens"
        if config.too_long == "refuse":
            raise DataError(
                f"{found}: shorten them, use a model with a longer context, or set "
                "classification.too_long=windows or cut"
            )
        done = "they are read in windows" if windows else "their ends are cut"
        listeners.on_notice(f"{found}: {done}")
    return encoded, 0 if windows else n_long
