"""Preference tuning on pairs of answers."""

from dataclasses import dataclass, replace
from typing import Literal, Self

from typing_extensions import override

from gpt_core.config.checks import require, require_at_least, require_positive
from gpt_core.config.finetuning import FinetuningConfig
from gpt_core.config.lora import LoRAConfig

_FULL_RATE, _LORA_RATE = 5e-5, 5e-4
_MAX_SMOOTHING = 0.5


@dataclass(frozen=True, kw_only=True, slots=True)
class PreferenceConfig(FinetuningConfig):
    """Pairs of a better and a worse answer, by direct preference optimization (DPO)."""

    source: str = "samples"
    """A named source or a path to JSON, JSON lines or Parquet with ``chosen``, ``rejected`` and
    ``prompt`` or ``instruction``, perhaps with ``input``. Pairs that lack one of these, or whose
    answers are equal, are left out and counted; if they are more than a tenth of all, the file is
    refused."""

    template: Literal["alpaca", "short"] | None = None
    """The prompt template; None uses the one that the model was tuned with, else ``alpaca``."""

    beta: float = 0.1
    """How much the model is held to the one before: with a large beta small changes of an answer's
    probability satisfy the loss."""

    label_smoothing: float = 0.0
    """Probability that a pair is the wrong way round (conservative DPO), below 0.5."""

    validation_share: float = 0.1
    """Fraction of the prompts for choosing the best epoch; with 0 the last epoch is used."""

    test_share: float = 0.1
    """Fraction of the prompts for the final metrics and answers."""

    max_tokens: int | None = None
    """The longest prompt with one of its answers; pairs with a longer one are left out and counted.
    None uses the model's context length."""

    epochs: int = 3
    """Passes over the training pairs."""

    choose_by: Literal["accuracy", "loss"] = "loss"
    """The validation metric that chooses the best epoch: the loss, or the fraction of pairs whose
    better answer gained more."""

    patience: int | None = None
    """Stop after this many epochs without a better one; None trains all ``epochs``."""

    batch_size: int = 16
    """Pairs in one update."""

    micro_batch: int | None = None
    """Pairs computed at once; the gradients of an update's pairs are added up. None computes all of
    them at once."""

    learning_rate: float | None = None
    """Peak learning rate; None is 5e-5, and 5e-4 with adapters (``lora.rank`` above 0)."""

    schedule: Literal["linear", "cosine", "constant"] = "linear"
    """How the learning rate falls to 0 after the warm-up; ``constant`` stays at the peak."""

    warmup_share: float = 0.1
    """Fraction of the updates in which the learning rate rises to its peak."""

    layer_decay: float = 1.0
    """Each block's learning rate is that of the block above it times this, the embeddings' that of
    the first block; the final norm and the head have the full rate."""

    weight_decay: float = 0.0
    """Decoupled decay of weight matrices."""

    save_seconds: float = 120.0
    """Seconds of training between the checkpoints from which a killed run continues; 0 saves after
    every update."""

    answers: int = 16
    """Test prompts that are answered before and after."""

    max_new_tokens: int = 64
    """Longest answer that is generated."""

    seed: int = 1337
    """Seed of the split and the order."""

    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where to train."""

    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Precision of matrix products; ``auto`` trains in bf16 where the device is fast in it."""

    def __post_init__(self) -> None:
        self._check_common()
        require_positive(self, "beta")
        require_at_least(self, 1, "max_new_tokens")
        require_at_least(self, 0, "answers", "label_smoothing")
        require(
            self.label_smoothing < _MAX_SMOOTHING,
            f"label_smoothing must be below {_MAX_SMOOTHING}, got {self.label_smoothing}",
        )

    @override
    def with_rate(self, lora: LoRAConfig) -> Self:
        """Settings whose learning rate is a number: without a given one, that of the method."""
        rate = self.learning_rate or (_LORA_RATE if lora.rank else _FULL_RATE)
        return replace(self, learning_rate=rate)
