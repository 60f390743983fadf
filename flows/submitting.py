"""Start a run of a deployment on the server that ``gptflow up`` serves, and follow it."""

import time
from collections.abc import Iterator, Mapping, Sequence
from uuid import UUID

from httpx import HTTPError
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId
from prefect.client.schemas.objects import FlowRun, Log
from prefect.client.schemas.sorting import LogSort
from prefect.exceptions import ObjectNotFound, PrefectException
from rich.console import Console

from flows.declarations import Flow
from flows.forms import form_class, resolve, to_config
from flows.preflight import check_flow
from gpt_core.config import RunConfig, build_config
from gpt_core.errors import DataError
from tasks.addresses import require_no_passwords

_POLL_SECONDS = 1.0
_POLLS_AFTER_END = 4  # the last lines of a log arrive after the end of their run
_PAGE = 200  # the server's limit


def submit(
    flow: Flow, name: str, preset: str | None, settings: Sequence[str], console: Console
) -> UUID:
    """Start a run of a flow's deployment, if its configuration is right.

    Args:
        flow: What to run.
        name: The deployment's name.
        preset: Begin from this preset, instead of from what the deployment says.
        settings: Changes such as ``training.steps=500``, made last.
        console: Gets the run's name and address.

    Returns:
        The run's id.

    Raises:
        ConfigError: Naming the setting that is wrong, or if one holds a password.
        DataError: If the flow is not deployed, cannot run, or the server does not answer.
    """
    changes = [flow.resolve_alias(setting) for setting in settings]
    try:
        with get_client(sync_client=True) as client:
            deployment = client.read_deployment_by_name(f"{flow.name}/{name}")
            deployed = _deployed_config(flow, deployment.parameters)
            config = resolve(deployed, preset, changes)
            require_no_passwords(config)
            check_flow(flow, config)
            run = client.create_flow_run_from_deployment(
                deployment.id, parameters={"preset": preset, "settings": changes}
            )
            server = str(client.api_url).rstrip("/").removesuffix("/api")
    except ObjectNotFound as error:
        raise DataError(
            f"{flow.name}/{name} is not deployed: start gptflow up first, or gptflow deploy"
        ) from error
    except (HTTPError, PrefectException) as error:
        raise DataError(f"the Prefect server did not take the run: {error}") from error
    console.print(f"{flow.name}: {run.name}, {server}/runs/flow-run/{run.id}", soft_wrap=True)
    return run.id


def follow(run_id: UUID, console: Console) -> bool:
    """Print a run's log until it ends; the server may be away meanwhile.

    Returns:
        Whether it completed.
    """
    with get_client(sync_client=True) as client:
        lines = _LogLines(client, run_id)
        polls_after_end = 0
        while True:
            try:
                run = client.read_flow_run(run_id)
                for line in lines.new():
                    console.print(line.message, markup=False, highlight=False, soft_wrap=True)
            except (HTTPError, PrefectException):
                run = None
            if run is not None and run.state is not None and run.state.is_final():
                polls_after_end += 1
                if polls_after_end > _POLLS_AFTER_END:
                    return _print_end(run, console)
            time.sleep(_POLL_SECONDS)


def _deployed_config(flow: Flow, parameters: Mapping[str, object]) -> RunConfig:
    """The configuration that a deployment's runs begin with."""
    tree = parameters.get("config")
    if not isinstance(tree, Mapping):
        raise DataError(f"{flow.name} is not a deployment of gptflow up: start that")
    return to_config(build_config(form_class(flow.form_sections), tree))


def _print_end(run: FlowRun, console: Console) -> bool:
    state = run.state
    if state is None or not state.is_completed():
        name, message = (state.name, state.message) if state else ("gone", "")
        console.print(f"{name}: {message or ''}", markup=False, soft_wrap=True)
        return False
    seconds = run.total_run_time.total_seconds()
    console.print(f"completed in {seconds:,.0f} s; gptflow generate uses the newest model")
    return True


class _LogLines:
    """Reads a run's log while it is written.

    Args:
        client: Of the server that has it.
        run_id: The run.
    """

    def __init__(self, client: SyncPrefectClient, run_id: UUID) -> None:
        self._client, self._run_id = client, run_id
        self._seen: set[UUID] = set()

    def new(self) -> Iterator[Log]:
        """The lines that were not read before."""
        # Several processes write the log, so that a line can come before some that were read.
        offset = max(0, len(self._seen) - _PAGE // 2)
        complete = False
        while not complete:
            page = self._client.read_logs(
                LogFilter(flow_run_id=LogFilterFlowRunId(any_=[self._run_id])),
                limit=_PAGE,
                offset=offset,
                sort=LogSort.TIMESTAMP_ASC,
            )
            for line in page:
                if line.id not in self._seen:
                    self._seen.add(line.id)
                    yield line
            offset += len(page)
            complete = len(page) < _PAGE
