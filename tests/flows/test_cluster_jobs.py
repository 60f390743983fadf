"""Jobs of several nodes: a SLURM script and a Kubernetes manifest from a deployment."""

import json
import os
import shlex
import subprocess
from pathlib import Path
from typing import Any

import yaml

from flows.cluster_jobs import command_of, render, start_command, write_job
from flows.deployments import FILE_NAME, Deployment, read_file, without_clusters
from gpt_core.config import load_config

TEXT = """
[[deployment]]
name = "Big model"
flow = "pretrain"
preset = "hadith"
settings = ["source=/data/my text.txt", "training.steps=1000", "training.micro_batch=2", "launch.strategy=hsdp"]
cluster = { type = "TYPE", nodes = 4, gpus = 2, cpus = 16, memory = "64G", hours = 1.5, home = "/shared/home" OPTIONS }

[[deployment]]
name = "here"
flow = "prepare"
"""  # noqa: E501


def declared(folder: Path, type_: str, options: str = "") -> Deployment:
    file = folder / FILE_NAME
    file.write_text(TEXT.replace("TYPE", type_).replace("OPTIONS", options), "utf-8")
    found = read_file(file)
    assert [each.name for each in without_clusters(found).deployments] == ["here"]
    return found.deployments[0]


def test_the_command_gives_the_configuration_of_the_deployment(tmp_path: Path) -> None:
    deployment = declared(tmp_path, "slurm")
    program, flow, _, preset, *settings, nodes = command_of(deployment)
    assert (program, flow, preset, nodes) == ("gptflow", "pretrain", "hadith", "launch.nodes=4")
    assert load_config(preset, settings=settings) == deployment.config
    assert len(settings) == 4, "only what differs from the preset"


def test_a_slurm_script_runs_the_same_command_on_each_node(tmp_path: Path) -> None:
    options = ', partition = "gpu", port = 29511, setup = ["export A=b"]'
    deployment = declared(tmp_path, "slurm", options)
    file = write_job(deployment, tmp_path / "jobs")
    assert file.name == "pretrain-big-model.sbatch"
    assert start_command(deployment, file) == f"sbatch {file}"
    subprocess.run(["bash", "-n", str(file)], check=True)
    lines = file.read_text().splitlines()
    options_of = dict(
        line[10:].split("=", 1) for line in lines if line.startswith("#SBATCH --") and "=" in line
    )
    assert options_of == {
        "job-name": "pretrain-big-model", "nodes": "4", "ntasks-per-node": "1", "time": "1:30:00",
        "signal": "TERM@300", "gpus-per-node": "2", "cpus-per-task": "16", "mem": "64G",
        "partition": "gpu",
    }  # fmt: skip
    programs = tmp_path / "bin"
    programs.mkdir()
    script = f'#!/bin/sh\nprintf \'%s\\n\' "$GPTFLOW_HOME" "$A" "$@" > {tmp_path}/args\n'
    for name, content in {"scontrol": "#!/bin/sh\nprintf 'n1\\nn2\\n'\n", "srun": script}.items():
        (programs / name).write_text(content)
        (programs / name).chmod(0o755)
    path = f"{programs}:{os.environ['PATH']}"
    variables = {**os.environ, "PATH": path, "SLURM_JOB_NODELIST": "n[1-2]"}
    subprocess.run(["bash", str(file)], check=True, env=variables)
    home, a, _, *command = (tmp_path / "args").read_text().splitlines()
    assert (home, a) == ("/shared/home", "b")
    assert command == [*command_of(deployment), "launch.rendezvous=n1:29511"]


def test_a_kubernetes_job_has_an_indexed_pod_for_each_node_and_a_service(tmp_path: Path) -> None:
    deployment = declared(tmp_path, "kubernetes", ', claim = "shared", namespace = "ml"')
    file = write_job(deployment, tmp_path)
    assert start_command(deployment, file) == f"kubectl apply -f {file}"
    service, job = (manifest for manifest in yaml.safe_load_all(file.read_text()))
    name = "pretrain-big-model"
    assert (service["apiVersion"], service["kind"]) == ("v1", "Service")
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["publishNotReadyAddresses"] is True
    assert service["spec"]["selector"] == {"batch.kubernetes.io/job-name": name}
    assert (job["apiVersion"], job["kind"]) == ("batch/v1", "Job")
    for manifest in (service, job):
        assert manifest["metadata"] == {"name": name, "namespace": "ml"}
    spec: dict[str, Any] = job["spec"]
    assert {key: spec[key] for key in spec if key != "template"} == {
        "completionMode": "Indexed", "completions": 4, "parallelism": 4, "backoffLimit": 8,
        "activeDeadlineSeconds": 5400,
    }  # fmt: skip
    pod = spec["template"]["spec"]
    assert (pod["subdomain"], pod["restartPolicy"]) == (service["metadata"]["name"], "Never")
    (container,) = pod["containers"]
    assert container["resources"]["limits"] == {"nvidia.com/gpu": 2, "cpu": 16, "memory": "64G"}
    assert container["env"] == [{"name": "GPTFLOW_HOME", "value": "/shared/home"}]
    claims = {v["name"]: v.get("persistentVolumeClaim") for v in pod["volumes"]}
    assert claims == {"home": {"claimName": "shared"}, "shm": None}
    assert {m["name"] for m in container["volumeMounts"]} == set(claims)
    rendezvous = f"launch.rendezvous={name}-0.{name}:29500"
    assert container["command"] == [*command_of(deployment), rendezvous]


def test_the_template_quotes_what_a_shell_would_read(tmp_path: Path) -> None:
    text = render(declared(tmp_path, "slurm"))
    srun = next(line for line in text.splitlines() if line.startswith("srun"))
    assert json.loads(shlex.split(srun)[6].partition("=")[2]) == "/data/my text.txt"
