"""What to do when a machine cannot do what a run asks of it, in a sentence."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from gpt_core.config import PretrainConfig
from gpt_core.errors import ConfigError


@contextmanager
def advised(config: PretrainConfig, device: torch.device) -> Iterator[None]:
    """Inside, too little memory or no compiler is the user's to mend.

    Args:
        config: The run's.
        device: Where this process computes.

    Raises:
        ConfigError: If the memory does not suffice, or the compiler is not there.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if is_out_of_memory(error):
            raise ConfigError(_less_memory(config, device)) from error
        if lacks_compiler(error):
            raise ConfigError(
                "compiling needs a C++ compiler, and there is none here: install one (g++ or "
                "clang) or set training.compile=off"
            ) from error
        raise


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error is for want of memory, as torch says it on a GPU and on a processor."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or (
        "can't allocate memory" in str(error)
    )


def lacks_compiler(error: BaseException) -> bool:
    """Whether torch could not compile for want of a C++ compiler."""
    return "No working C++ compiler" in str(error)


def _less_memory(config: PretrainConfig, device: torch.device) -> str:
    n_samples = config.training.micro_batch
    return (
        f"the memory of {device} does not hold training.micro_batch={n_samples} samples of "
        f"{config.model.context_length} tokens: set training.micro_batch={max(1, n_samples // 2)} "
        "(a step keeps its tokens), training.fit_memory=true or training.recompute=true, or take "
        "a smaller model"
    )
