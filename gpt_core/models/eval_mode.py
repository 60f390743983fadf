"""Evaluation mode (no dropout) for the length of a ``with`` block."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put a model into evaluation mode; on exit restore its mode, after an exception as well.

    Gradients are not affected: disable them with ``torch.inference_mode`` or ``torch.no_grad``.

    Args:
        model: Its ``training`` flag is restored in all submodules.
    """
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)
