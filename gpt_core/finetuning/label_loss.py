"""The loss of a classifier: its labels, and by a weight the next tokens of its texts.

Shapes: B batch, T time, C width, K classes, N examples, V vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from typing_extensions import override

from gpt_core.config import ClassificationConfig
from gpt_core.data import pad
from gpt_core.finetuning.epochs import Objective
from gpt_core.models import GPTClassifier, evaluating

_PREDICT_BATCH = 64


@dataclass(frozen=True, slots=True)
class EncodedExample:
    """A tokenized example and the index of its label."""

    token_ids: list[int]
    label: int
    weight: float = 1.0
    """Weight of its loss; the mean over the training examples is 1."""


class LabelLoss(Objective[EncodedExample]):
    """Cross-entropy on labels, and by a weight on the texts' next tokens.

    Args:
        model: The classifier, perhaps with adapters.
        head: Weight of the language-model head, shape (V, C).
        pad_id: Id that pads shorter rows.
        validation: Examples that choose the best epoch.
        config: The padding, the label smoothing and the weight of the next tokens.
    """

    def __init__(
        self,
        model: GPTClassifier,
        head: Tensor,
        pad_id: int,
        validation: Sequence[EncodedExample],
        config: ClassificationConfig,
    ) -> None:
        self.model, self.head, self.pad_id, self.validation = model, head, pad_id, validation
        self.device = next(model.parameters()).device
        self.language_model_weight = config.language_model_weight
        self.pad_to, self.label_smoothing = config.pad_to, config.label_smoothing

    def logits(self, examples: Sequence[EncodedExample]) -> Tensor:
        """Logits of the labels, shape (B, K)."""
        logits: Tensor = self.model(*self._padded(examples))
        return logits.float()

    def _padded(self, examples: Sequence[EncodedExample]) -> tuple[Tensor, Tensor]:
        rows = [example.token_ids for example in examples]
        token_ids, lengths = pad(rows, self.pad_id, self.pad_to)
        return token_ids.to(self.device), lengths.to(self.device)

    @override
    def loss(self, examples: Sequence[EncodedExample]) -> Tensor:
        logits, next_tokens = self._forward(examples)
        labels = torch.tensor([example.label for example in examples], device=self.device)
        # Not divided by the weights of the batch, which would take them away again where all
        # examples of a batch have the same label.
        losses = F.cross_entropy(
            logits,
            labels,
            label_smoothing=self.label_smoothing,
            reduction="none",
        )  # (B,)
        weights = torch.tensor([example.weight for example in examples], device=self.device)
        return (losses * weights).sum() + self.language_model_weight * next_tokens

    def _forward(self, examples: Sequence[EncodedExample]) -> tuple[Tensor, Tensor | float]:
        """Logits of the labels, (B, K), and the texts' summed next-token losses if they count."""
        if not self.language_model_weight:
            return self.logits(examples), 0.0
        logits, losses = self.model.forward_with_next_tokens(*self._padded(examples), self.head)
        return logits.float(), losses.sum()

    @override
    def size(self, example: EncodedExample) -> int:
        return self.pad_to or len(example.token_ids)

    @override
    def score(self) -> dict[str, float]:
        from sklearn.metrics import f1_score

        if not self.validation:
            return {}
        log_probabilities = self.predict(self.validation)
        labels = torch.tensor([example.label for example in self.validation])
        predicted = log_probabilities.argmax(dim=-1)
        return {
            "loss": F.nll_loss(log_probabilities, labels).item(),
            "accuracy": (predicted == labels).float().mean().item(),
            "f1": float(f1_score(labels, predicted, average="macro", zero_division=0.0)),
        }

    @torch.inference_mode()
    def predict(self, examples: Sequence[EncodedExample]) -> Tensor:
        """Log-probabilities of the labels in the order of the examples, shape (N, K)."""
        order = sorted(range(len(examples)), key=lambda i: self.size(examples[i]))
        rows: list[Tensor] = [torch.empty(0)] * len(order)
        with evaluating(self.model):
            for start in range(0, len(order), _PREDICT_BATCH):
                chosen = order[start : start + _PREDICT_BATCH]
                logits = self.logits([examples[i] for i in chosen])
                for index, row in zip(chosen, logits.log_softmax(dim=-1).cpu(), strict=True):
                    rows[index] = row
        return torch.stack(rows) if rows else torch.empty(0, 1)
