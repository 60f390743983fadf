"""Builds a model's optimizer: AdamW for all parameters, or Muon for the blocks' matrices."""

import re
from collections.abc import Mapping, Sequence
from typing import TypedDict

import torch
from torch import Tensor, nn

from gpt_core.config import OptimizerConfig
from gpt_core.execution.layout import shard_like
from gpt_core.execution.precision import resolve_precision
from gpt_core.optim.muon import Muon

_IN_A_BLOCK = re.compile(r"(^|\.)h\.\d+\.")


class OptimizersState(TypedDict):
    """State of ``Optimizers``: one state dict per optimizer."""

    parts: list[dict[str, object]]


class Optimizers:
    """Several optimizers, each of a disjoint set of parameters, used as one.

    Args:
        parts: The optimizers.
    """

    def __init__(self, parts: Sequence[torch.optim.Optimizer]) -> None:
        self.parts = tuple(parts)
        self._owners = {
            f"{i}.{j}.{k}": (part, parameter)
            for i, part in enumerate(self.parts)
            for j, group in enumerate(part.param_groups)
            for k, parameter in enumerate(group["params"])
        }

    def step(self) -> None:
        """Update all parameters."""
        for part in self.parts:
            part.step()

    def zero_grad(self) -> None:
        """Free all gradients."""
        for part in self.parts:
            part.zero_grad(set_to_none=True)

    def set_learning_rate(self, learning_rate: float) -> None:
        """Set the learning rate of the next step; a group's own factor multiplies it."""
        for part in self.parts:
            for group in part.param_groups:
                group["lr"] = learning_rate * group.get("rate_factor", 1.0)

    def state_dict(self) -> OptimizersState:
        """State for ``load_state_dict``."""
        return {"parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state: OptimizersState) -> None:
        """Restore a saved state, sharding its tensors like the parameters they belong to."""
        for part, saved in zip(self.parts, state["parts"], strict=True):
            part.load_state_dict(saved)
            for parameter, moments in part.state.items():
                for name, value in moments.items():
                    if value.shape == parameter.shape:
                        moments[name] = shard_like(value, parameter)

    def tensors(self) -> dict[str, Tensor]:
        """The state's tensors, by names that are the same on every rank."""
        return {
            f"{name}.{key}": value
            for name, (part, parameter) in self._owners.items()
            for key, value in part.state[parameter].items()
        }

    def empty_like(self, name: str, shape: Sequence[int]) -> Tensor:
        """Allocate a state tensor, sharded like the parameter it belongs to."""
        _, parameter = self._owners[name.rpartition(".")[0]]
        if tuple(shape) == tuple(parameter.shape):
            return torch.zeros_like(parameter)
        return torch.zeros(tuple(shape), device=parameter.device)

    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Restore the state from the tensors of ``tensors``."""
        for name, value in tensors.items():
            owner, _, key = name.rpartition(".")
            part, parameter = self._owners[owner]
            part.state[parameter][key] = value


def build_optimizer(
    model: nn.Module, config: OptimizerConfig, factors: Mapping[str, float] | None = None
) -> Optimizers:
    """Build the optimizer of a model's trainable parameters.

    Weight decay applies to matrices and embeddings only: norms and biases do not overfit by
    their size.

    Args:
        model: On its training device.
        config: Learning rate, weight decay and moments.
        factors: With AdamW, what each parameter's learning rate is multiplied by, by its name;
            None gives all the same.

    References:
        Loshchilov and Hutter 2019, "Decoupled Weight Decay Regularization", algorithm 2.
    """
    trainable = {name: value for name, value in model.named_parameters() if value.requires_grad}
    hidden = {name for name, value in trainable.items() if _is_hidden_matrix(name, value)}
    if factors is not None and len(set(factors.values())) > 1:
        by_factor = sorted({factors[name] for name in trainable})
        groups = [
            group | {"rate_factor": factor}
            for factor in by_factor
            for group in _groups([p for n, p in trainable.items() if factors[n] == factor], config)
        ]
        return Optimizers([_adamw_of(groups, config)])
    if config.kind == "adamw" or not hidden:
        return Optimizers([_adamw(list(trainable.values()), config)])
    rest = [value for name, value in trainable.items() if name not in hidden]
    muon = _muon({name: trainable[name] for name in hidden}, config)
    return Optimizers([muon, _adamw(rest, config)] if rest else [muon])


def _is_hidden_matrix(name: str, parameter: Tensor) -> bool:
    """Whether it maps one hidden space to another: no embedding, head, norm or bias does."""
    return parameter.dim() == 2 and _IN_A_BLOCK.search(name) is not None


def _muon(matrices: dict[str, Tensor], config: OptimizerConfig) -> Muon:
    joint = [value for name, value in sorted(matrices.items()) if _is_joint(name)]
    single = [value for name, value in sorted(matrices.items()) if not _is_joint(name)]
    groups: list[dict[str, object]] = [
        {"params": joint, "parts": 3},
        {"params": single, "parts": 1},
    ]
    device = next(iter(matrices.values())).device
    bf16 = resolve_precision("auto", device) == "bf16"
    return Muon(
        [group for group in groups if group["params"]],
        lr=config.learning_rate,
        momentum=config.momentum,
        weight_decay=config.weight_decay,
        dtype=torch.bfloat16 if bf16 else torch.float32,
    )


def _is_joint(name: str) -> bool:
    """Whether it is a joint projection to queries, keys and values."""
    return name.endswith("c_attn.weight")


def _adamw(parameters: Sequence[Tensor], config: OptimizerConfig) -> torch.optim.AdamW:
    return _adamw_of(_groups(parameters, config), config)


def _groups(parameters: Sequence[Tensor], config: OptimizerConfig) -> list[dict[str, object]]:
    """The parameters with and those without weight decay."""
    groups: list[dict[str, object]] = [
        {"params": [p for p in parameters if p.dim() >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.dim() < 2], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def _adamw_of(groups: list[dict[str, object]], config: OptimizerConfig) -> torch.optim.AdamW:
    return torch.optim.AdamW(
        groups,
        lr=config.learning_rate,
        betas=(config.beta1, config.beta2),
        eps=config.epsilon,
        fused=True,
    )
