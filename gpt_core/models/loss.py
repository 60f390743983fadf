"""Next-token cross-entropy and perplexity.

Shapes: B batch, T time, V vocabulary.
"""

import math
from typing import Literal

import torch.nn.functional as F
from torch import Tensor

from gpt_core.config import IGNORED

_MAX_NATS = 700.0  # exp of 710 overflows a float


def next_token_loss(
    logits: Tensor,
    targets: Tensor,
    ignore_index: int = IGNORED,
    reduction: Literal["mean", "sum", "none"] = "mean",
) -> Tensor:
    """Cross-entropy of the targets, ``-log softmax(logits)[target]``, computed in float32.

    Args:
        logits: Shape (B, T, V).
        targets: Ids of the next tokens, shape (B, T); ``ignore_index`` where there is none.
        ignore_index: See ``IGNORED``.
        reduction: ``mean`` and ``sum`` give a scalar, ``none`` gives (B, T) with 0 where ignored.

    Returns:
        The loss in nats per token (``mean``), in nats (``sum``), or of each token (``none``).
    """
    loss = F.cross_entropy(
        logits.flatten(0, 1).float(),
        targets.flatten(),
        ignore_index=ignore_index,
        reduction=reduction,
    )
    return loss.view(targets.shape) if reduction == "none" else loss


def perplexity(nats: float) -> float:
    """Perplexity, ``exp(nats)``: the number of equally likely tokens of the same uncertainty.

    Args:
        nats: Mean negative log-likelihood, capped at 700 so that the result is finite.

    Example:
        >>> round(perplexity(math.log(50257)))
        50257
    """
    return math.exp(min(nats, _MAX_NATS))
