"""How many samples go through a model at once: as many as the memory holds."""

import gc
from collections.abc import Callable
from dataclasses import replace

import torch

from gpt_core.config import PretrainConfig
from gpt_core.execution.placement import lay_out
from gpt_core.execution.ranks import Ranks
from gpt_core.models import build_model
from gpt_core.training.failures import is_out_of_memory
from gpt_core.training.updates import Updates


def fitted(config: PretrainConfig, device: torch.device, ranks: Ranks) -> PretrainConfig:
    """The configuration with the largest micro-batch that fits, at most the one that is set.

    Every process tries on its own device, with a model of its own; the smallest answer counts.

    Args:
        config: With the model's vocabulary size filled in.
        device: Where this process computes.
        ranks: The processes of the run.
    """

    def attempt(micro_batch: int) -> None:
        _train_once(config, micro_batch, device)

    found = largest_that_fits(config.training.micro_batch, attempt)
    smallest = min(int(each) for each in ranks.gathered(torch.tensor(found)))
    return replace(config, training=replace(config.training, micro_batch=smallest))


def largest_that_fits(size: int, attempt: Callable[[int], None]) -> int:
    """Try a size, then its divisors from half of it downwards, until there is memory enough.

    Args:
        size: The first one to be tried.
        attempt: Does the work with a size.

    Returns:
        The first size that fits; 1 without a trial, for then nothing smaller is left.
    """
    while size > 1 and not _succeeds(attempt, size):
        size = next(n for n in range(size // 2, 0, -1) if size % n == 0)
    return size


def _succeeds(attempt: Callable[[int], None], size: int) -> bool:
    try:
        attempt(size)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        return False
    finally:
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
    return True


def _train_once(config: PretrainConfig, micro_batch: int, device: torch.device) -> None:
    """A step on padding, with everything that a step needs memory for."""
    layout = lay_out(build_model(config.model, seed=0).train(), device, config.training)
    updates = Updates(layout, config)
    token_ids = torch.zeros(
        micro_batch, config.model.context_length, dtype=torch.long, device=device
    )
    with layout.computing.on(device):
        loss = layout.loss(token_ids, token_ids)
    loss.backward()
    updates.clip()
    updates.apply(0.0, measured=True)
