"""Prefect, MLflow and a worker for the deployments, all on this machine, until Ctrl-C."""

import signal
import subprocess
import sys
from importlib import import_module
from typing import Any

import typer

from gpt_core.config import load_config
from tasks.servers import PrefectServer, start_mlflow_server, wait_until_healthy

_DEPLOYED = {
    "run": ("end_to_end", "end_to_end"),
    "prepare": ("prepare_data", "prepare_data"),
    "pretrain": ("pretrain", "pretrain_model"),
    "evaluate": ("evaluate", "evaluate_model"),
    "classify": ("finetune_classifier", "train_classifier"),
    "instruct": ("finetune_instructions", "train_instructions"),
}


def serve_all() -> None:
    """Start the servers and serve every flow as a deployment with the tiny preset."""
    server = PrefectServer()
    server.start()
    process, mlflow_url = start_mlflow_server()
    try:
        wait_until_healthy(f"{mlflow_url}/health", process)
        prefect_url = server.wait().removesuffix("/api")
        typer.echo(f"Prefect: {prefect_url}\nMLflow:  {mlflow_url}\nCtrl-C stops both.")
        serve_flows()
    finally:
        _stop(process)


def serve_flows() -> None:
    """Serve the deployments in this process, for runs from the UI or on a schedule."""
    from prefect import serve

    config = load_config("tiny")
    deployments: list[Any] = []
    for name, (module, function) in _DEPLOYED.items():
        flow = getattr(import_module(f"flows.{module}"), function)
        deployments.append(flow.to_deployment(name=name, parameters={"config": config}))
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
    serve(*deployments)


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
