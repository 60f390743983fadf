"""Jobs of several nodes for the scheduler of a cluster: SLURM scripts and Kubernetes manifests.

A deployment with a ``cluster`` is not started by Prefect: ``gptflow deploy`` writes a file that the
cluster's own command takes. In it every node runs the same ``gptflow`` command, and the first one
keeps the records.
"""

import json
import re
import shlex
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from string import Template

from flows.deployments import Deployment
from gpt_core.artifact import to_json_value
from gpt_core.config import RunConfig, load_config
from gpt_core.files import atomic_write_text

FOLDER = "jobs"
"""Where the files are written, next to the file of deployments."""

_SUFFIXES = {"slurm": "sbatch", "kubernetes": "yaml"}
_MAX_NAME = 50  # of a service in Kubernetes, less what pods add


def write_job(declared: Deployment, folder: Path) -> Path:
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


def start_command(declared: Deployment, file: Path) -> str:
    """The command that submits the job to the cluster."""
    slurm = declared.cluster is not None and declared.cluster.type == "slurm"
    return f"sbatch {file}" if slurm else f"kubectl apply -f {file}"


def render(declared: Deployment) -> str:
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


def command_of(declared: Deployment) -> list[str]:
    """The command that every node runs, without the rendezvous."""
    assert declared.cluster is not None
    changed = _changed_settings(declared.config, load_config(declared.preset))
    nodes = f"launch.nodes={declared.cluster.nodes}"
    return ["gptflow", declared.flow.name, "--preset", declared.preset, *changed, nodes]


def _slurm(declared: Deployment) -> dict[str, object]:
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


def _kubernetes(declared: Deployment) -> dict[str, object]:
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


def _name(declared: Deployment) -> str:
    """The deployment's name as DNS allows it."""
    plain = re.sub(r"[^a-z0-9]+", "-", f"{declared.flow.name}-{declared.name}".lower())
    return plain[:_MAX_NAME].strip("-")
