"""Layout of a model in training: in one process, replicated (DDP) or sharded (FSDP2, ``fsdp``).

Shapes: B batch, T time.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from typing_extensions import override

from gpt_core.execution.numerics import Numerics
from gpt_core.execution.ranks import Ranks
from gpt_core.models import GPT, model_loss, weights_of


class Layout:
    """The complete model in a single process; the base of the distributed layouts.

    Args:
        model: On its device.
        ranks: The processes of the run.
        numerics: How to compute the loss.
    """

    strategy: ClassVar[str] = ""
    """How the model is distributed, for ``description``."""

    is_sharded: ClassVar[bool] = False
    """Whether a process holds only a shard of each weight."""

    def __init__(self, model: GPT, ranks: Ranks, numerics: Numerics) -> None:
        self.model, self.ranks = model, ranks
        self.device = model.wte.weight.device
        self._loss: nn.Module | None = None
        self.numerics = numerics
        self.set_numerics(numerics)

    @property
    def loss(self) -> nn.Module:
        """Maps token ids and targets, each of shape (B, T), to this rank's mean loss, a scalar."""
        if self._loss is None:
            self._loss = self._build_loss()
        return self._loss

    def set_numerics(self, numerics: Numerics) -> None:
        """Compute the loss with these numerics from now on; if unchanged, keep what is compiled."""
        if numerics != self.numerics:
            self._loss = None
        self.numerics = numerics
        self.model.set_execution(recompute=numerics.recompute, bf16_residual=numerics.bf16_residual)

    def gradient_sync(self, *, enabled: bool) -> AbstractContextManager[None]:
        """Context for one micro-batch: exchange its gradients between ranks, or accumulate."""
        return nullcontext()

    @property
    def description(self) -> str:
        """Devices and strategy, such as ``2 × cpu, replicas (DDP)``."""
        devices = f"{self.ranks.size} × " if self.ranks.size > 1 else ""
        strategy = f", {self.strategy}" if self.strategy else ""
        return f"{devices}{self.device.type}{strategy}"

    def weights(self) -> dict[str, Tensor]:
        """Full weights on rank 0 (CPU copies if sharded), empty elsewhere. Collective."""
        weights: dict[str, Tensor] = {}
        for name, parameter in weights_of(self.model).items():
            full = gather_full(parameter)
            if self.ranks.is_first:
                weights[name] = full.cpu() if self.is_sharded else full
        return weights

    def _build_loss(self) -> nn.Module:
        numerics = self.numerics
        loss = ModelWithLoss(self.model, padded=numerics.padded_head, fp8=numerics.fp8_head)
        return torch.compile(loss) if numerics.compiled else loss  # type: ignore[return-value]


class DDPLayout(Layout):
    """The complete model on every rank; gradients are averaged once per step.

    References:
        Li et al. 2020, "PyTorch Distributed: Experiences on Accelerating Data Parallel Training".
    """

    strategy = "replicas (DDP)"

    @override
    def gradient_sync(self, *, enabled: bool) -> AbstractContextManager[None]:
        loss = self.loss
        assert isinstance(loss, DistributedDataParallel)
        accumulate: AbstractContextManager[None] = loss.no_sync()
        return nullcontext() if enabled else accumulate

    @override
    def _build_loss(self) -> nn.Module:
        return DistributedDataParallel(super()._build_loss(), gradient_as_bucket_view=True)


class ModelWithLoss(nn.Module):
    """A model and its loss as one module, which ``torch.compile`` and DDP can wrap.

    Args:
        model: The model.
        padded: Passed to ``model_loss``.
        fp8: Passed to ``model_loss``.
    """

    def __init__(self, model: GPT, *, padded: bool, fp8: bool) -> None:
        super().__init__()
        self.model, self.padded, self.fp8 = model, padded, fp8

    def forward(self, token_ids: Tensor, targets: Tensor) -> Tensor:
        """Mean loss in nats per token, a scalar; both arguments have shape (B, T)."""
        return model_loss(self.model, token_ids, targets, padded=self.padded, fp8=self.fp8)


def gather_full(tensor: Tensor) -> Tensor:
    """Gather the full tensor from its shards. Collective: call on every rank.

    A tensor that is not sharded is returned as it is.
    """
    gather = getattr(tensor, "full_tensor", None)
    full: Tensor = tensor if gather is None else gather()
    return full


def shard_like(tensor: Tensor, parameter: Tensor) -> Tensor:
    """Return this rank's shard of a full tensor, sharded like ``parameter``, of the same shape.

    The tensor itself is returned if the parameter is not sharded.
    """
    if not hasattr(parameter, "full_tensor"):
        return tensor
    from torch.distributed.tensor import DTensor, distribute_tensor  # slow to import

    assert isinstance(parameter, DTensor)
    return distribute_tensor(
        tensor, parameter.device_mesh, parameter.placements, src_data_rank=None
    )
