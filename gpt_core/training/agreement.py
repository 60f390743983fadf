"""Checks that all ranks of a run train the same model on the same data in the same way."""

import platform
from dataclasses import dataclass

import torch

from gpt_core.artifact import Artifact, to_json_value
from gpt_core.config import PretrainConfig, find_difference
from gpt_core.errors import ConfigError
from gpt_core.execution.ranks import Ranks


@dataclass(frozen=True, slots=True)
class _Part:
    """Settings and inputs of a rank, which must be the same everywhere, and its node."""

    node: str
    config: object
    inputs: list[str]
    local_size: int | None
    version: str


def require_agreement(config: PretrainConfig, inputs: list[Artifact], ranks: Ranks) -> None:
    """Raise on every rank unless all have the same settings, inputs and version of torch.

    Args:
        config: Of this rank.
        inputs: The artifacts that it trains from: the shards and perhaps a checkpoint.
        ranks: The processes of the run.

    Raises:
        ConfigError: Naming the first thing that differs and the node.
    """
    if ranks.size == 1:
        return
    mine = _Part(
        platform.node(),
        to_json_value(config),
        [each.fingerprint for each in inputs],
        ranks.local_size,
        torch.__version__,
    )
    first, *others = ranks.all_gather_object(mine)
    for rank, part in enumerate(others, start=1):
        difference = _difference(first, part)
        if difference is not None:
            raise ConfigError(
                f"process {rank} on {part.node} differs from the first on {first.node}: "
                f"{difference}; start every node with the same command"
            )


def _difference(first: _Part, other: _Part) -> str | None:
    setting = find_difference(first.config, other.config)
    if setting is not None:
        return f"{setting[0]} is {setting[2]}, not {setting[1]}"
    if first.inputs != other.inputs:
        return "the token shards or the initial checkpoint are other ones"
    if first.local_size != other.local_size:
        return f"its node has {other.local_size} processes, the first one has {first.local_size}"
    if first.version != other.version:
        return f"it has torch {other.version}, the first has {first.version}"
    return None
