"""The changes of a LoRA adapter: the update ``scale × B A`` of each matrix, by its singular values.

Shapes: r rank.
"""

import math
import re
from dataclasses import dataclass

import torch

from gpt_core.models import Adapter

_A = re.compile(r"(?:base_model\.model\.)?(?:transformer\.)?(.*)\.lora_A\.weight")


@dataclass(frozen=True, slots=True)
class LowRankUpdate:
    """The update of one weight matrix."""

    layer: str
    """The name of the linear layer, such as ``h.0.attn.c_attn``."""

    shape: tuple[int, int]
    """(out, in) of the matrix that is updated."""

    rank: int
    """The largest rank that the update can have."""

    singular_values: tuple[float, ...]
    """Largest first, r of them: how far the update stretches its r directions."""

    @property
    def norm(self) -> float:
        """The Frobenius norm of the update."""
        return math.sqrt(sum(value * value for value in self.singular_values))

    @property
    def n_parameters(self) -> int:
        """Number of trained parameters: those of A and B."""
        return self.rank * sum(self.shape)


@torch.no_grad()
def low_rank_updates(adapter: Adapter) -> list[LowRankUpdate]:
    """The update of every matrix that an adapter changes, in the adapter's order.

    A DoRA adapter also learns the lengths of the rows, which are not part of this.

    Args:
        adapter: An adapter in PEFT's format.
    """
    rank = int(str(adapter.settings["r"]))
    root = math.sqrt(rank) if adapter.settings.get("use_rslora") else rank
    scale = float(str(adapter.settings["lora_alpha"])) / root
    updates = []
    for name, a in adapter.tensors.items():
        matched = _A.fullmatch(name)
        if matched is None:
            continue
        b = adapter.tensors[name.replace("lora_A", "lora_B")]
        # B A = Q_b (R_b R_a^T) Q_a^T: the small matrix between has the same singular values.
        r_a = torch.linalg.qr(a.double().T).R
        r_b = torch.linalg.qr(b.double()).R
        values = torch.linalg.svdvals(r_b @ r_a.T) * scale
        updates.append(
            LowRankUpdate(matched[1], (b.size(0), a.size(1)), a.size(0), tuple(values.tolist()))
        )
    return updates
