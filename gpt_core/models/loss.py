"""How surprised a model is by the next token.

Shapes: B batch, T time, V vocabulary.
"""

import math
from typing import Literal

import torch.nn.functional as F
from torch import Tensor

IGNORED = -100
"""The target that does not count: padding, or a prompt that is not to be learned."""

_MAX_NATS = 700.0


def next_token_loss(
    logits: Tensor,
    targets: Tensor,
    ignore_index: int = IGNORED,
    reduction: Literal["mean", "sum", "none"] = "mean",
) -> Tensor:
    """Cross-entropy of the targets, in nats, computed in float32.

    ``-log softmax(logits)[target]``, over the targets that count.

    Args:
        logits: Shape (B, T, V).
        targets: Ids of the next tokens, shape (B, T); ``ignore_index`` does not count.
        ignore_index: See ``IGNORED``.
        reduction: ``mean`` and ``sum`` give a scalar, ``none`` gives (B, T) with 0 where ignored.

    Returns:
        The loss in nats a token (``mean``), in nats (``sum``) or one for each token.
    """
    loss = F.cross_entropy(
        logits.flatten(0, 1).float(),
        targets.flatten(),
        ignore_index=ignore_index,
        reduction=reduction,
    )
    return loss.view(targets.shape) if reduction == "none" else loss


def perplexity(nats: float) -> float:
    """``exp`` of a mean loss: among how many equally likely tokens the model seems to choose.

    Args:
        nats: Mean negative log-likelihood per token (or word); capped at 700, because ``exp``
            of more overflows a float.

    Example:
        >>> round(perplexity(math.log(50257)))
        50257
    """
    return math.exp(min(nats, _MAX_NATS))
