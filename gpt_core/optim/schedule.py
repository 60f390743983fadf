"""Learning-rate schedule: a pure function of the step."""

import math

from gpt_core.config import ScheduleConfig


def learning_rate_at(step: int, config: ScheduleConfig, *, peak: float, total_steps: int) -> float:
    """Return the learning rate of one step.

    It rises linearly to ``peak`` over ``warmup_steps`` and then falls along the curve to
    ``final_ratio × peak`` at the last step.

    Args:
        step: Counted from 0.
        config: The curve.
        peak: The highest learning rate.
        total_steps: Steps in the whole run.

    References:
        Loshchilov and Hutter 2017, "SGDR", equation 5 (the cosine); Hu et al. 2024, "MiniCPM",
        section 4 (warm-up, stable, decay).

    Example:
        >>> config = ScheduleConfig(kind="linear", warmup_steps=2, final_ratio=0.0)
        >>> [learning_rate_at(step, config, peak=1.0, total_steps=5) for step in range(5)]
        [0.5, 1.0, 0.6666666666666667, 0.33333333333333337, 0.0]
    """
    if step < config.warmup_steps:
        return peak * (step + 1) / config.warmup_steps
    if config.kind == "constant":
        return peak
    decay_start = max(0, config.warmup_steps - 1)  # the last step at the peak
    if config.kind == "wsd":
        decay_start = max(decay_start, total_steps - 1 - round(config.decay_share * total_steps))
    progress = min(1.0, max(0, step - decay_start) / max(1, total_steps - 1 - decay_start))
    fall = 0.5 * (1 - math.cos(math.pi * progress)) if config.kind == "cosine" else progress
    return peak * (1 - fall * (1 - config.final_ratio))
