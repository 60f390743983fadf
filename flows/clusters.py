"""The cluster of a deployment: where its nodes run and what each of them has."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from gpt_core.config import LaunchConfig, RunConfig, build_config
from gpt_core.config.checks import require, require_at_least, require_positive
from gpt_core.config.section import Section

_WORD = re.compile(r"[\w./:@+-]+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Cluster(Section):
    """Where a deployment's nodes run and what each of them has."""

    type: Literal["slurm", "kubernetes"]
    nodes: int = 2
    home: str = "/data"
    """``GPTFLOW_HOME``: a folder that all nodes share."""

    gpus: int = 0
    """GPUs of a node, each with a process; 0 trains on CPUs."""

    cpus: int | None = None
    memory: str | None = None
    """Memory of a node, such as ``64G`` in SLURM and ``64Gi`` in Kubernetes."""

    hours: float = 24.0
    """The job is ended after so long, with time to save."""

    port: int = 29_500
    """Where the nodes meet, on the first one."""

    partition: str | None = None
    account: str | None = None
    setup: tuple[str, ...] = ()
    """SLURM: lines of the script before the command, such as ``source .venv/bin/activate``."""

    image: str = "gptflow:latest"
    claim: str = "gptflow-home"
    """Kubernetes: the persistent volume claim of the home, which all nodes can write."""

    namespace: str = "default"
    retries: int = 2
    """Kubernetes: how often every node may be started again."""

    def __post_init__(self) -> None:
        require_at_least(self, 1, "nodes", "port", "cpus")
        require_at_least(self, 0, "gpus", "retries")
        require_positive(self, "hours")
        names = ("home", "memory", "partition", "account", "image", "claim", "namespace")
        for name in names:
            value = getattr(self, name)
            require(
                value is None or bool(_WORD.fullmatch(value)),
                f"{name} has letters, digits and ./:@+-_ only, got {value!r:.100}",
            )
        require(self.home.startswith("/"), f"home must be an absolute path, got {self.home!r}")


def read_cluster(tree: object, config: RunConfig) -> Cluster:
    """Build a cluster from a table.

    Args:
        tree: The table.
        config: The deployment's settings, which must fit the cluster's processes.

    Raises:
        ConfigError: If a value is wrong, or the processes cannot share a step.
    """
    require(isinstance(tree, Mapping), "write cluster = { type = ..., nodes = ..., home = ... }")
    cluster = build_config(Cluster, tree)  # type: ignore[arg-type]
    launch = LaunchConfig()
    given = (config.launch.nodes, config.launch.rendezvous)
    require(
        given == (launch.nodes, launch.rendezvous),
        "launch.nodes and launch.rendezvous follow from the cluster: leave them out of settings",
    )
    n_processes = (config.launch.processes or max(1, cluster.gpus)) * cluster.nodes
    config.pretrain.micro_batches_of(n_processes)
    return cluster
