"""Where a model's weights are in training: in this one process, or in several.

Torch's own engine does the work: DDP keeps a replica in each process, FSDP2 a share.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from gpt_core.execution.numerics import Computing
from gpt_core.execution.ranks import Ranks
from gpt_core.models import GPT, model_loss, weights_of


class Layout:
    """All of the model in one process.

    Args:
        model: On its device.
        ranks: The processes of the run.
        computing: How to compute the loss.
    """

    kind = ""
    shared = False
    """Whether a process has only a share of each weight."""

    def __init__(self, model: GPT, ranks: Ranks, computing: Computing) -> None:
        self.model, self.ranks = model, ranks
        self.device = model.wte.weight.device
        self._loss: Any = None
        self.computing = computing
        self.use(computing)

    @property
    def loss(self) -> Any:
        """Ids and targets, each of shape (B, T), to this process's mean loss, a scalar."""
        if self._loss is None:
            self._loss = self._wrapped()
        return self._loss

    def use(self, computing: Computing) -> None:
        """Compute the loss so from now on; what was compiled for the same stays."""
        if computing != self.computing:
            self._loss = None
        self.computing = computing
        self.model.set_execution(bf16_residual=computing.bf16_residual)

    def accumulating(self, *, last: bool) -> AbstractContextManager[None]:
        """A micro-batch is done inside; only after the last are gradients exchanged."""
        return nullcontext()

    @property
    def description(self) -> str:
        """On what it is trained."""
        several = f"{self.ranks.size} × " if self.ranks.size > 1 else ""
        return f"{several}{self.device.type}{self.kind}"

    def weights(self) -> dict[str, Tensor]:
        """All weights in the first process, those that are shared as copies; none elsewhere."""
        weights: dict[str, Tensor] = {}
        for name, parameter in weights_of(self.model).items():
            complete = whole(parameter)
            if self.ranks.first:
                weights[name] = complete.cpu() if self.shared else complete
        return weights

    def _wrapped(self) -> nn.Module:
        how = self.computing
        loss = MicroLoss(self.model, padded=how.padded_head, fp8=how.fp8_head)
        return torch.compile(loss) if how.compiled else loss  # type: ignore[return-value]


class Replicas(Layout):
    """All of the model in every process; after each step the gradients are averaged."""

    kind = ", replicas (DDP)"

    def accumulating(self, *, last: bool) -> AbstractContextManager[None]:
        """Exchange nothing before the last micro-batch."""
        silent: AbstractContextManager[None] = self.loss.no_sync()
        return nullcontext() if last else silent

    def _wrapped(self) -> nn.Module:
        return DistributedDataParallel(super()._wrapped(), gradient_as_bucket_view=True)


class MicroLoss(nn.Module):
    """A model with its loss, as one module.

    Args:
        model: The model.
        padded: As of ``model_loss``.
        fp8: As of ``model_loss``.
    """

    def __init__(self, model: GPT, *, padded: bool, fp8: bool) -> None:
        super().__init__()
        self.model, self.padded, self.fp8 = model, padded, fp8

    def forward(self, token_ids: Tensor, targets: Tensor) -> Tensor:
        """The mean loss in nats a token, a scalar; both arguments have shape (B, T)."""
        return model_loss(self.model, token_ids, targets, padded=self.padded, fp8=self.fp8)


def whole(tensor: Tensor) -> Tensor:
    """A tensor with the other processes' shares of it; all of them have to ask for it."""
    gather = getattr(tensor, "full_tensor", None)
    complete: Tensor = tensor if gather is None else gather()
    return complete


def share_like(tensor: Tensor, parameter: Any) -> Tensor:
    """What a process has of a whole tensor: the share that it has of a parameter of this shape."""
    if not hasattr(parameter, "full_tensor"):
        return tensor
    from torch.distributed.tensor import distribute_tensor

    mesh, placements = parameter.device_mesh, parameter.placements
    return distribute_tensor(tensor, mesh, placements, src_data_rank=None)
