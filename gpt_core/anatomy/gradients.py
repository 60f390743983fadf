"""How the loss of one token walks back: its gradient at every position of every block.

Shapes: B batch, T time, C width, L blocks.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from gpt_core.anatomy.recording import require_ids
from gpt_core.errors import DataError
from gpt_core.models import GPT, evaluating


def gradient_norms(model: GPT, token_ids: Sequence[int], position: int) -> Tensor:
    """The norms of a loss's gradient with respect to the stream, before each block and after all.

    The loss is that of the token at ``position``, predicted from those before it. No gradient of
    the weights is computed or changed.

    Args:
        model: The language model; its mode is restored afterwards.
        token_ids: The sequence, T ids.
        position: Index of the predicted token, from 1 to T - 1.

    Returns:
        Shape (L + 1, T); 0 from ``position`` on, which the prediction cannot see.

    Raises:
        DataError: If the sequence does not fit the model, or the position is not in it.
    """
    ids = require_ids(model, token_ids)
    if not 1 <= position < len(ids):
        raise DataError(
            f"position {position} has no token to predict: give one from 1 to {len(ids) - 1}"
        )
    device = model.wte.weight.device
    with evaluating(model), torch.enable_grad():
        x = model.wte(torch.tensor([ids], device=device))
        x = (x + model.wpe(torch.arange(len(ids), device=device))).detach().requires_grad_()
        streams = [x]
        for block in model.h:
            streams.append(block(streams[-1]))
        logits = model.lm_head(model.ln_f(streams[-1]))  # (1, T, V)
        loss = -logits[0, position - 1].float().log_softmax(dim=-1)[ids[position]]
        gradients = torch.autograd.grad(loss, streams)
    return torch.stack([gradient[0].norm(dim=-1) for gradient in gradients]).cpu()
