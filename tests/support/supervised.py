"""Processes that tests start, kill and start again at the same address, as a supervisor would."""

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from http_server import free_port
from waiting import answers

REQUIRED = "GPTFLOW_TEST_EVERYTHING"
"""Where this variable is set, as in CI, a test that lacks a program fails in place of a skip."""

S3_SECRET = "word-that-no-message-holds"  # of clients of ``Buckets``
_STARTUP_SECONDS = 120.0


def lacking(sentence: str) -> None:
    """Skip a test that needs a program of the system; where everything is to be tested, fail."""
    if os.environ.get(REQUIRED):
        pytest.fail(f"{sentence}, and {REQUIRED} is set")
    pytest.skip(sentence)


@dataclass
class Supervised:
    """A server in a process group of its own."""

    command: Sequence[str]
    folder: Path
    health: str
    """An address that answers when it is ready; or ``tcp:PORT``."""

    environment: Mapping[str, str] = field(default_factory=dict)
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def log(self) -> str:
        """Everything that it printed."""
        return (self.folder / "log").read_text("utf-8", "replace")

    def launch(self) -> None:
        """Start it, without waiting until it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        own = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "MLFLOW_"))}
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command, cwd=self.folder, env={**own, **self.environment},
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.launch()
        self.wait()

    def wait(self) -> None:
        """Wait until it answers."""
        until = time.monotonic() + _STARTUP_SECONDS
        while not self.is_ready():
            assert not self.has_ended(), self.log[-5000:]
            assert time.monotonic() < until, self.log[-5000:]
            time.sleep(0.1)

    def is_ready(self) -> bool:
        """Whether it answers."""
        if not self.health.startswith("tcp:"):
            return answers(self.health)
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", int(self.health[4:])), timeout=2).close()
            return True
        return False

    def has_ended(self) -> bool:
        """Whether its process ended, or was never started."""
        return self.process is None or self.process.poll() is not None

    def end(self, number: int = signal.SIGTERM) -> None:
        """Send a signal to all its processes and wait for their end."""
        if self.process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)
        try:
            self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.end(signal.SIGKILL)

    def kill(self) -> None:
        """Kill all its processes."""
        self.end(signal.SIGKILL)


def python(module: str, *arguments: str) -> list[str]:
    """The command that runs a Python module."""
    return [sys.executable, "-m", module, *arguments]


class Postgres(Supervised):
    """A PostgreSQL server of Debian's package with an empty database cluster of its own.

    PostgreSQL refuses to run as root, so that root's tests run it as another user.
    """

    def __init__(self, password: str) -> None:
        self.programs, self.port = _programs(), free_port()
        self.data = Path(tempfile.mkdtemp(prefix="gptflow-postgres-"))
        self._user = _other_user()
        if self._user:
            shutil.chown(self.data, self._user)
        secret = self.data / "password"
        secret.write_text(password, encoding="utf-8")
        if self._user:
            shutil.chown(secret, self._user)
        cluster = self.data / "cluster"
        initdb = [
            "initdb", "--pgdata", str(cluster), "--username=gptflow", f"--pwfile={secret}",
            "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync",
        ]  # fmt: skip
        subprocess.run(self._as_user(*initdb), check=True, capture_output=True, cwd=self.data)
        secret.unlink()
        arguments = ["-D", str(cluster), "-h", "127.0.0.1", "-p", str(self.port), "-k", ""]
        command = self._as_user("postgres", *arguments, "-c", "shared_buffers=32MB")
        super().__init__(command, self.data / "logs", f"tcp:{self.port}")
        self._password = password

    def _as_user(self, program: str, *arguments: str) -> list[str]:
        change = ["setpriv", f"--reuid={self._user}", f"--regid={_group(self._user)}",
                  "--clear-groups"] if self._user else []  # fmt: skip
        return [*change, str(self.programs / program), *arguments]

    @property
    def environment_of_clients(self) -> dict[str, str]:
        """The variables by which both drivers find it, in place of an address with a password."""
        return {
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self.port),
            "PGUSER": "gptflow",
            "PGPASSWORD": self._password,
        }

    def is_ready(self) -> bool:
        """Whether it has recovered and answers."""
        program = str(self.programs / "pg_isready")
        command = [program, "--quiet", "--host=127.0.0.1", f"--port={self.port}"]
        return subprocess.run(command, check=False).returncode == 0

    def query(self, statement: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Run a statement; the rows that it answers."""
        import psycopg2

        connection = psycopg2.connect(
            host="127.0.0.1", port=self.port, user="gptflow", password=self._password,
            dbname=database, connect_timeout=10,
        )  # fmt: skip
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def dump(self) -> bytes:
        """Everything in all its databases, as text."""
        program = str(self.programs / "pg_dumpall")
        own = {**os.environ, **self.environment_of_clients}
        command = [program, "--no-role-passwords"]
        return subprocess.run(command, env=own, check=True, capture_output=True).stdout

    def remove(self) -> None:
        """End it and remove its files."""
        self.end(signal.SIGINT)
        shutil.rmtree(self.data, ignore_errors=True)


class Buckets(Supervised):
    """An S3 server, whose buckets are lost with its process."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        command = python("moto.server", "-H", "127.0.0.1", "-p", str(self.port))
        super().__init__(command, folder, f"tcp:{self.port}")

    def environment_of_clients(self, key: str, secret: str) -> dict[str, str]:
        """The variables by which MLflow and boto3 find it."""
        return {
            "AWS_ENDPOINT_URL": self.address,
            "MLFLOW_S3_ENDPOINT_URL": self.address,
            "AWS_ACCESS_KEY_ID": key,
            "AWS_SECRET_ACCESS_KEY": secret,
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def client(self) -> object:
        """A client of boto3."""
        import boto3

        return boto3.client(
            "s3", endpoint_url=self.address, aws_access_key_id="me",
            aws_secret_access_key="word", region_name="us-east-1",
        )  # fmt: skip

    def contents(self, bucket: str) -> dict[str, bytes]:
        """The objects of a bucket."""
        client = self.client()
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        keys = [each["Key"] for page in pages for each in page.get("Contents", ())]
        return {key: client.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}


def _programs() -> Path:
    """The folder of PostgreSQL's programs."""
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not installed:
        lacking("PostgreSQL is not installed (on Debian: apt install postgresql)")
    return installed[-1].parent


def _other_user() -> str:
    """The user as whom PostgreSQL runs, empty if it is this one."""
    if os.getuid() != 0:
        return ""
    known = {each.pw_name for each in pwd.getpwall()}
    return next(name for name in ("postgres", "nobody") if name in known)


def _group(user: str) -> str:
    return str(pwd.getpwnam(user).pw_gid) if user else ""
