"""A language model into a classifier of texts.

Shapes: B batch, T time, K classes.
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

from gpt_core.artifact import Artifact, Draft, new_artifact, plain
from gpt_core.config import ClassificationConfig, LoRAConfig
from gpt_core.data import (
    TOKENIZER,
    Example,
    balance,
    encode_texts,
    pad,
    read_examples,
    split_examples,
)
from gpt_core.errors import ConfigError
from gpt_core.evaluation import classification_metrics
from gpt_core.files import write_json
from gpt_core.finetuning.epochs import EpochLoop
from gpt_core.finetuning.lora import add_adapters, merge_adapters
from gpt_core.finetuning.saving import note_figures, write_finetuned
from gpt_core.models import GPTClassifier, load_model
from gpt_core.text import source_path
from gpt_core.tokenizers import Tokenizer, load_tokenizer
from gpt_core.training import Callback, Callbacks, resolve_device

_EVALUATION_BATCH = 64


@dataclass(frozen=True, slots=True)
class _Encoded:
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
        every test text with its prediction, ``confusion.json`` the confusion matrix.

    Raises:
        DataError: If the table cannot be read or leaves a part without a label.
        ConfigError: If more blocks are to be trained than there are.
        CheckpointError: If the checkpoint is damaged or a classifier's.
    """
    device = resolve_device(config.device)
    torch.manual_seed(config.seed)
    body = load_model(checkpoint.directory)
    tokenizer = load_tokenizer(checkpoint.directory / TOKENIZER)
    rows = read_examples(source_path(examples), config.text_column, config.label_column)
    labels = sorted({row.label for row in rows})
    rows = balance(rows, config.seed) if config.balanced else rows
    parts = split_examples(rows, config.validation_share, config.test_share, config.seed)
    width = min(config.max_tokens or body.config.context_length, body.config.context_length)
    model = GPTClassifier(body, len(labels)).to(device)
    _choose_trained(model, config)
    trained: Any = model
    if lora.rank:
        trained = add_adapters(model, lora, ("score",)).to(device)
    classify = _Classify(trained, tokenizer.pad_id, device)
    validation = _encode(parts.validation, tokenizer, labels, width)
    loop = EpochLoop(
        model=trained,
        loss_of=classify.loss,
        score_of=lambda: classify.score(validation),
        epochs=config.epochs,
        batch_size=config.batch_size,
        learning_rate=config.learning_rate,
        weight_decay=config.weight_decay,
        seed=config.seed,
        callbacks=Callbacks(callbacks),
    )
    best = loop.run(_encode(parts.train, tokenizer, labels, width))
    test = classify.predict(_encode(parts.test, tokenizer, labels, width))
    model = merge_adapters(trained) if lora.rank else model  # type: ignore[assignment]
    description = {
        "kind": "classifier",
        "step": loop.step,
        "model": plain(body.config),
        "labels": labels,
        "max_tokens": width,
    }
    settings, parents = (config, lora), (checkpoint, examples)
    with new_artifact(out_dir, kind="checkpoint", config=settings, parents=parents) as draft:
        write_finetuned(draft, model, tokenizer, description)
        note_figures(
            draft, best, {"train": parts.train, "validation": parts.validation, "test": parts.test}
        )
        _write_test(draft, parts.test, test, labels)
    return draft.artifact


def _choose_trained(model: GPTClassifier, config: ClassificationConfig) -> None:
    if config.trainable_blocks is None:
        return
    n_layer = model.config.n_layer
    if config.trainable_blocks > n_layer:
        raise ConfigError(
            f"classification.trainable_blocks is {config.trainable_blocks}, the model has {n_layer}"
        )
    model.freeze_all_but(config.trainable_blocks)


def _encode(
    examples: Sequence[Example], tokenizer: Tokenizer, labels: list[str], width: int
) -> list[_Encoded]:
    encoded = encode_texts([example.text for example in examples], tokenizer, width)
    return [
        _Encoded(ids, labels.index(example.label))
        for ids, example in zip(encoded, examples, strict=True)
    ]


class _Classify:
    """Scores examples with a classifier.

    Args:
        model: The classifier, perhaps with adapters.
        pad_id: Fills rows up.
        device: Where the model is.
    """

    def __init__(self, model: Any, pad_id: int, device: torch.device) -> None:
        self.model, self.pad_id, self.device = model, pad_id, device

    def logits(self, examples: Sequence[_Encoded]) -> Tensor:
        """Shape (B, K)."""
        token_ids, lengths = pad([example.token_ids for example in examples], self.pad_id)
        logits: Tensor = self.model(token_ids.to(self.device), lengths.to(self.device))
        return logits

    def loss(self, examples: Sequence[_Encoded]) -> Tensor:
        """Mean cross-entropy of a batch."""
        labels = torch.tensor([example.label for example in examples], device=self.device)
        return F.cross_entropy(self.logits(examples).float(), labels)

    @torch.inference_mode()
    def predict(self, examples: Sequence[_Encoded]) -> Tensor:
        """Probabilities in the order of the examples, shape (N, K)."""
        self.model.eval()
        order = sorted(range(len(examples)), key=lambda i: len(examples[i].token_ids))
        parts = []
        for start in range(0, len(order), _EVALUATION_BATCH):
            batch = [examples[i] for i in order[start : start + _EVALUATION_BATCH]]
            parts.append(self.logits(batch).float().softmax(dim=-1).cpu())
        probabilities = torch.cat(parts)
        out = torch.empty_like(probabilities)
        out[torch.tensor(order)] = probabilities
        return out

    def score(self, examples: Sequence[_Encoded]) -> dict[str, float]:
        """Accuracy and loss; with no examples to choose by, every epoch is as good as the last."""
        if not examples:
            return {"accuracy": 0.0}
        probabilities = self.predict(examples)
        labels = torch.tensor([example.label for example in examples])
        accuracy = (probabilities.argmax(dim=-1) == labels).float().mean().item()
        loss = F.nll_loss(probabilities.clamp_min(1e-12).log(), labels).item()
        return {"accuracy": accuracy, "loss": loss}


def _write_test(
    draft: Draft, examples: Sequence[Example], probabilities: Tensor, labels: list[str]
) -> None:
    """Figures, predictions and the confusion matrix of the test part."""
    predicted = [labels[int(i)] for i in probabilities.argmax(dim=-1)]
    expected = [example.label for example in examples]
    figures, confusion = classification_metrics(expected, predicted, labels)
    draft.metrics |= {f"test_{name}": value for name, value in figures.items()}
    write_json(draft.directory / "confusion.json", confusion)
    table = {
        "text": [example.text for example in examples],
        "expected": expected,
        "predicted": predicted,
        "probability": probabilities.max(dim=-1).values.tolist(),
    }
    pq.write_table(pa.table(table), draft.directory / "predictions.parquet")
