"""``gptflow deploy``: bring the server to what ``deployments.toml`` says, and say what changed."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from httpx import HTTPError
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.responses import DeploymentResponse
from prefect.deployments.runner import DeploymentApplyError, RunnerDeployment
from prefect.exceptions import PrefectException
from rich.console import Console
from rich.table import Table
from rich.text import Text

from flows.deployments import Deployment, DeploymentFile
from flows.registering import (
    build_deployment,
    describe_schedule,
    differences,
    ensure_pool,
    existing,
    register,
    registered,
)
from gpt_core.errors import DataError

_MAX_DIFFERENCES = 6
_STYLES = {"new": "green", "changed": "yellow", "removed": "red", "not in the file": "red"}


@dataclass(frozen=True)
class Change:
    """A deployment of the server, with what happens to it."""

    name: str
    kind: str
    """``new``, ``changed``, ``unchanged``, ``removed`` or ``not in the file``."""

    details: tuple[str, ...] = ()


def deploy(file: DeploymentFile, console: Console, *, prune: bool, dry_run: bool) -> None:
    """Register the deployments of a file, if they differ from those of the server.

    Args:
        file: Read and checked.
        console: Gets a table of what changed and the commands that start runs.
        prune: Remove deployments of the file's project that are no longer in it.
        dry_run: Only print what would change.

    Raises:
        ConfigError: If Prefect does not accept a schedule.
        DataError: If the server does not take a deployment or does not answer.
    """
    built = build_all(file)
    with _connected() as client:
        pools = _ensure_pools(client, file, dry_run=dry_run)
        changes = [_bring(client, *pair, dry_run=dry_run) for pair in built]
        changes += _rest(client, file, remove_them=prune, dry_run=dry_run)
    console.print(_table(changes))
    for pool, kind in pools.items():
        if kind != "unchanged":
            console.print(f"work pool {pool}: {kind}", highlight=False)
    for line in _last_lines(file, changes, dry_run=dry_run):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def build_all(file: DeploymentFile) -> list[tuple[Deployment, RunnerDeployment]]:
    """Build every deployment of a file, before anything is registered."""
    return [(declared, build_deployment(declared, file)) for declared in file.deployments]


def register_all(file: DeploymentFile, built: list[tuple[Deployment, RunnerDeployment]]) -> None:
    """Register the deployments of a file that differ from those of the server.

    Raises:
        DataError: If the server does not take a deployment or does not answer.
    """
    with _connected() as client:
        _ensure_pools(client, file, dry_run=False)
        for pair in built:
            _bring(client, *pair, dry_run=False)


@contextmanager
def _connected() -> Iterator[SyncPrefectClient]:
    try:
        with get_client(sync_client=True) as client:
            yield client
    except (HTTPError, PrefectException, DeploymentApplyError) as error:
        raise DataError(f"the Prefect server did not take the deployments: {error}") from error


def _ensure_pools(
    client: SyncPrefectClient, file: DeploymentFile, *, dry_run: bool
) -> dict[str, str]:
    pools = {each.pool.name: each.pool for each in file.deployments if each.pool}
    found = {name: ensure_pool(client, pool, dry_run=True) for name, pool in pools.items()}
    for pool in pools.values():  # all could be made
        ensure_pool(client, pool, dry_run=dry_run)
    return found


def _bring(
    client: SyncPrefectClient, declared: Deployment, built: RunnerDeployment, *, dry_run: bool
) -> Change:
    """Register a deployment if that changes something."""
    before = existing(client, declared.full_name)
    changed = differences(before, built)
    if changed and not dry_run:
        register(client, built)
    if before is None:
        schedules = [describe_schedule(each) for each in built.schedules or []]
        return Change(declared.full_name, "new", tuple(schedules or ["no schedule"]))
    details = [f"{name}: {old or 'none'} -> {new or 'none'}" for name, old, new in changed]
    return Change(declared.full_name, "changed" if changed else "unchanged", tuple(details))


def _rest(
    client: SyncPrefectClient, file: DeploymentFile, *, remove_them: bool, dry_run: bool
) -> list[Change]:
    """The deployments of the server that are no longer in the file."""
    declared = {each.full_name for each in file.deployments}
    changes = []
    found: dict[str, DeploymentResponse] = registered(client, file.project)
    for name in sorted(found.keys() - declared):
        if remove_them and not dry_run:
            client.delete_deployment(found[name].id)
        hint = () if remove_them else ("gptflow deploy --prune removes it",)
        changes.append(Change(name, "removed" if remove_them else "not in the file", hint))
    return changes


def _table(changes: list[Change]) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    for change in changes:
        shown = list(change.details[:_MAX_DIFFERENCES])
        if len(change.details) > len(shown):
            shown.append(f"and {len(change.details) - len(shown)} more")
        style = _STYLES.get(change.kind, "")
        table.add_row(Text(change.kind, style), Text(change.name), Text("\n".join(shown)))
    return table


def _last_lines(file: DeploymentFile, changes: list[Change], *, dry_run: bool) -> list[str]:
    counts = Counter(change.kind for change in changes)
    summary = ", ".join(f"{number} {kind}" for kind, number in counts.items())
    if dry_run:
        return [f"{file.path}: {summary}; nothing was changed (--dry-run)"]
    lines = [f"Deployed {file.path}: {summary}", *_unread(file)]
    served = [each.full_name for each in file.deployments if each.pool is None]
    if served:
        lines.append(f"  gptflow up            serves {', '.join(served)}; restart one that runs")
    for pool in dict.fromkeys(each.pool.name for each in file.deployments if each.pool):
        names = [
            each.full_name for each in file.deployments if each.pool and each.pool.name == pool
        ]
        lines.append(f"  gptflow worker {pool:<6} runs {', '.join(names)}")
    lines.append(f"  gptflow submit {file.deployments[0].full_name}   starts a run now")
    return lines


def _unread(file: DeploymentFile) -> list[str]:
    return [
        f"without effect in {each.full_name}, because {each.flow.name} does not read it: "
        f"{', '.join(each.unread)}"
        for each in file.deployments
        if each.unread
    ]
