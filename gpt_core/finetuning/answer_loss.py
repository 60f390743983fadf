"""The loss of instruction tuning: next tokens of the answers, and of the prompts by a weight.

Shapes: B batch, T time, N targets that count, C width, V vocabulary.
"""

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor
from typing_extensions import override

from gpt_core.config import IGNORED, InstructionConfig
from gpt_core.data import Batch, collate
from gpt_core.evaluation import token_loss
from gpt_core.finetuning.epochs import Objective
from gpt_core.finetuning.example_encoder import Row
from gpt_core.models import GPT
from gpt_core.models.packing import Packing

V = TypeVar("V")
_SCORE_BATCH = 32


class AnswerLoss(Objective[Row]):
    """Next-token loss, the mean over the targets of an update's examples.

    The head is applied only where a target counts.

    Args:
        model: The language model, perhaps with adapters.
        pad_id: Id that pads shorter rows.
        validation: Examples that choose the best epoch, by the loss of their answers alone.
        config: The weight of the prompts, and whether examples are packed.
    """

    def __init__(
        self, model: GPT, pad_id: int, validation: Sequence[Row], config: InstructionConfig
    ) -> None:
        self.model, self.pad_id, self.validation = model, pad_id, validation
        self.device = next(model.parameters()).device
        self.prompt_weight, self.packing = config.prompt_loss_weight, config.packing

    @override
    def loss(self, examples: Sequence[Row]) -> Tensor:
        rows = [_with_all_targets(example) for example in examples]
        weights = [self._weights(example) for example in examples]
        packing = None
        if self.packing:
            packing = Packing([len(token_ids) for token_ids, _ in rows], self.device)
            rows = [(_joined(row[0] for row in rows), _joined(row[1] for row in rows))]
            weights = [_joined(weights)]
        batch = collate(rows, self.pad_id)
        padded = torch.zeros(batch.targets.shape)  # (B, T)
        for index, row in enumerate(weights):
            padded[index, : len(row)] = torch.tensor(row)
        counted = padded.flatten().nonzero()[:, 0]  # (N,), found before it goes to the device
        hidden = self.model.hidden(batch.token_ids.to(self.device), packing=packing)  # (B, T, C)
        chosen = hidden.flatten(0, 1)[counted.to(self.device)]  # (N, C)
        logits = self.model.lm_head(chosen).float()  # (N, V)
        targets = batch.targets.flatten()[counted].to(self.device)
        losses = F.cross_entropy(logits, targets, reduction="none")
        return losses @ padded.flatten()[counted].to(self.device)

    @override
    def weight(self, example: Row) -> float:
        return sum(self._weights(example))

    @override
    def size(self, example: Row) -> int:
        return len(example[0])

    @override
    def score(self) -> dict[str, float]:
        return {"loss": self.answer_loss(self.validation)} if self.validation else {}

    def answer_loss(self, examples: Sequence[Row]) -> float:
        """Mean loss of the answers' tokens, in nats; independent of how they are batched."""
        rows = sorted(examples, key=self.size)
        return token_loss(self.model, self._batches(rows), self.device)[0]

    def _weights(self, example: Row) -> list[float]:
        return [self.prompt_weight if target == IGNORED else 1.0 for target in example[1]]

    def _batches(self, rows: Sequence[Row]) -> list[Batch]:
        groups = (rows[start : start + _SCORE_BATCH] for start in range(0, len(rows), _SCORE_BATCH))
        return [collate(group, self.pad_id) for group in groups]


def _with_all_targets(example: Row) -> Row:
    """An example with the targets in its prompt, too."""
    token_ids, targets = example
    return token_ids, [*token_ids[1:], targets[-1]]


def _joined(rows: Iterable[list[V]]) -> list[V]:
    return list(chain.from_iterable(rows))
