"""How pretraining is computed: device, numerics and memory."""

from dataclasses import dataclass
from typing import Literal

from gpt_core.config.checks import require
from gpt_core.config.section import Section


@dataclass(frozen=True, kw_only=True, slots=True)
class ComputeConfig(Section):
    """Device, numerics and memory of pretraining."""

    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Training device; ``auto`` prefers a GPU."""

    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Precision of the matrix products; ``auto`` is bf16 where the device multiplies it fast."""

    stream: Literal["auto", "fp32"] = "auto"
    """Precision of the residual stream; ``auto`` is that of the products."""

    compile: Literal["auto", "on", "off"] = "auto"
    """``torch.compile``; ``auto`` compiles on a GPU, and on a CPU if a trial before a run of more
    than an hour shows that it is faster."""

    attention_kernel: Literal["auto", "flash", "cudnn", "efficient", "math"] = "auto"
    """Torch's kernel for ``model.attention=sdpa``; ``auto`` takes the fastest at the run's shape on
    a GPU, and leaves the choice to torch elsewhere."""

    pad_vocabulary: bool = True
    """On a GPU, compute the head for a vocabulary rounded up to a multiple of 128 tokens; those
    added have no probability and no weights."""

    fp8_head: bool = False
    """Compute the head's products in FP8; for GPUs of compute capability 8.9 or higher."""

    deterministic: bool = False
    """On a GPU, take only kernels that sum in a fixed order: two equal runs, and a run that was
    killed and continued, then end with the same bits, as they always do on a CPU; slower."""

    recompute: bool = False
    """Keep only each block's input and recompute the rest in the backward pass (activation
    checkpointing): less memory, more time, the same bits."""

    fit_memory: bool = False
    """Use a smaller micro-batch if ``training.micro_batch`` samples do not fit into memory; a
    resumed run keeps the size that was found. Not tried for a sharded model (``fsdp``)."""

    def __post_init__(self) -> None:
        """Refuse a kernel that is not deterministic where it has to be."""
        require(
            not (self.deterministic and self.attention_kernel in ("cudnn", "efficient")),
            f"compute.attention_kernel={self.attention_kernel} sums in no fixed order: with "
            "compute.deterministic=true set compute.attention_kernel=auto",
        )
