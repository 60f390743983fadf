"""A language model into a classifier of texts.

Shapes: B batch, T time, K classes, N examples.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
import torch.nn.functional as F
from torch import Tensor

from gpt_core.artifact import Artifact, Draft, new_artifact
from gpt_core.callbacks import Callback, Callbacks
from gpt_core.checkpoints import TOKENIZER, CheckpointDescription
from gpt_core.config import ClassificationConfig, GPTConfig, LoRAConfig
from gpt_core.data import (
    Example,
    ExampleSplits,
    balance,
    encode_texts,
    pad,
    read_examples,
    split_examples,
)
from gpt_core.errors import ConfigError
from gpt_core.evaluation import classification_metrics
from gpt_core.execution import resolve_device
from gpt_core.files import write_json
from gpt_core.finetuning.epochs import EpochLoop, Objective, seeded
from gpt_core.finetuning.lora import add_adapters, merge_adapters
from gpt_core.finetuning.saving import write_finetuned
from gpt_core.models import GPT, GPTClassifier, load_model
from gpt_core.text import source_path
from gpt_core.tokenizers import Tokenizer, load_tokenizer

_SCORED_TOGETHER = 64
PREDICTIONS = pa.schema(
    [
        ("text", pa.string()),
        ("expected", pa.string()),
        ("predicted", pa.string()),
        ("probability", pa.float32()),
    ]
)
"""Columns of ``predictions.parquet``; the probability is that of the predicted label."""


@dataclass(frozen=True, slots=True)
class EncodedExample:
    """An example as the model sees it."""

    token_ids: list[int]
    label: int


def finetune_classifier(
    checkpoint: Artifact,
    examples: Artifact,
    config: ClassificationConfig,
    lora: LoRAConfig,
    out_dir: Path,
    *,
    callbacks: Sequence[Callback] = (),
) -> Artifact:
    """Train a head, and as much of the body as asked for, on labelled texts.

    Args:
        checkpoint: Any language model: pretrained, imported or fine-tuned.
        examples: A registered table of texts and labels.
        config: The split, what is trained and how.
        lora: Adapters in place of full training, if its rank is above 0.
        out_dir: Where the classifier goes.
        callbacks: Told of losses and validation figures.

    Returns:
        A checkpoint artifact; its metrics are those of the test part, ``predictions.parquet`` has
        every test text with its prediction, ``confusion.json`` the confusion matrix; adapters are
        merged into the weights and stand beside them.

    Raises:
        DataError: If the table cannot be read, or a part lacks a label.
        ConfigError: If more blocks are to be trained than there are.
        CheckpointError: If the checkpoint is damaged or a classifier's.
        DivergenceError: If the loss is no longer a number.
    """
    device = resolve_device(config.device)
    parts, labels = _read(examples, config)
    body = load_model(checkpoint.directory)
    tokenizer = load_tokenizer(checkpoint.directory / TOKENIZER)
    with seeded(config.seed, device):
        width = min(filter(None, [config.max_tokens, body.config.context_length]))
        encoded = {n: _encode(p, tokenizer, labels, width) for n, p in _named(parts).items()}
        trained = _adapt(body, len(labels), config, lora).to(device)
        objective = _Classification(trained, tokenizer.pad_id, device, encoded["validation"])
        loop = EpochLoop(trained, objective, config, Callbacks(callbacks), out_dir)
        figures = loop.run(encoded["train"])
        test = objective.predict(encoded["test"])
    model, adapters = merge_adapters(trained)
    settings, parents = (config, lora), (checkpoint, examples)
    with new_artifact(out_dir, kind="checkpoint", config=settings, parents=parents) as draft:
        description = _describe(model.config, labels, width, loop.step)
        write_finetuned(draft, model, tokenizer, description, adapters)
        draft.metrics |= figures | {f"{n}_examples": float(len(p)) for n, p in encoded.items()}
        _write_test(draft, parts.test, test, labels)
    return draft.artifact


def _read(examples: Artifact, config: ClassificationConfig) -> tuple[ExampleSplits, list[str]]:
    """The three parts, and all labels in the order of the classes."""
    rows = read_examples(source_path(examples), config.text_column, config.label_column)
    labels = sorted({row.label for row in rows})
    if config.balanced:
        rows = balance(rows, config.seed)
    return split_examples(rows, config.validation_share, config.test_share, config.seed), labels


def _named(parts: ExampleSplits) -> dict[str, list[Example]]:
    return {"train": parts.train, "validation": parts.validation, "test": parts.test}


def _describe(
    model: GPTConfig, labels: Sequence[str], max_tokens: int, step: int
) -> CheckpointDescription:
    """The content of ``config.json``."""
    return CheckpointDescription(
        kind="classifier", step=step, model=model, labels=tuple(labels), max_tokens=max_tokens
    )


def _adapt(body: GPT, n_classes: int, config: ClassificationConfig, lora: LoRAConfig) -> Any:
    """The classifier with just those parameters to be trained that are asked for."""
    model = GPTClassifier(body, n_classes)
    n_layer, n_blocks = model.config.n_layer, config.trainable_blocks
    if n_blocks is not None and n_blocks > n_layer:
        raise ConfigError(
            f"classification.trainable_blocks is {n_blocks}, but the model has {n_layer} blocks"
        )
    if lora.rank:
        first = 0 if n_blocks is None else n_layer - n_blocks
        return add_adapters(model, lora, range(first, n_layer), ("score",))
    if n_blocks is not None:
        model.freeze_all_but(n_blocks)
    return model


def _encode(
    examples: Sequence[Example], tokenizer: Tokenizer, labels: list[str], width: int
) -> list[EncodedExample]:
    encoded = encode_texts([example.text for example in examples], tokenizer, width)
    return [
        EncodedExample(token_ids, labels.index(example.label))
        for token_ids, example in zip(encoded, examples, strict=True)
    ]


class _Classification(Objective[EncodedExample]):
    """Right labels.

    Args:
        model: The classifier, perhaps with adapters.
        pad_id: Fills rows up.
        device: Where the model is.
        validation: The examples that choose the best epoch.
    """

    def __init__(
        self, model: Any, pad_id: int, device: torch.device, validation: Sequence[EncodedExample]
    ) -> None:
        self.model, self.pad_id, self.device = model, pad_id, device
        self.validation = validation

    def logits(self, examples: Sequence[EncodedExample]) -> Tensor:
        """Shape (B, K)."""
        token_ids, lengths = pad([example.token_ids for example in examples], self.pad_id)
        logits: Tensor = self.model(token_ids.to(self.device), lengths.to(self.device))
        return logits.float()

    def loss(self, examples: Sequence[EncodedExample]) -> Tensor:
        """Mean cross-entropy of the labels."""
        labels = torch.tensor([example.label for example in examples], device=self.device)
        return F.cross_entropy(self.logits(examples), labels)

    def size(self, example: EncodedExample) -> int:
        """Its tokens."""
        return len(example.token_ids)

    def score(self) -> dict[str, float]:
        """Loss and accuracy on the validation part."""
        if not self.validation:
            return {}
        log_probabilities = self.predict(self.validation)
        labels = torch.tensor([example.label for example in self.validation])
        accuracy = (log_probabilities.argmax(dim=-1) == labels).float().mean().item()
        return {"loss": F.nll_loss(log_probabilities, labels).item(), "accuracy": accuracy}

    @torch.inference_mode()
    def predict(self, examples: Sequence[EncodedExample]) -> Tensor:
        """Log-probabilities of the labels in the order of the examples, shape (N, K)."""
        self.model.eval()
        order = sorted(range(len(examples)), key=lambda i: self.size(examples[i]))
        rows: list[Tensor] = [torch.empty(0)] * len(order)
        for start in range(0, len(order), _SCORED_TOGETHER):
            chosen = order[start : start + _SCORED_TOGETHER]
            logits = self.logits([examples[i] for i in chosen])
            for index, row in zip(chosen, logits.log_softmax(dim=-1).cpu(), strict=True):
                rows[index] = row
        return torch.stack(rows) if rows else torch.empty(0, 1)


def _write_test(
    draft: Draft, examples: Sequence[Example], log_probabilities: Tensor, labels: list[str]
) -> None:
    """Figures, predictions and the confusion matrix of the test part."""
    best = log_probabilities.max(dim=-1)
    predicted = [labels[i] for i in best.indices.tolist()]
    expected = [example.label for example in examples]
    figures, confusion = classification_metrics(expected, predicted, labels)
    draft.metrics |= {f"test_{name}": value for name, value in figures.items()}
    write_json(draft.directory / "confusion.json", confusion)
    columns = [
        [example.text for example in examples],
        expected,
        predicted,
        best.values.exp().tolist(),
    ]
    table = pa.table(columns, schema=PREDICTIONS)
    pq.write_table(table, draft.directory / "predictions.parquet")
