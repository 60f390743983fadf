"""A week in minutes: scheduled runs on PostgreSQL and S3 while processes are killed at random.

A supervisor starts what ended again, as systemd would; nothing else is done by hand.
"""

import contextlib
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from installation import Installation, installed
from supervised import Supervised, python
from webhook import Hook

SECRETS = {
    "POSTGRES_PASSWORD": "of postgres", "S3_ACCESS_KEY": "key", "S3_SECRET_KEY": "secret",
    "PREFECT_AUTH": "me:of-prefect", "MLFLOW_USERNAME": "me", "MLFLOW_PASSWORD": "of-mlflow-user",
    "MLFLOW_SECRET_KEY": "forms",
}  # fmt: skip
STEPS = 40
SMALL = (
    "model.n_layer=1", "model.n_head=2", "model.n_embd=32", "model.context_length=64",
    "tokenizer.vocab_size=400", "shards.workers=1", "schedule.warmup_steps=2",
    "training.tokens_per_step=2048", "training.micro_batch=8", "training.eval_tokens=1024",
    "training.log_every=1", f"training.steps={STEPS}", "training.eval_every=10",
    "training.save_every=5", "training.sample_every=20",
)  # fmt: skip

_FAR = timedelta(days=7)  # from a run to the deployment's next, which is after the end
_FIRST_AFTER_SECONDS = 45.0
_RESTARTS = 20  # of a run: the faults of a week hit it within minutes
_AWAY_SECONDS, _HANG_SECONDS, _FULL_SECONDS = 20.0, 20.0, 10.0  # of servers, and of the disk
_HOME_BYTES = 512 << 20
_RETRIES, _RETRY_SECONDS = 5, 10  # of a run that fails, such as on a full disk


def settings_of(number: int) -> list[str]:
    """The settings of a run, which differ in the seed."""
    return [*SMALL, f"name=week-{number:02}", f"training.seed={number}"]


@dataclass
class Site:
    """An installation whose servers and worker a supervisor keeps running."""

    servers: Installation
    home: Path
    up: Supervised
    is_small_disk: bool
    """Whether the home is on a file system of its own, which can be filled."""

    begin: datetime
    """When the first run is to start."""

    away_seconds: float = _AWAY_SECONDS
    """How long a server is away."""

    held: set[str] = field(default_factory=set)
    """The servers that are not started again for a while."""

    stopping: threading.Event = field(default_factory=threading.Event)

    @property
    def parts(self) -> dict[str, Supervised]:
        """Everything that the supervisor starts again."""
        kept = {k: v for k, v in self.servers.servers.items() if k != "s3"}
        return {**kept, "worker": self.up}

    def supervise(self) -> None:
        """Start what has ended, until the site is closed."""
        while not self.stopping.wait(1.0):
            for name, part in self.parts.items():
                if name not in self.held and part.has_ended():
                    part.launch()

    def pids(self, variable: str) -> list[int]:
        """The processes of this home that have a variable in their environment."""
        return list(self._variables(variable))

    def runs_with_a_process(self) -> set[str]:
        """The ids of the flow runs that a process of this home works on."""
        return set(self._variables("PREFECT__FLOW_RUN_ID").values())

    def _variables(self, variable: str) -> dict[int, str]:
        """A variable's value in each process of this home that has it."""
        found = {}
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                variables = (entry / "environ").read_bytes().split(b"\0")
                ours = f"GPTFLOW_HOME={self.home}".encode() in variables
                values = [v for v in variables if v.startswith(f"{variable}=".encode())]
                if ours and values:
                    found[int(entry.name)] = values[0].decode().partition("=")[2]
        return found


def kill_run(site: Site) -> bool:
    """Kill the run that works at the moment; whether there was one."""
    return _has_begun(site) and _kill_runs(site)


def kill_starting_run(site: Site) -> bool:
    """Kill the run that has a process and has not begun its work; whether there was one."""
    return not _has_begun(site) and _kill_runs(site)


def _has_begun(site: Site) -> bool:
    """Whether a run has begun its work: it is a start that Prefect counts, and has a lock."""
    return any((site.home / "data" / "running").glob("*.flow.lock"))


def _kill_runs(site: Site) -> bool:
    runs = site.pids("PREFECT__FLOW_RUN_ID")
    for pid in runs:
        _send(pid, signal.SIGKILL)
    return bool(runs)


def kill_worker(site: Site) -> bool:
    """Kill ``gptflow up`` alone."""
    if site.up.process is None or site.up.has_ended():
        return False
    return _send(site.up.process.pid, signal.SIGKILL)


def kill_prefect(site: Site) -> bool:
    """Kill Prefect's server."""
    site.servers.prefect.kill()
    return True


def kill_mlflow(site: Site) -> bool:
    """Kill MLflow's server."""
    site.servers.mlflow.kill()
    return True


def kill_postgres(site: Site) -> bool:
    """Kill the database of both servers."""
    site.servers.postgres.kill()
    return True


def kill_everything(site: Site) -> bool:
    """Kill all of it at once, as a power cut would; whether a run was among it."""
    if not kill_run(site):
        return False
    for each in (kill_worker, kill_prefect, kill_mlflow, kill_postgres):
        each(site)
    return True


def prefect_hangs(site: Site) -> bool:
    """Let Prefect's server accept connections and answer none for a while."""
    process = site.servers.prefect.process
    if process is None or not _send(process.pid, signal.SIGSTOP):
        return False
    site.stopping.wait(_HANG_SECONDS)
    return _send(process.pid, signal.SIGCONT)


def mlflow_away(site: Site) -> bool:
    """Keep MLflow's server away for a while."""
    return _away(site, "mlflow")


def prefect_away(site: Site) -> bool:
    """Keep Prefect's server away for a while."""
    return _away(site, "prefect")


def _away(site: Site, name: str) -> bool:
    site.held.add(name)
    site.parts[name].kill()
    site.stopping.wait(site.away_seconds)
    site.held.discard(name)
    return True


def disk_full(site: Site) -> bool:
    """Fill the disk of the home for a while."""
    if not site.is_small_disk:
        return False
    filler = site.home / "filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(1 << 20))
    site.stopping.wait(_FULL_SECONDS)
    filler.unlink()
    return True


FAULTS: dict[str, Callable[[Site], bool]] = {
    "run killed": kill_run,
    "starting run killed": kill_starting_run,
    "worker killed": kill_worker,
    "Prefect killed": kill_prefect,
    "MLflow killed": kill_mlflow,
    "PostgreSQL killed": kill_postgres,
    "everything killed": kill_everything,
    "Prefect hangs": prefect_hangs,
    "Prefect away": prefect_away,
    "MLflow away": mlflow_away,
    "disk full": disk_full,
}
"""Faults by name; each answers whether it took place."""


@contextmanager
def site(
    root: Path,
    folder: Path,
    runs: int,
    gap: float,
    hook: Hook,
    secrets: Mapping[str, str],
    away: float = _AWAY_SECONDS,
) -> Iterator[Site]:
    """Start an installation with scheduled runs.

    Args:
        root: The checkout.
        folder: Where everything goes.
        runs: How many runs are scheduled.
        gap: Seconds from one to the next.
        hook: Gets the notifications.
        secrets: The values of ``compose.env.example``.
        away: How many seconds a server is away.
    """
    home = folder / "home"
    home.mkdir(parents=True)
    small = _mount(home)
    started = time.monotonic()
    try:
        with installed(root, folder / "servers", secrets) as servers:
            lead = max(_FIRST_AFTER_SECONDS, 2.0 * (time.monotonic() - started))  # if it is busy
            begin = datetime.now(UTC) + timedelta(seconds=lead)
            times = [begin + timedelta(seconds=number * gap) for number in range(runs)]
            declared = "\n".join(map(_deployment, range(runs), times))
            (home / "deployments.toml").write_text(declared, "utf-8")
            environment = {
                **servers.worker, "GPTFLOW_HOME": str(home),
                "PREFECT_FLOWS_DEFAULT_RETRIES": str(_RETRIES),
                "PREFECT_FLOWS_DEFAULT_RETRY_DELAY_SECONDS": str(_RETRY_SECONDS),
                "GPTFLOW_NOTIFY": hook.address, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1",
            }  # fmt: skip
            up = Supervised(
                python("flows", "up", f"--restarts={_RESTARTS}"), folder / "up", "", environment
            )
            made = Site(servers, home, up, small, begin, away)
            supervisor = threading.Thread(target=made.supervise)
            supervisor.start()
            try:
                yield made
            finally:
                made.stopping.set()
                supervisor.join()
                up.end()
                down = [sys.executable, "-m", "flows", "down"]
                subprocess.run(down, env={**os.environ, **environment}, check=False)
    finally:
        if small:
            subprocess.run(["umount", "--lazy", str(home)], check=True)


def disturb(site: Site, names: list[str], seed: int, pause: tuple[float, float]) -> Iterator[str]:
    """Let faults happen in a random order at random times; yields what happened when.

    Args:
        site: Where; the first run has started before.
        names: The faults, each as often as it is listed.
        seed: Of the order and the times.
        pause: Seconds between two faults, at least and at most.
    """
    chance = random.Random(seed)
    waiting = list(names)
    chance.shuffle(waiting)
    site.stopping.wait((site.begin - datetime.now(UTC)).total_seconds())
    while waiting and not site.stopping.wait(chance.uniform(*pause)):
        name = waiting.pop(0)
        started = datetime.now(UTC)
        if FAULTS[name](site):
            yield f"{started:%H:%M:%S} {name}"
        elif name != "disk full" or site.is_small_disk:
            waiting.append(name)  # nothing ran that it could hit


def finished(site: Site, runs: int) -> bool:
    """Whether every scheduled run has ended."""
    with contextlib.suppress(Exception):  # while the database is away
        states = [state for _, state, *_ in runs_in_prefect(site)]
        return len(states) == runs and set(states) <= {"COMPLETED", "FAILED", "CANCELLED"}
    return False


def runs_in_prefect(site: Site) -> list[tuple[object, ...]]:
    """Deployment, state, starts and seconds of every run that was to start until now."""
    return site.servers.postgres.query(
        "select d.name, r.state_type, r.run_count, extract(epoch from r.end_time - "
        "r.expected_start_time)::int from flow_run r join deployment d on d.id = r.deployment_id "
        "where d.name like 'week-%' and r.expected_start_time < now() order by d.name",
        "prefect",
    )


def weights_of(home: Path, number: int) -> str:
    """The SHA-256 of the weights that a run ended with, empty if there are none."""
    name = f"week-{number:02}-*/step-{STEPS:08}/model.safetensors"
    found = sorted((home / "data" / "checkpoints").glob(name))
    return hashlib.sha256(found[0].read_bytes()).hexdigest() if len(found) == 1 else ""


def _deployment(number: int, begin: datetime) -> str:
    """A deployment whose only run before the end starts at a time."""
    return f"""[[deployment]]
name = "week-{number:02}"
flow = "pretrain"
settings = {json.dumps(settings_of(number))}
schedules = [{{ interval = {_FAR.total_seconds():.0f}, anchor = "{begin:%Y-%m-%dT%H:%M:%S}" }}]
"""


def _mount(folder: Path) -> bool:
    """Give a folder a small file system in memory, if this user may."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={_HOME_BYTES}", "tmpfs", str(folder)]
    with contextlib.suppress(OSError):
        return subprocess.run(command, check=False, capture_output=True).returncode == 0
    return False


def _send(pid: int | None, number: int) -> bool:
    """Send a signal; whether there was a process."""
    if pid is None:
        return False
    try:
        os.kill(pid, number)
    except OSError:
        return False
    return True


def wait_until_finished(site: Site, runs: int, seconds: float) -> bool:
    """Wait for the end of all runs; whether it came in time."""
    until = time.monotonic() + seconds
    while not finished(site, runs):
        if time.monotonic() > until:
            return False
        time.sleep(1.0)
    return True
