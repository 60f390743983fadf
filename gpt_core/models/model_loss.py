"""The training loss of a GPT, computed in the fastest way for the device.

Shapes: B batch, T time, C width, V vocabulary, W padded vocabulary.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from gpt_core.models.fp8_linear import fp8_linear
from gpt_core.models.gpt import GPT
from gpt_core.models.head_loss import head_loss
from gpt_core.models.loss import next_token_loss

_TILE = 128  # a vocabulary of a multiple of it fills the tiles of a GPU's matrix units


def model_loss(
    model: GPT, token_ids: Tensor, targets: Tensor, *, padded: bool = True, fp8: bool = False
) -> Tensor:
    """Mean next-token loss of a model.

    ``model.attention=explicit`` uses plain logits and cross-entropy. On a CPU the head and the
    loss are fused by hand (``head_loss``); on a GPU ``torch.compile`` fuses them.

    Args:
        model: In training mode.
        token_ids: Shape (B, T).
        targets: Ids of the next tokens, shape (B, T); none is ignored.
        padded: On a GPU, pad the head to a multiple of 128 rows, see ``padded_logits``.
        fp8: Compute the head in FP8, on any device.

    Returns:
        A scalar in nats per token.
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
    hidden: Tensor, weight: Tensor, linear: Callable[[Tensor, Tensor], Tensor] = F.linear
) -> Tensor:
    """Logits padded with -inf to a multiple of 128 columns.

    GPT-2's 50,257 rows do not divide into the tiles in which a GPU multiplies; 50,304 do. The
    rows are added for the matrix product only: they are neither trained nor exported.

    Args:
        hidden: Final hidden states, shape (B, T, C).
        weight: The head's weight, shape (V, C).
        linear: Computes ``hidden @ weight.T``.

    Returns:
        Shape (B, T, W); the softmax over W equals that over V.
    """
    vocab_size = weight.size(0)
    n_padding = -vocab_size % _TILE
    logits = linear(hidden, F.pad(weight, (0, 0, 0, n_padding)))  # (B, T, W)
    padding = torch.arange(vocab_size + n_padding, device=logits.device) >= vocab_size
    return logits.masked_fill(padding, -torch.inf)
