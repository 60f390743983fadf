"""Measure a fine-tuned model on the test part of any examples, such as those of a later one.

Shapes: B batch, K classes.
"""

from collections import Counter
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from gpt_core.artifact import Artifact
from gpt_core.callbacks import Callback
from gpt_core.checkpoints import TOKENIZER, read_description
from gpt_core.config import ClassificationConfig, InstructionConfig, build_config
from gpt_core.data import encode_texts, pad
from gpt_core.errors import DataError
from gpt_core.evaluation import measure_classifier, write_report
from gpt_core.execution import resolve_device
from gpt_core.finetuning.example_encoder import ExampleEncoder
from gpt_core.finetuning.instruction import generate_answers, mean_scores
from gpt_core.models import load_classifier, load_model
from gpt_core.text import (
    positive_label,
    read_example_splits,
    read_instruction_splits,
    source_path,
)
from gpt_core.tokenizers import load_tokenizer

_BATCH = 64


def evaluate_classifier(
    checkpoint: Artifact, examples: Artifact, config: ClassificationConfig, out_dir: Path
) -> Artifact:
    """Measure a classifier on the test part of labelled texts.

    Args:
        checkpoint: The classifier.
        examples: A registered table of texts and labels.
        config: How the table is read and split.
        out_dir: Directory of the report.

    Returns:
        A report artifact with the metrics of ``gpt_core.evaluation.measure_classifier``.

    Raises:
        DataError: If the table cannot be read, or has a label that the classifier does not know.
        CheckpointError: If the checkpoint is damaged or no classifier's.
    """
    splits, file = read_example_splits(source_path(examples), config)
    device = resolve_device(config.device)
    model, labels = load_classifier(checkpoint.directory, device)
    expected = [example.label for example in splits.test]
    unknown = sorted(set(expected) - set(labels))
    if unknown:
        raise DataError(f"{checkpoint.path} does not know the label {unknown[0]!r:.200}")
    tokenizer = load_tokenizer(checkpoint.directory / TOKENIZER)
    description = read_description(checkpoint.directory)
    width = description.max_tokens or model.config.context_length
    texts = [example.text for example in splits.test]
    encoded = encode_texts(texts, tokenizer, None if description.windows else width)
    found: list[list[float]] = []
    with torch.inference_mode():
        for start in range(0, len(encoded), _BATCH):
            rows = encoded[start : start + _BATCH]
            token_ids, lengths = pad(rows, tokenizer.pad_id, model.pad_to)
            found += model.probabilities(token_ids.to(device), lengths.to(device)).tolist()
    counts = Counter(example.label for example in file.rows)
    positive = positive_label(config.positive, counts)
    measured = measure_classifier(expected, np.array(found), labels, positive)
    tables = {"labels": measured.labels, "confusion": measured.confusion}
    parents = (checkpoint, examples)
    return write_report(out_dir, measured.metrics, tables, config=config, parents=parents)


def evaluate_instructions(
    checkpoint: Artifact, examples: Artifact, config: InstructionConfig, out_dir: Path
) -> Artifact:
    """Measure a model on the test part of instructions, in the template that it was tuned with.

    Args:
        checkpoint: A model that was fine-tuned on instructions.
        examples: A registered list of instructions.
        config: How the list is split, and the longest answer.
        out_dir: Directory of the report.

    Returns:
        A report artifact with exact match and ROUGE-L.

    Raises:
        DataError: If the list cannot be read.
        CheckpointError: If the checkpoint is damaged or a classifier's.
    """
    splits, _ = read_instruction_splits(source_path(examples), config)
    model = load_model(checkpoint.directory, resolve_device(config.device))
    tokenizer = load_tokenizer(checkpoint.directory / TOKENIZER)
    template = read_description(checkpoint.directory).template or config.template
    asked = build_config(InstructionConfig, {**asdict(config), "template": template})
    encoder = ExampleEncoder(tokenizer, asked, model.config.context_length, Callback())
    answers = generate_answers(model, encoder, splits.test, Callback())
    parents = (checkpoint, examples)
    return write_report(out_dir, mean_scores(answers), {}, config=config, parents=parents)
