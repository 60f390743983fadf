"""Direct preference optimization (DPO): the loss on pairs of answers.

With log-ratios ``r(y) = log p(y | x) - log p_before(y | x)`` of an answer y to a prompt x, the loss
of a better answer y+ and a worse one y- is ``-log sigmoid(beta (r(y+) - r(y-)))``.

Shapes: N answers, B batch, T time, C width, V vocabulary.

References:
    Rafailov et al. 2023, "Direct Preference Optimization: Your Language Model is Secretly a Reward
    Model", equation 7; Mitchell 2023, "A note on DPO with noisy preferences" (label smoothing).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from typing_extensions import override

from gpt_core.config import PreferenceConfig
from gpt_core.data import collate
from gpt_core.finetuning.epochs import Objective
from gpt_core.finetuning.example_encoder import Row
from gpt_core.models import GPT, evaluating

_SCORE_BATCH = 16


@dataclass(frozen=True, slots=True)
class EncodedPair:
    """The two answers to a prompt, tokenized, and their log-probabilities before training."""

    chosen: Row
    rejected: Row
    before_chosen: float = 0.0
    before_rejected: float = 0.0


def log_probabilities(model: GPT, rows: Sequence[Row], pad_id: int) -> Tensor:
    """The log-probability of each row's answer, summed over its tokens, in nats.

    Args:
        model: The language model, perhaps with adapters.
        rows: Token ids and targets; those within the prompt are ``IGNORED``.
        pad_id: Id that pads shorter rows.

    Returns:
        Shape (N,).
    """
    device = next(model.parameters()).device
    batch = collate(rows, pad_id)
    counted = (batch.targets >= 0).flatten().nonzero()[:, 0]  # found before it goes to the device
    owners = (counted // batch.targets.size(1)).to(device)
    hidden = model.hidden(batch.token_ids.to(device)).flatten(0, 1)  # (B T, C)
    logits = model.lm_head(hidden[counted.to(device)]).float()  # (counted, V)
    losses = F.cross_entropy(logits, batch.targets.flatten()[counted].to(device), reduction="none")
    return torch.zeros(len(rows), device=device).index_add(0, owners, -losses)


@torch.inference_mode()
def score_answers(model: GPT, rows: Sequence[Row], pad_id: int) -> list[float]:
    """``log_probabilities`` of any number of rows, in evaluation mode, in their order."""
    order = sorted(range(len(rows)), key=lambda i: len(rows[i][0]))
    found = [0.0] * len(rows)
    with evaluating(model):
        for start in range(0, len(order), _SCORE_BATCH):
            chosen = order[start : start + _SCORE_BATCH]
            values = log_probabilities(model, [rows[i] for i in chosen], pad_id)
            for index, value in zip(chosen, values.tolist(), strict=True):
                found[index] = value
    return found


def preference_losses(margins: Tensor, label_smoothing: float) -> Tensor:
    """The loss of each pair from its margin ``beta (r(y+) - r(y-))``.

    ``-(1 - e) log sigmoid(m) - e log sigmoid(-m)``, with the probability e that a pair is the wrong
    way round.
    """
    right, wrong = F.logsigmoid(margins), F.logsigmoid(-margins)
    return -(1 - label_smoothing) * right - label_smoothing * wrong


class PreferenceLoss(Objective[EncodedPair]):
    """The loss of DPO, and how often and how far the better answer gained more.

    Args:
        model: The language model, perhaps with adapters.
        pad_id: Id that pads shorter rows.
        validation: Pairs that choose the best epoch.
        config: ``beta`` and ``label_smoothing``.
    """

    def __init__(
        self, model: GPT, pad_id: int, validation: Sequence[EncodedPair], config: PreferenceConfig
    ) -> None:
        self.model, self.pad_id, self.validation = model, pad_id, validation
        self.beta, self.label_smoothing = config.beta, config.label_smoothing

    @override
    def loss(self, examples: Sequence[EncodedPair]) -> Tensor:
        rows = [pair.chosen for pair in examples] + [pair.rejected for pair in examples]
        now = log_probabilities(self.model, rows, self.pad_id)
        before = [p.before_chosen for p in examples] + [p.before_rejected for p in examples]
        chosen, rejected = (now - torch.tensor(before, device=now.device)).chunk(2)
        return preference_losses(self.beta * (chosen - rejected), self.label_smoothing).sum()

    @override
    def size(self, example: EncodedPair) -> int:
        return len(example.chosen[0]) + len(example.rejected[0])

    @override
    def score(self) -> dict[str, float]:
        return self.measure(self.validation) if self.validation else {}

    def measure(self, pairs: Sequence[EncodedPair]) -> dict[str, float]:
        """Mean loss, reward accuracy, mean margin, and how often the better answer is likelier."""
        rows = [pair.chosen for pair in pairs] + [pair.rejected for pair in pairs]
        now = torch.tensor(score_answers(self.model, rows, self.pad_id), dtype=torch.float64)
        before = torch.tensor(
            [p.before_chosen for p in pairs] + [p.before_rejected for p in pairs],
            dtype=torch.float64,
        )
        chosen, rejected = (now - before).chunk(2)
        margins = self.beta * (chosen - rejected)
        likelier, was = ((a > b).double().mean().item() for a, b in
                         (now.chunk(2), before.chunk(2)))  # fmt: skip
        return {
            "loss": preference_losses(margins, self.label_smoothing).mean().item(),
            "accuracy": (margins > 0).double().mean().item(),
            "margin": margins.mean().item(),
            "likelier": likelier,
            "likelier_before": was,
        }
