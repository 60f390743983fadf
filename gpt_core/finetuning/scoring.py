"""Measure a fine-tuned model on the test part of any examples, such as those of a later one.

Shapes: B batch, K classes.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from gpt_core.artifact import Artifact
from gpt_core.callbacks import Callback, Callbacks
from gpt_core.checkpoints import TOKENIZER, read_description
from gpt_core.config import ClassificationConfig, InstructionConfig, build_config
from gpt_core.data import encode_texts, pad
from gpt_core.errors import DataError
from gpt_core.evaluation import measure_classifier, write_report
from gpt_core.execution import resolve_device
from gpt_core.finetuning.contamination import count_seen, read_seen
from gpt_core.finetuning.example_encoder import ExampleEncoder
from gpt_core.finetuning.instruction import generate_answers, mean_scores
from gpt_core.models import GPTClassifier, load_classifier, load_model
from gpt_core.text import (
    asked_text,
    positive_label,
    read_example_splits,
    read_instruction_splits,
    source_path,
)
from gpt_core.tokenizers import load_tokenizer

_BATCH = 64


def evaluate_classifier(
    checkpoint: Artifact,
    examples: Artifact,
    config: ClassificationConfig,
    out_dir: Path,
    *,
    held: Mapping[str, Artifact] | None = None,
    callbacks: Sequence[Callback] = (),
) -> Artifact:
    """Measure a classifier on the test part of labelled texts.

    Args:
        checkpoint: The classifier.
        examples: A registered table of texts and labels.
        config: How the table is read and split.
        out_dir: Directory of the report.
        held: The registered tables for ``validation`` and ``test``, where these are not split off.
        callbacks: Receive a notice if the classifier was trained on some of the texts.

    Returns:
        A report artifact with the metrics of ``gpt_core.evaluation.measure_classifier``, and in
        ``test_seen`` how many of the texts the classifier was trained on, if there are any.

    Raises:
        DataError: If the table cannot be read, or has a label that the classifier does not know.
        CheckpointError: If the checkpoint is damaged or no classifier's.
    """
    held = held or {}
    files = {name: source_path(artifact) for name, artifact in held.items()}
    splits, file = read_example_splits(source_path(examples), config, files)
    texts = [example.text for example in splits.test]
    seen = count_seen(texts, read_seen(checkpoint.directory), "test", Callbacks(callbacks))
    device = resolve_device(config.device)
    model, labels = load_classifier(checkpoint.directory, device)
    expected = [example.label for example in splits.test]
    unknown = sorted(set(expected) - set(labels))
    if unknown:
        raise DataError(f"{checkpoint.path} does not know the label {unknown[0]!r:.200}")
    tokenizer = load_tokenizer(checkpoint.directory / TOKENIZER)
    description = read_description(checkpoint.directory)
    width = description.max_tokens or model.config.context_length
    encoded = encode_texts(texts, tokenizer, None if description.windows else width)
    found = _probabilities(model, encoded, tokenizer.pad_id, device)
    counts = Counter(example.label for example in file.rows)
    positive = positive_label(config.positive, counts)
    measured = measure_classifier(expected, found, labels, positive)
    tables = {"labels": measured.labels, "confusion": measured.confusion}
    parents = (checkpoint, examples, *held.values())
    metrics = measured.metrics | seen
    return write_report(out_dir, metrics, tables, config=config, parents=parents)


def _probabilities(
    model: GPTClassifier, encoded: Sequence[list[int]], pad_id: int, device: torch.device
) -> np.ndarray:
    """The probabilities of the labels, shape (N, K)."""
    found: list[list[float]] = []
    with torch.inference_mode():
        for start in range(0, len(encoded), _BATCH):
            rows = encoded[start : start + _BATCH]
            token_ids, lengths = pad(rows, pad_id, model.pad_to)
            found += model.probabilities(token_ids.to(device), lengths.to(device)).tolist()
    return np.array(found)


def evaluate_instructions(
    checkpoint: Artifact,
    examples: Artifact,
    config: InstructionConfig,
    out_dir: Path,
    *,
    held: Mapping[str, Artifact] | None = None,
    callbacks: Sequence[Callback] = (),
) -> Artifact:
    """Measure a model on the test part of instructions, in the template that it was tuned with.

    Args:
        checkpoint: A model that was fine-tuned on instructions.
        examples: A registered list of instructions.
        config: How the list is split, and the longest answer.
        out_dir: Directory of the report.
        held: The registered lists for ``validation`` and ``test``, where these are not split off.
        callbacks: Receive a notice if the model was trained on some of the instructions.

    Returns:
        A report artifact with exact match and ROUGE-L, and in ``test_seen`` how many of the
        instructions the model was trained on.

    Raises:
        DataError: If the list cannot be read.
        CheckpointError: If the checkpoint is damaged or a classifier's.
    """
    held = held or {}
    files = {name: source_path(artifact) for name, artifact in held.items()}
    splits, _ = read_instruction_splits(source_path(examples), config, files)
    asked = map(asked_text, splits.test)
    seen = count_seen(asked, read_seen(checkpoint.directory), "test", Callbacks(callbacks))
    model = load_model(checkpoint.directory, resolve_device(config.device))
    tokenizer = load_tokenizer(checkpoint.directory / TOKENIZER)
    template = read_description(checkpoint.directory).template or config.template
    tuned = build_config(InstructionConfig, {**asdict(config), "template": template})
    encoder = ExampleEncoder(tokenizer, tuned, model.config.context_length, Callback())
    answers = generate_answers(model, encoder, splits.test, Callback())
    parents = (checkpoint, examples, *held.values())
    metrics = mean_scores(answers) | seen
    return write_report(out_dir, metrics, {}, config=config, parents=parents)
