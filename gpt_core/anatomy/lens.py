"""The logit lens: what the model would say if it stopped after a block.

Every block adds to the same residual stream, so the final norm and the head can read the stream
after any of them.

Shapes: T time, C width, V vocabulary.

References:
    nostalgebraist 2020, "interpreting GPT: the logit lens".
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from gpt_core.anatomy.recording import Recording
from gpt_core.models import GPT


@dataclass(frozen=True, slots=True)
class Prediction:
    """The most likely next tokens after one position."""

    token_ids: tuple[int, ...]
    """Most likely first."""

    probabilities: tuple[float, ...]
    """The probabilities of those tokens."""


@torch.no_grad()
def lens_logits(model: GPT, recording: Recording, n_blocks: int) -> Tensor:
    """The logits that the stream gives after some of the blocks.

    Args:
        model: The model that was recorded.
        recording: Its forward pass.
        n_blocks: 0 for the embeddings alone, to the number of blocks, which is the model's answer.

    Returns:
        Shape (T, V).
    """
    stream = recording.streams[n_blocks].to(model.wte.weight.device)
    logits: Tensor = model.lm_head(model.ln_f(stream))
    return logits.cpu()


def logit_lens(model: GPT, recording: Recording, k: int = 5) -> list[list[Prediction]]:
    """The k most likely next tokens after every block.

    Returns:
        For 0 blocks to all, for every position.
    """
    return [most_likely(lens_logits(model, recording, n), k) for n in range(len(recording.streams))]


def most_likely(logits: Tensor, k: int) -> list[Prediction]:
    """The k most likely tokens of every row of logits (T, V)."""
    values, indices = logits.float().softmax(dim=-1).topk(min(k, logits.size(-1)), dim=-1)
    return [
        Prediction(tuple(ids), tuple(probabilities))
        for ids, probabilities in zip(indices.tolist(), values.tolist(), strict=True)
    ]
