"""Jobs of several nodes for the scheduler of a cluster: SLURM scripts and Kubernetes manifests.

A deployment with a ``cluster`` is not started by Prefect: ``gptflow deploy`` writes a file that the
cluster's own command takes. In it every node runs the same ``gptflow`` command, and the first one
keeps the records.
"""

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Literal

from gpt_core.artifact import to_json_value
from gpt_core.config import LaunchConfig, RunConfig, build_config, load_config
from gpt_core.config.checks import require, require_at_least, require_positive
from gpt_core.config.section import Section
from gpt_core.files import atomic_write_text

if TYPE_CHECKING:
    from flows.deployments import Deployment

FOLDER = "jobs"
"""Where the files are written, next to the file of deployments."""

_SUFFIXES = {"slurm": "sbatch", "kubernetes": "yaml"}
_WORD = re.compile(r"[\w./:@+-]+")
_MAX_NAME = 50  # of a service in Kubernetes, less what pods add


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


def write_job(declared: "Deployment", folder: Path) -> Path:
    """Write the file of a deployment's job.

    Args:
        declared: A deployment with a cluster.
        folder: Where the file goes.
    """
    assert declared.cluster is not None
    file = folder / f"{_name(declared)}.{_SUFFIXES[declared.cluster.type]}"
    with atomic_write_text(file) as content:
        content.write(render(declared))
    return file


def start_command(declared: "Deployment", file: Path) -> str:
    """The command that submits the job to the cluster."""
    slurm = declared.cluster is not None and declared.cluster.type == "slurm"
    return f"sbatch {file}" if slurm else f"kubectl apply -f {file}"


def render(declared: "Deployment") -> str:
    """The job as the cluster's scheduler reads it."""
    cluster = declared.cluster
    assert cluster is not None
    template = files("flows").joinpath("job_templates", f"nodes.{_SUFFIXES[cluster.type]}")
    values = _slurm(declared) if cluster.type == "slurm" else _kubernetes(declared)
    common = {
        "full_name": declared.full_name,
        "name": _name(declared),
        "nodes": cluster.nodes,
        "home": cluster.home,
        "port": cluster.port,
    }
    return Template(template.read_text(encoding="utf-8")).substitute(common | values)


def command_of(declared: "Deployment") -> list[str]:
    """The command that every node runs, without the rendezvous."""
    assert declared.cluster is not None
    changed = _changed_settings(declared.config, load_config(declared.preset))
    nodes = f"launch.nodes={declared.cluster.nodes}"
    return ["gptflow", declared.flow.name, "--preset", declared.preset, *changed, nodes]


def _slurm(declared: "Deployment") -> dict[str, object]:
    cluster = declared.cluster
    assert cluster is not None
    options = {
        "gpus-per-node": cluster.gpus or None,
        "cpus-per-task": cluster.cpus,
        "mem": cluster.memory,
        "partition": cluster.partition,
        "account": cluster.account,
    }
    minutes = max(1, round(60 * cluster.hours))
    return {
        "time": f"{minutes // 60}:{minutes % 60:02}:00",
        "options": "\n".join(
            f"#SBATCH --{name}={value}" for name, value in options.items() if value is not None
        ),
        "setup": "\n".join(cluster.setup),
        "command": shlex.join(command_of(declared)),
    }


def _kubernetes(declared: "Deployment") -> dict[str, object]:
    cluster, name = declared.cluster, _name(declared)
    assert cluster is not None
    limits = {"nvidia.com/gpu": cluster.gpus or None, "cpu": cluster.cpus, "memory": cluster.memory}
    rendezvous = f"launch.rendezvous={name}-0.{name}:{cluster.port}"
    return {
        "image": cluster.image,
        "claim": cluster.claim,
        "namespace": cluster.namespace,
        "retries": cluster.retries * cluster.nodes,
        "seconds": round(3600 * cluster.hours),
        "limits": json.dumps({key: value for key, value in limits.items() if value is not None}),
        "command": json.dumps([*command_of(declared), rendezvous], ensure_ascii=False),
    }


def _changed_settings(config: RunConfig, preset: RunConfig) -> list[str]:
    """The settings in which a configuration differs from its preset."""
    return [*_differences(to_json_value(preset), to_json_value(config), "")]


def _differences(before: object, after: object, path: str) -> list[str]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        return [
            each
            for key in after
            for each in _differences(before.get(key), after[key], f"{path}.{key}".strip("."))
        ]
    if before == after:
        return []
    return [f"{path}=none" if after is None else f"{path}={json.dumps(after, ensure_ascii=False)}"]


def _name(declared: "Deployment") -> str:
    """The deployment's name as DNS allows it."""
    plain = re.sub(r"[^a-z0-9]+", "-", f"{declared.flow.name}-{declared.name}".lower())
    return plain[:_MAX_NAME].strip("-")
