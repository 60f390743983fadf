"""Settings of the plan that ``--dry-run`` prints."""

from dataclasses import dataclass

from gpt_core.config.checks import require_positive
from gpt_core.config.section import Section


@dataclass(frozen=True, kw_only=True, slots=True)
class PlanConfig(Section):
    """Assumptions of a plan; no stage depends on them."""

    price_per_hour: float | None = None
    """Price of one node for an hour, in any currency; the plan then says what pretraining costs."""

    flops_per_second: float | None = None
    """Floating-point operations that one process reaches in training, such as ``4e14``, for a plan
    of other machines than this one; None measures it here."""

    def __post_init__(self) -> None:
        require_positive(self, "price_per_hour", "flops_per_second")
