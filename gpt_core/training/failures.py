"""Turns out-of-memory, missing-compiler and lost-process errors into advice."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist

from gpt_core.config import PretrainConfig
from gpt_core.errors import ConfigError, LostProcessError

_LOST = (
    "another process of the run has ended or does not answer, or its node does not: the same "
    "command resumes from the newest checkpoint, on any number of nodes"
)
_GONE = (  # words of gloo and NCCL
    "Connection closed by peer",
    "Connection reset by peer",
    "Broken pipe",
    "Timed out waiting",
    "remote process exited or there was a network error",
)


@contextmanager
def explain_failures(config: PretrainConfig, device: torch.device) -> Iterator[None]:
    """Translate out-of-memory and missing-compiler errors into a ``ConfigError`` with advice.

    Args:
        config: The run's configuration.
        device: The device of this process.

    Raises:
        ConfigError: If the memory does not suffice, or there is no compiler.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if is_out_of_memory(error):
            raise ConfigError(_memory_advice(config, device)) from error
        if lacks_compiler(error):
            raise ConfigError(
                "compiling needs a C++ compiler, and there is none here: install one (g++ or "
                "clang) or set compute.compile=off"
            ) from error
        raise


@contextmanager
def explain_lost_processes() -> Iterator[None]:
    """Translate a failed exchange between ranks into a sentence.

    Raises:
        LostProcessError: If another process of the run has ended or does not answer.
    """
    try:
        yield
    except RuntimeError as error:
        exchanging = dist.is_initialized() and any(words in str(error) for words in _GONE)
        if exchanging or isinstance(error, dist.DistError):
            raise LostProcessError(_LOST) from error
        raise


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error is one of torch's out-of-memory errors, on a GPU or a CPU."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or (
        "can't allocate memory" in str(error)
    )


def lacks_compiler(error: BaseException) -> bool:
    """Whether ``torch.compile`` failed because there is no C++ compiler."""
    return "No working C++ compiler" in str(error)


def _memory_advice(config: PretrainConfig, device: torch.device) -> str:
    n_samples = config.training.micro_batch
    return (
        f"the memory of {device} does not hold training.micro_batch={n_samples} samples of "
        f"{config.model.context_length} tokens: set training.micro_batch={max(1, n_samples // 2)} "
        "(a step keeps its tokens), compute.fit_memory=true or compute.recompute=true, or take "
        "a smaller model"
    )
