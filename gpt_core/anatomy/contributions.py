"""Which part of the model said it: a logit as a sum over everything that wrote into the stream.

The final stream is the sum of the embeddings and of every update. The final norm divides it by one
number per position; with that number kept as it is, norm and head are linear, and the logit of a
token is the sum of what each part alone would give, and of the norm's bias.

References:
    Elhage et al. 2021, "A Mathematical Framework for Transformer Circuits", "The Residual Stream as
    a Communication Channel".
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from gpt_core.anatomy.recording import Recording
from gpt_core.models import GPT


@dataclass(frozen=True, slots=True)
class Contribution:
    """The summand of a logit that one part gives."""

    part: str
    """``token``, ``position``, ``head``, ``attention bias``, ``feed-forward`` or ``final bias``."""

    block: int | None
    """Index of the block; None outside of the blocks."""

    head: int | None
    """Index of the head; None for other parts."""

    logit: float
    """The summand."""


@torch.no_grad()
def logit_contributions(
    model: GPT, recording: Recording, position: int, token_id: int
) -> list[Contribution]:
    """Split the logit of a next token into the contributions of all parts, which add up to it.

    Args:
        model: The model that was recorded.
        recording: Its forward pass.
        position: Index into the sequence; negative counts from its end.
        token_id: The next token whose logit is split.
    """
    norm = model.ln_f
    direction = model.lm_head.weight[token_id].cpu() * norm.weight.cpu()  # (C,)
    stream = recording.stream[position]
    scale = torch.rsqrt(stream.var(unbiased=False) + norm.epsilon)

    def logit(update: Tensor) -> float:
        return float(((update - update.mean()) * scale * direction).sum())

    found = [
        Contribution("token", None, None, logit(recording.token_embeddings[position])),
        Contribution("position", None, None, logit(recording.position_embeddings[position])),
    ]
    for index, block in enumerate(recording.blocks):
        updates = block.head_updates[:, position]  # (H, C)
        found += [
            Contribution("head", index, head, logit(update)) for head, update in enumerate(updates)
        ]
        bias = block.attention_update[position] - updates.sum(dim=0)
        found += [
            Contribution("attention bias", index, None, logit(bias)),
            Contribution("feed-forward", index, None, logit(block.feed_forward_update[position])),
        ]
    if norm.bias is not None:
        shift = float(norm.bias.cpu() @ model.lm_head.weight[token_id].cpu())
        found.append(Contribution("final bias", None, None, shift))
    return found
