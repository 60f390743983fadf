"""Muon: momentum whose matrices are made orthogonal before they are applied.

The update that AdamW or plain momentum proposes for a weight matrix is dominated by a few
directions. Muon keeps its directions and gives them all the same length, so that the rare ones
are learned as fast as the common ones. It is for the hidden matrices; embeddings, norms and
biases are not maps between hidden spaces and stay with AdamW.

Shapes: P matrices of R rows and S columns.
"""

import math
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from gpt_core.execution.layout import share_like, whole

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the quintic a x + b x³ + c x⁵ that drives every singular value towards 1."""

_ITERATIONS = 5


def orthogonalize(matrices: Tensor) -> Tensor:
    """Nearly ``U V^T`` of each matrix ``U S V^T``: its directions, all about equally long.

    Five rounds of a Newton-Schulz iteration, matrix products only. It does not converge; it
    brings each singular value between about 0.7 and 1.2, which serves as well.

    Args:
        matrices: Shape (P, R, S).

    Returns:
        Shape (P, R, S), in the given type.

    References:
        Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks".
    """
    a, b, c = _COEFFICIENTS
    tall = matrices.size(1) > matrices.size(2)
    x: Tensor = (
        matrices.mT if tall else matrices
    )  # the Gram matrix of the shorter side is the smaller
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    for _ in range(_ITERATIONS):
        gram = x @ x.mT
        polynomial = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)  # b (x x^T) + c (x x^T)²
        x = torch.baddbmm(x, polynomial, x, beta=a)
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """Muon with Nesterov momentum, decoupled decay and AdamW's size of update.

    ``m = μ m + (1 - μ) g;  W = (1 - ηλ) W - 0.2 η sqrt(max(R, S)) orthogonalize(μ m + (1 - μ) g)``.
    The factor gives an update the root mean square that AdamW's have, so that one learning rate
    and one decay serve both.

    Args:
        params: Groups of matrices; a group's ``parts`` says how many square maps are stacked
            in each of its matrices (three in a joint projection to queries, keys and values).
        lr: η.
        momentum: μ.
        weight_decay: λ.
        dtype: Of the iteration's products.

    References:
        Liu et al. 2025, "Muon is Scalable for LLM Training", section 2.2.
    """

    def __init__(
        self,
        params: Iterable[dict[str, Any]],
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
        """One update of every matrix that has a gradient.

        Args:
            closure: Not supported.
        """
        trained = [
            (group, parameter)
            for group in self.param_groups
            for parameter in group["params"]
            if parameter.grad is not None
        ]
        pieces = [
            whole(self._momentum(parameter, group["momentum"])).chunk(group["parts"])
            for group, parameter in trained
        ]
        straight = iter(self._orthogonalized([piece for parts in pieces for piece in parts]))
        for (group, parameter), parts in zip(trained, pieces, strict=True):
            update = torch.cat([next(straight) for _ in parts]).to(parameter.dtype)
            parameter.mul_(1 - group["lr"] * group["weight_decay"])
            scale = 0.2 * group["lr"] * math.sqrt(max(parts[0].shape))
            parameter.sub_(share_like(update, parameter), alpha=scale)

    def _orthogonalized(self, matrices: list[Tensor]) -> list[Tensor]:
        """Each matrix made orthogonal, those of one shape together."""
        alike: dict[torch.Size, list[int]] = defaultdict(list)
        for i, matrix in enumerate(matrices):
            alike[matrix.shape].append(i)
        found = list(matrices)
        for places in alike.values():
            stacked = torch.stack([matrices[i] for i in places]).to(self._dtype)
            for i, matrix in zip(places, orthogonalize(stacked), strict=True):
                found[i] = matrix
        return found

    def _momentum(self, parameter: Tensor, momentum: float) -> Tensor:
        state, gradient = self.state[parameter], parameter.grad
        assert gradient is not None
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(parameter)
        state["momentum"].lerp_(gradient, 1 - momentum)
        return gradient.lerp(state["momentum"], momentum)
