"""The context of a ``torch.autograd.Function``, typed: torch itself leaves it untyped."""

from typing import Protocol

from torch import Tensor


class AutogradContext(Protocol):
    """Carries tensors from ``forward`` to ``backward``; extend it with further attributes."""

    @property
    def saved_tensors(self) -> tuple[Tensor, ...]:
        """The tensors of ``save_for_backward``, available in ``backward``."""

    def save_for_backward(self, *tensors: Tensor) -> None:
        """Store tensors that ``backward`` needs; call it once, in ``forward``."""
