"""Low-rank adapters."""

from dataclasses import dataclass
from typing import Literal

from gpt_core.config.checks import (
    require,
    require_at_least,
    require_positive,
    require_share,
)
from gpt_core.config.section import Section

LoRATarget = Literal["attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj"]
"""A linear layer of a block: the projection to queries, keys and values, that of attention's
output, and the two of the feed-forward network."""

LoRAVariant = Literal["lora", "rslora", "dora", "pissa"]
"""A form of low-rank adapters that PEFT has."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LoRAConfig(Section):
    """Low-rank adapters in place of full fine-tuning."""

    rank: int = 0
    """Rank of the update; 0 trains the weights themselves."""

    alpha: float = 16.0
    """The update is scaled by alpha / rank."""

    dropout: float = 0.0
    """Probability of dropping an adapter's input."""

    targets: tuple[LoRATarget, ...] = ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")
    """The linear layers of each block that get adapters. All four with rank 8 are 0.9 % of the
    parameters of GPT-2 124M, ``attn.c_attn`` alone is 0.2 %."""

    variant: LoRAVariant = "lora"
    """Passed to PEFT: ``rslora`` scales by alpha / √rank, ``dora`` also trains the length of each
    weight's rows, ``pissa`` begins with the weight's largest singular vectors, and its adapter is
    saved as one of twice the rank for the unchanged model."""

    merge: bool = True
    """Save the weights with the adapter's update in them, as well as the adapter; with
    ``false`` only the adapter and which model it belongs to, which must then be kept."""

    def __post_init__(self) -> None:
        require(bool(self.targets), "targets must name at least one linear layer")
        require_at_least(self, 0, "rank")
        require_positive(self, "alpha")
        require_share(self, "dropout")
