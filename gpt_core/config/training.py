"""Settings of the training run: optimizer, schedule, processes and loop."""

import re
from dataclasses import dataclass
from typing import Literal

from gpt_core.config.checks import require, require_at_least, require_positive, require_share
from gpt_core.config.section import Section

_MAX_PORT = 65_535
_PORT, _HOST = re.compile(r"[0-9]{1,5}"), re.compile(r"[A-Za-z0-9._:%-]{1,253}")


@dataclass(frozen=True, kw_only=True, slots=True)
class OptimizerConfig(Section):
    """AdamW, or Muon for the blocks' matrices and AdamW for the other parameters."""

    kind: Literal["adamw", "muon"] = "adamw"
    """Muon needs fewer tokens to the same loss, and somewhat more time per step."""

    learning_rate: float = 1e-3
    """Peak learning rate."""

    weight_decay: float = 0.1
    """Decoupled weight decay of matrices and embeddings; norms and biases are not decayed."""

    beta1: float = 0.9
    """AdamW: decay of the gradient's running mean."""

    beta2: float = 0.95
    """AdamW: decay of the squared gradient's running mean."""

    momentum: float = 0.95
    """Muon: decay of the gradient's running mean."""

    epsilon: float = 1e-8
    """AdamW: added to the denominator of the update."""

    max_grad_norm: float | None = 1.0
    """Gradients are clipped to this norm; None does not clip."""

    def __post_init__(self) -> None:
        require_positive(self, "learning_rate", "epsilon", "max_grad_norm")
        require_at_least(self, 0, "weight_decay")
        require_share(self, "beta1", "beta2", "momentum")


@dataclass(frozen=True, kw_only=True, slots=True)
class ScheduleConfig(Section):
    """The learning rate over the run."""

    kind: Literal["cosine", "linear", "constant", "wsd"] = "cosine"
    """How the learning rate decays after warm-up: ``cosine`` and ``linear`` fall from the peak
    (``optimizer.learning_rate``) to ``final_ratio`` times it, ``constant`` stays at the peak, and
    ``wsd`` (warm-up, stable, decay) stays there and falls in the last ``decay_share`` of steps."""

    warmup_steps: int = 100
    """Steps of linear rise from 0 to the peak."""

    final_ratio: float = 0.1
    """The last learning rate as a fraction of the peak."""

    decay_share: float = 0.3
    """``wsd``: the fraction of all steps in which the rate decays."""

    def __post_init__(self) -> None:
        require_at_least(self, 0, "warmup_steps")
        require_positive(self, "decay_share")
        require(self.decay_share <= 1, f"decay_share must be at most 1, got {self.decay_share}")
        require(
            0 <= self.final_ratio <= 1, f"final_ratio must be in [0, 1], got {self.final_ratio}"
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class LaunchConfig(Section):
    """Number of processes and sharding strategy; results are the same up to rounding."""

    processes: int | None = None
    """Processes on each machine, one per GPU; None is one per GPU it has, or a single one."""

    strategy: Literal["auto", "ddp", "fsdp", "hsdp"] = "auto"
    """``ddp``: the complete model in every process; ``fsdp``: a shard of it; ``hsdp``: shards
    within each node, replicated across nodes. ``auto`` shards a model that would fill half of a
    GPU's memory."""

    nodes: int = 1
    """Machines that train together. Each runs the same command in the same, shared home."""

    rendezvous: str | None = None
    """``HOST:PORT`` where the nodes meet: an address of the first node, which records the run."""

    join_seconds: float = 600.0
    """How long a node waits for the others to start."""

    lost_seconds: float = 30.0
    """How long a node may be silent before it counts as lost."""

    def __post_init__(self) -> None:
        require_at_least(self, 1, "processes", "nodes")
        require_positive(self, "join_seconds", "lost_seconds")
        require(
            self.nodes == 1 or self.rendezvous is not None,
            f"nodes={self.nodes} needs rendezvous=HOST:PORT, an address of the first node",
        )
        if self.rendezvous is not None:
            split_address(self.rendezvous)


def split_address(address: str) -> tuple[str, int]:
    """Split ``HOST:PORT``.

    Raises:
        ConfigError: If it is none.

    Example:
        >>> split_address("node-0:29500"), split_address("[::1]:29500")
        (('node-0', 29500), ('::1', 29500))
    """
    host, _, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    is_port = bool(_PORT.fullmatch(port)) and 0 < int(port) <= _MAX_PORT
    good = is_port and bool(_HOST.fullmatch(host))
    require(good, f"rendezvous must be HOST:PORT such as node-0:29500, got {address!r:.200}")
    return host, int(port)


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingConfig(Section):
    """The training loop. A step is one optimizer update."""

    steps: int = 1000
    """Optimizer updates in the whole run."""

    tokens_per_step: int = 8192
    """Tokens per update; a multiple of ``micro_batch`` × the model's context length."""

    micro_batch: int = 8
    """Samples per forward pass; gradients are accumulated over a step's micro-batches."""

    seed: int = 1337
    """Seed of the initial weights and of dropout."""

    zero_init: bool = False
    """Initialize the projections that write into the residual stream with zeros: every block
    starts as the identity."""

    ema_decay: float | None = None
    """Keep an exponential moving average of the weights with this decay per step, which is what
    is evaluated, sampled from and saved. None keeps none."""

    bad_step: Literal["stop", "skip"] = "stop"
    """On a step whose loss or gradient is not finite, or whose loss jumps: stop the run, or skip
    the step and record that."""

    spike_factor: float | None = None
    """A loss above this many times its running mean is a jump; None never."""

    patience: int | None = None
    """End the run after this many evaluations without a new lowest validation loss; None never."""

    log_every: int = 10
    """Steps between recorded metrics."""

    eval_every: int = 250
    """Steps between evaluations; the last step is always evaluated."""

    eval_tokens: int = 131_072
    """Maximum number of validation tokens per evaluation."""

    sample_every: int = 250
    """Steps between live samples."""

    sample_prompts: tuple[str, ...] = ("",)
    """Prompts of the live samples; an empty prompt starts a document."""

    save_every: int = 250
    """Steps between checkpoints; the last step is always saved."""

    keep_last: int = 2
    """Number of newest checkpoints to keep besides the best one."""

    def __post_init__(self) -> None:
        every = ("log_every", "eval_every", "sample_every", "save_every")
        sizes = ("steps", "tokens_per_step", "micro_batch", "eval_tokens", "keep_last")
        require_at_least(self, 1, *every, *sizes, "patience", "spike_factor")
        require_at_least(self, 0, "seed")
        if self.ema_decay is not None:
            require_share(self, "ema_decay")
