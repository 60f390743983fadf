"""The table of ways of fine-tuning a classifier."""

from dataclasses import dataclass
from typing import Literal, get_args

from gpt_core.config.checks import require, require_at_least
from gpt_core.config.evaluation import checkpoint_label
from gpt_core.config.section import Section

_MORE_MODELS = 2

AblationRow = Literal[
    "head", "last-block", "first-token", "padded", "padded-context", "all", "lora"
]
"""Rows of the table of ``gptflow classify-table``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AblationConfig(Section):
    """Ways of fine-tuning a classifier, side by side: the table of ``classify-table``."""

    checkpoints: tuple[str, ...] = ()
    """Base models besides ``checkpoint``: directories of checkpoints or addresses of registered
    models; at most two."""

    rows: tuple[AblationRow, ...] = get_args(AblationRow)
    """The head alone; the last block at the last or the first token, or padded to ``pad_to`` or to
    the context; everything; adapters."""

    pad_to: int = 120
    """Tokens of the row ``padded``; at most the context length."""

    rank: int = 16
    """Rank of the row ``lora``, unless ``lora.rank`` is set."""

    def __post_init__(self) -> None:
        require_at_least(self, 1, "pad_to", "rank")
        require(bool(self.rows), "rows must name at least one row")
        require(len(set(self.rows)) == len(self.rows), "rows must name each row once")
        require(
            len(self.checkpoints) <= _MORE_MODELS,
            f"checkpoints must be at most {_MORE_MODELS} besides checkpoint, got "
            f"{len(self.checkpoints)}",
        )
        require(
            len(self.by_label()) == len(self.checkpoints),
            f"checkpoints must differ from each other, got {', '.join(self.checkpoints)}",
        )

    def by_label(self) -> dict[str, str]:
        """The further base models by label, see ``BenchmarkConfig.by_label``."""
        return {checkpoint_label(checkpoint): checkpoint for checkpoint in self.checkpoints}
