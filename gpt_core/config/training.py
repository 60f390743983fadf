"""How a model is trained."""

from dataclasses import dataclass
from typing import Literal

from gpt_core.config.checks import require, require_at_least, require_positive, require_share
from gpt_core.config.section import Section


@dataclass(frozen=True, kw_only=True, slots=True)
class OptimizerConfig(Section):
    """AdamW, or Muon for the blocks' matrices and AdamW for the rest; decay on matrices only."""

    kind: Literal["adamw", "muon"] = "adamw"
    """Muon needs fewer tokens to the same loss, and some more time for each step."""

    learning_rate: float = 1e-3
    """Peak learning rate."""

    weight_decay: float = 0.1
    """Decoupled decay of matrices and embeddings; norms and biases are not decayed."""

    beta1: float = 0.9
    """Decay of the gradient's running mean."""

    beta2: float = 0.95
    """Decay of the squared gradient's running mean."""

    momentum: float = 0.95
    """Decay of Muon's running mean of the gradient."""

    epsilon: float = 1e-8
    """Added to the denominator of the update."""

    max_grad_norm: float | None = 1.0
    """Gradients are scaled down to this norm; None leaves them."""

    def __post_init__(self) -> None:
        require_positive(self, "learning_rate", "epsilon", "max_grad_norm")
        require_at_least(self, 0, "weight_decay")
        require_share(self, "beta1", "beta2", "momentum")


@dataclass(frozen=True, kw_only=True, slots=True)
class ScheduleConfig(Section):
    """The learning rate over the run."""

    kind: Literal["cosine", "linear", "constant", "wsd"] = "cosine"
    """The curve from the peak to the end; ``wsd`` (warm-up, stable, decay) stays at the peak and
    falls linearly at the end."""

    warmup_steps: int = 100
    """Steps of linear rise from 0 to the peak."""

    final_ratio: float = 0.1
    """The last learning rate as a share of the peak."""

    decay_share: float = 0.3
    """``wsd``: the share of all steps in which the rate falls."""

    def __post_init__(self) -> None:
        require_at_least(self, 0, "warmup_steps")
        require_positive(self, "decay_share")
        require(self.decay_share <= 1, f"decay_share must be at most 1, got {self.decay_share}")
        require(
            0 <= self.final_ratio <= 1, f"final_ratio must be in [0, 1], got {self.final_ratio}"
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class LaunchConfig(Section):
    """On how many processes a model is trained. Its weights hang on that by rounding only."""

    processes: int | None = None
    """Of this machine, one for each GPU; None takes as many as it has GPUs, or one."""

    strategy: Literal["auto", "ddp", "fsdp"] = "auto"
    """``ddp``: the whole model in every process; ``fsdp``: a share of it. ``auto`` shares what
    would fill half of a GPU."""

    def __post_init__(self) -> None:
        require_at_least(self, 1, "processes")


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingConfig(Section):
    """The training loop. A step is one optimizer update."""

    steps: int = 1000
    """Optimizer updates in the whole run."""

    tokens_per_step: int = 8192
    """Tokens of one update; a multiple of ``micro_batch`` × the model's context length."""

    micro_batch: int = 8
    """Samples that go through the model at once; the rest of a step is accumulated."""

    fit_memory: bool = False
    """Try whether the memory holds ``micro_batch`` samples, and take fewer if it does not; a run
    remembers what it found. A model that is shared (``fsdp``) is not tried."""

    recompute: bool = False
    """Keep only what each block begins with and compute the rest again for the gradients
    (activation checkpointing): less memory, more time, the same bits."""

    seed: int = 1337
    """Seed of the weights and of dropout."""

    zero_init: bool = False
    """The projections that write into the residual stream begin at zero: at first every block
    passes on what it gets."""

    ema_decay: float | None = None
    """Keep a running mean of the weights with this decay a step; it is what is evaluated, sampled
    from and saved. None keeps none."""

    bad_step: Literal["stop", "skip"] = "stop"
    """What becomes of a step whose loss or gradient is no number, or whose loss jumps: the run
    stops, or the step's batch is left out and that is recorded."""

    spike_factor: float | None = None
    """A loss that is more than this many times its running mean has jumped; None never."""

    patience: int | None = None
    """The run ends after so many evaluations without a new lowest validation loss; None never."""

    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where to train; ``auto`` takes the GPU when there is one."""

    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Of the matrix products; ``auto`` takes bf16 where the device is fast in it."""

    stream: Literal["auto", "fp32"] = "auto"
    """Of the sum that every block adds to; ``auto`` has the precision of the products."""

    compile: Literal["auto", "on", "off"] = "auto"
    """``torch.compile``; ``auto`` compiles on a GPU, and on a processor if a trial before a long
    run shows that it pays."""

    attention_kernel: Literal["auto", "flash", "cudnn", "efficient", "math"] = "auto"
    """Torch's kernel for ``model.attention=sdpa``; ``auto`` times them on a GPU, at the run's
    shape, and leaves the choice to torch elsewhere."""

    pad_vocabulary: bool = True
    """On a GPU, compute the head for a multiple of 128 tokens; those that do not exist have no
    probability, and no weights."""

    fp8_head: bool = False
    """Compute the head's products in 8 bits; for GPUs of compute capability 8.9 or more."""

    log_every: int = 10
    """Steps between recorded metrics."""

    eval_every: int = 250
    """Steps between evaluations; the last step is always evaluated."""

    eval_tokens: int = 131_072
    """Most validation tokens that one evaluation reads."""

    sample_every: int = 250
    """Steps between live samples."""

    sample_prompts: tuple[str, ...] = ("",)
    """What the live samples go on from; an empty prompt starts a document."""

    save_every: int = 250
    """Steps between checkpoints; the last step is always saved."""

    keep_last: int = 2
    """Newest checkpoints that are kept beside the best one."""

    def __post_init__(self) -> None:
        every = ("log_every", "eval_every", "sample_every", "save_every")
        sizes = ("steps", "tokens_per_step", "micro_batch", "eval_tokens", "keep_last")
        require_at_least(self, 1, *every, *sizes, "patience", "spike_factor")
        require_at_least(self, 0, "seed")
        if self.ema_decay is not None:
            require_share(self, "ema_decay")
