"""Prefect, MLflow and a worker for the deployments, all on this machine, until Ctrl-C."""

import signal
import sys
import warnings
from contextlib import suppress

import typer
from httpx import HTTPError
from prefect import serve
from prefect.client.orchestration import get_client
from prefect.deployments.runner import RunnerDeployment
from prefect.exceptions import PrefectException
from prefect.schedules import Cron, Schedule
from prefect.types.entrypoint import EntrypointType

from flows.declarations import FLOWS, Flow
from flows.deploying import build_all, register_all
from flows.deployments import Deployment, DeploymentFile
from flows.forms import to_form
from flows.missed import cancel_missed
from flows.running import as_prefect_flow
from gpt_core.config import RunConfig
from gpt_core.errors import ConfigError
from tasks.automations import TAG, register_automations
from tasks.claims import claim_runs
from tasks.credentials import password_file
from tasks.environment import is_server
from tasks.servers import PrefectServer, running_prefect_server, start_mlflow_server
from tasks.supervision import supervise
from tasks.tracking import runs_link, tracking_uri

_RUNS = 8
"""Runs at the same time; of those that train, one on each device."""


def serve_all(
    server: PrefectServer,
    config: RunConfig,
    cron: str | None,
    restarts: int,
    declared: DeploymentFile | None = None,
) -> None:
    """Start MLflow and serve every flow as a deployment, until Ctrl-C or SIGTERM.

    Args:
        server: Prefect's, started.
        config: What a run of a deployment begins with; its form in the UI changes it.
        cron: When the deployment ``run`` starts by itself, such as ``0 3 * * *``; None never.
        restarts: How often a run whose process was killed is started again.
        declared: Further deployments; those without a work pool are served too.

    Raises:
        ConfigError: If ``cron`` is not a schedule.
        DataError: If a server does not start.
    """
    schedule = _schedule(cron)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
    # Prefect's own handler of SIGTERM, which serve() installs, forgets to await it.
    warnings.filterwarnings("ignore", r"coroutine 'Runner\.astop' was never awaited")
    if not is_server(tracking_uri()):
        start_mlflow_server().wait()
    server.wait()
    for line in _welcome(server):
        typer.echo(line)
    deployments = [
        _deployment(flow, config, schedule if flow.name == "run" else None)
        for flow in FLOWS.values()
    ]
    built = build_all(declared) if declared else []
    if declared:
        register_all(declared, built)
        with get_client(sync_client=True) as client:
            cancel_missed(client)
        typer.echo(f"Deployed {declared.path}: {', '.join(each.full_name for each, _ in built)}")
    deployments += [each for entry, each in built if entry.pool is None]
    register_automations()
    claim_runs()
    try:
        with supervise(typer.echo, restarts):
            serve(*deployments, pause_on_shutdown=False, print_starting_message=False, limit=_RUNS)
    finally:
        _pause(deployments, [entry for entry, _ in built])


def _pause(deployments: list[RunnerDeployment], declared: list[Deployment]) -> None:
    """Pause the schedules of what is no longer served, except those that catch up later.

    Prefect's own pause would delete the scheduled runs of those too.
    """
    kept = {each.full_name for each in declared if each.missed == "catch up"}
    if not running_prefect_server():
        return  # the runs that are missed are handled at the next start
    with suppress(HTTPError, PrefectException), get_client(sync_client=True) as client:
        for each in deployments:
            if each.schedules and each.full_name not in kept:
                found = client.read_deployment_by_name(each.full_name)
                client.pause_deployment(found.id)


def _welcome(server: PrefectServer) -> list[str]:
    """The addresses of the servers; the password only on a terminal, since pipes end in logs."""
    page, login = f"{server.url.removesuffix('/api')}/deployments", server.login_url()
    lines = [
        f"Prefect  {login if login and sys.stdout.isatty() else page}",
        f"MLflow   {runs_link()}",
        "Runs started there work here. Ctrl-C stops all of it.",
    ]
    if login:
        lines.append(f"Prefect's password is in {password_file()}")
    return lines


def _deployment(flow: Flow, config: RunConfig, schedule: Schedule | None) -> RunnerDeployment:
    return RunnerDeployment.from_flow(
        as_prefect_flow(flow, flow.form_sections),
        name=flow.name,
        description=flow.help,
        tags=[TAG],
        parameters={"config": to_form(config, flow.form_sections)},
        schedule=schedule,
        entrypoint_type=EntrypointType.MODULE_PATH,  # a file's path could not import its siblings
    )


def _schedule(cron: str | None) -> Schedule | None:
    if cron is None:
        return None
    try:
        return Cron(cron)
    except ValueError as error:
        raise ConfigError(
            f"--cron must be minute, hour, day, month and weekday, such as '0 3 * * *', got "
            f"{cron!r}"
        ) from error
