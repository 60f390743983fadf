"""Find what is broken in an installation and in a home: packages, databases, processes, ports."""

import importlib.metadata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from packaging.requirements import InvalidRequirement, Requirement

from gpt_core.errors import DataError, GPTCoreError
from tasks import processes
from tasks.backup import databases
from tasks.database_check import check_database
from tasks.paths import prefect_dir, unsent_dir
from tasks.schemas import MLFLOW, is_older
from tasks.servers import PREFECT_PORT, recorded_servers
from tasks.up import is_up_running, left_by_up
from tasks.upgrades import require_readable

State = Literal["good", "broken", "note"]
_DISTRIBUTION = "gptflow"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    state: State
    name: str
    text: str
    """The state in words; of what is broken also what to do."""


def diagnose() -> Iterator[Finding]:
    """Look at the packages and at this home; nothing is changed."""
    yield from _requirements()
    yield from _databases()
    yield from _servers()
    yield from _processes()
    yield from _unsent()


def _requirements() -> Iterator[Finding]:
    """Check versions: with others than gptflow declares schedules do not run, servers not start."""
    wrong = [problem for text in _required() for problem in _problems(text)]
    if not wrong:
        yield Finding("good", "versions", "of the packages are those that gptflow needs")
    for problem in wrong:
        yield Finding("broken", "versions", f"{problem}: make setup installs the right one")


def _required() -> list[str]:
    try:
        return importlib.metadata.requires(_DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:
        return []


def _problems(text: str) -> Iterator[str]:
    try:
        wanted = Requirement(text)
    except InvalidRequirement:
        return
    if wanted.marker is not None and not wanted.marker.evaluate({"extra": ""}):
        return
    try:
        version = importlib.metadata.version(wanted.name)
    except importlib.metadata.PackageNotFoundError:
        yield f"{wanted.name} is not installed"
        return
    if not wanted.specifier.contains(version, prereleases=True):
        yield f"{wanted.name} {version} is installed, gptflow needs {wanted.specifier}"


def _databases() -> Iterator[Finding]:
    for database in databases():
        file, name = database.file, f"store of {database.schema.name}"
        if file is None:
            yield Finding("note", name, "on a database server")
            continue
        if not file.is_file():
            yield Finding("note", name, "none yet: a run makes it")
            continue
        try:
            if database.schema == MLFLOW:
                check_database(file)
            require_readable(database, file)
        except GPTCoreError as error:
            yield Finding("broken", name, str(error))
            continue
        if is_older(file, database.schema):
            yield Finding("note", name, "of an earlier version: the next run or up upgrades it")
        else:
            yield Finding("good", name, str(file))


def _servers() -> Iterator[Finding]:
    """Servers that run but do not answer, and others in their place."""
    running = recorded_servers()
    for server in running:
        if not server.answers():
            yield Finding(
                "broken",
                f"{server.kind} server",
                f"process {server.pid} does not answer at {server.url}: see the logs in "
                f"{prefect_dir()}; gptflow down stops it",
            )
    if not running:
        try:
            reservation = processes.reserve_port(PREFECT_PORT)
        except DataError as error:
            yield Finding("broken", "ports", str(error))
            return
        with reservation:
            if reservation.getsockname()[1] != PREFECT_PORT:
                yield Finding(
                    "note",
                    "port",
                    f"{PREFECT_PORT} is used by another program, perhaps a server of another home: "
                    "the server here will take another",
                )


def _processes() -> Iterator[Finding]:
    orphans = [] if is_up_running() else left_by_up()
    if orphans:
        numbers = ", ".join(map(str, orphans))
        yield Finding(
            "broken",
            "processes",
            f"{numbers} are left of a killed gptflow up: gptflow down ends them",
        )


def _unsent() -> Iterator[Finding]:
    waiting = len(list(unsent_dir().glob("*.json")))
    damaged = len(list(unsent_dir().glob("*.damaged")))
    if waiting:
        yield Finding(
            "note", "metrics", f"{waiting} files wait for MLflow: the next run sends them"
        )
    if damaged:
        yield Finding("broken", "metrics", f"{damaged} files in {unsent_dir()} are damaged")
