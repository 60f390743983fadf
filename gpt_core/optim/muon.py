"""Muon: momentum with orthogonalized updates.

The update that AdamW or plain momentum proposes for a weight matrix is dominated by a few
singular directions. Muon keeps the directions and sets all singular values to about one, so that
rare directions are learned as fast as common ones. It is for hidden matrices; embeddings, norms
and biases are not maps between hidden spaces and are left to AdamW.

Shapes: P matrices of R rows and S columns.
"""

import math
from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import Tensor

from gpt_core.execution.layout import gather_full, shard_like

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Coefficients of the quintic a x + b x³ + c x⁵, which drives every singular value towards 1."""

_ITERATIONS = 5


def orthogonalize(matrices: Tensor) -> Tensor:
    """Approximate ``U V^T`` of each matrix ``U S V^T`` by Newton-Schulz iteration.

    Five iterations, matrix products only. It does not converge: singular values end between about
    0.7 and 1.2, which is close enough.

    Args:
        matrices: Shape (P, R, S).

    Returns:
        Shape (P, R, S), in the given dtype.

    References:
        Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks".
    """
    a, b, c = _COEFFICIENTS
    tall = matrices.size(1) > matrices.size(2)
    x: Tensor = matrices.mT if tall else matrices  # the shorter side has the smaller Gram matrix
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    for _ in range(_ITERATIONS):
        gram = x @ x.mT
        polynomial = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)  # b (x x^T) + c (x x^T)²
        x = torch.baddbmm(x, polynomial, x, beta=a)
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """Muon with Nesterov momentum, decoupled weight decay and AdamW's update size.

    ``m = μ m + (1 - μ) g;  W = (1 - ηλ) W - 0.2 η sqrt(max(R, S)) orthogonalize(μ m + (1 - μ) g)``.
    The factor gives an update the root mean square of AdamW's, so that both share one learning
    rate and one weight decay. ``torch.optim.Muon`` iterates in bf16 on every device, which
    would change the bits of fp32 runs, and has no stacked maps; hence this implementation.

    Args:
        params: Parameter groups of matrices; a group's ``parts`` is the number of maps stacked in
            each of its matrices (three in a joint projection to queries, keys and values).
        lr: η.
        momentum: μ.
        weight_decay: λ.
        dtype: Precision of the iteration's products.

    References:
        Liu et al. 2025, "Muon is Scalable for LLM Training", section 2.2.
    """

    def __init__(
        self,
        params: Iterable[dict[str, object]],
        *,
        lr: float,
        momentum: float,
        weight_decay: float,
        dtype: torch.dtype,
    ) -> None:
        defaults = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "parts": 1}
        super().__init__(params, defaults)
        self._dtype = dtype

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update every matrix that has a gradient.

        Args:
            closure: Not supported.
        """
        trained = [
            (group, parameter)
            for group in self.param_groups
            for parameter in group["params"]
            if parameter.grad is not None
        ]
        directions = [
            gather_full(self._momentum(parameter, group["momentum"])).chunk(group["parts"])
            for group, parameter in trained
        ]
        orthogonal = iter(self._orthogonalize([part for parts in directions for part in parts]))
        for (group, parameter), parts in zip(trained, directions, strict=True):
            update = torch.cat([next(orthogonal) for _ in parts]).to(parameter.dtype)
            parameter.mul_(1 - group["lr"] * group["weight_decay"])
            scale = 0.2 * group["lr"] * math.sqrt(max(parts[0].shape))
            parameter.sub_(shard_like(update, parameter), alpha=scale)

    def _orthogonalize(self, matrices: list[Tensor]) -> list[Tensor]:
        """Orthogonalize each matrix; those of one shape are batched."""
        by_shape: dict[torch.Size, list[int]] = defaultdict(list)
        for i, matrix in enumerate(matrices):
            by_shape[matrix.shape].append(i)
        results = list(matrices)
        for indices in by_shape.values():
            stacked = torch.stack([matrices[i] for i in indices]).to(self._dtype)
            for i, matrix in zip(indices, orthogonalize(stacked), strict=True):
                results[i] = matrix
        return results

    def _momentum(self, parameter: Tensor, momentum: float) -> Tensor:
        """Update a parameter's momentum and return the Nesterov direction."""
        state, gradient = self.state[parameter], parameter.grad
        assert gradient is not None
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(parameter)
        state["momentum"].lerp_(gradient, 1 - momentum)
        return gradient.lerp(state["momentum"], momentum)
