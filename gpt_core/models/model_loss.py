"""From token ids to the loss, on the quickest way that a device has to the gradients.

Shapes: B batch, T time, C width, V vocabulary, W the vocabulary padded.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from gpt_core.models.fp8_linear import fp8_linear
from gpt_core.models.gpt import GPT
from gpt_core.models.head_loss import head_loss
from gpt_core.models.loss import next_token_loss

_MULTIPLE = 128  # of elements: the rows that a GPU's matrix units take at once


def model_loss(
    model: GPT, token_ids: Tensor, targets: Tensor, *, padded: bool = True, fp8: bool = False
) -> Tensor:
    """Mean loss of a model in nats a token.

    The explicit attention backend asks for the textbook's arithmetic, to the bit. A processor
    computes head and loss in one; a GPU's compiler finds that out by itself.

    Args:
        model: In training.
        token_ids: Shape (B, T).
        targets: Ids of the next tokens, shape (B, T); every one counts.
        padded: On a GPU, compute the head for a round number of tokens.
        fp8: Compute the head's products in 8 bits, wherever it is.

    Returns:
        A scalar.
    """
    weight = model.lm_head.weight
    if fp8:
        logits = padded_logits(model.hidden(token_ids), weight, fp8_linear)
    elif model.config.attention == "explicit":
        logits = model(token_ids)
    elif token_ids.device.type == "cpu":
        return head_loss(model.hidden(token_ids), weight, targets)
    else:
        logits = padded_logits(model.hidden(token_ids), weight) if padded else model(token_ids)
    return next_token_loss(logits, targets)


def padded_logits(
    hidden: Tensor, weight: Tensor, product: Callable[[Tensor, Tensor], Tensor] = F.linear
) -> Tensor:
    """Logits with columns up to a multiple of 128, those of no token being -inf.

    50,257 rows do not divide into the tiles in which a GPU multiplies; 50,304 do. The rows are
    added for the product only: no weight is kept for them and none is exported.

    Args:
        hidden: What the head reads, shape (B, T, C).
        weight: Of the head, shape (V, C).
        product: ``hidden @ weight.T``.

    Returns:
        Shape (B, T, W); the softmax over them is that over the V.
    """
    n_tokens = weight.size(0)
    missing = -n_tokens % _MULTIPLE
    logits = product(hidden, F.pad(weight, (0, 0, 0, missing)))  # (B, T, W)
    no_token = torch.arange(n_tokens + missing, device=logits.device) >= n_tokens
    return logits.masked_fill(no_token, -torch.inf)
