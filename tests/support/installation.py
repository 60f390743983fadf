"""The servers of ``compose.yaml`` on this machine: its commands and variables, without containers.

PostgreSQL, Prefect and MLflow are the real ones; the S3 server is another one, as that of the file
is not in a package index.
"""

import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from http_server import free_port
from supervised import Buckets, Postgres, Supervised

BUCKET = "mlflow"
_VARIABLE = re.compile(r"\$\{(\w+):\?[^}]*\}")


@dataclass
class Installation:
    """The servers, started."""

    postgres: Postgres
    buckets: Buckets
    prefect: Supervised
    mlflow: Supervised
    worker: Mapping[str, str]
    """The variables of the worker, which commands need too."""

    @property
    def servers(self) -> dict[str, Supervised]:
        """All servers by name."""
        return {
            "postgres": self.postgres,
            "s3": self.buckets,
            "prefect": self.prefect,
            "mlflow": self.mlflow,
        }


def read_compose(root: Path) -> dict[str, Any]:
    """The file, its anchors resolved."""
    content: dict[str, Any] = yaml.safe_load((root / "compose.yaml").read_text("utf-8"))
    return content


@contextmanager
def installed(root: Path, folder: Path, secrets: Mapping[str, str]) -> Iterator[Installation]:
    """Start the servers of ``compose.yaml``; end them after the block.

    Args:
        root: The checkout.
        folder: Where their logs go.
        secrets: The values of ``compose.env.example``.
    """
    compose = read_compose(root)
    postgres = Postgres(secrets["POSTGRES_PASSWORD"])
    buckets = Buckets(folder / "s3")
    ports = {"4200": str(free_port()), "5000": str(free_port())}

    def local(text: str) -> str:
        """A value of the file on this machine."""
        known = _VARIABLE.sub(lambda variable: secrets[variable[1]], text)
        known = known.replace("http://s3:7070", buckets.address).replace("0.0.0.0", "127.0.0.1")
        known = known.replace("/etc/gptflow", str(folder))
        for name, port in (("prefect", "4200"), ("mlflow", "5000")):
            known = re.sub(rf"\b({name}|127\.0\.0\.1):{port}\b", f"127.0.0.1:{ports[port]}", known)
            known = known.replace(f"localhost:{port}", f"localhost:{ports[port]}")
            known = re.sub(rf"^(--port=)?{port}$", rf"\g<1>{ports[port]}", known)
        return known

    def environment(name: str) -> dict[str, str]:
        given = compose["services"][name]["environment"]
        values = {key: local(value) for key, value in given.items()}
        return values | (postgres.environment_of_clients if "PGHOST" in values else {})

    def server(name: str, health: str) -> Supervised:
        service = compose["services"][name]
        command = [local(part) for part in (*service["entrypoint"], *service["command"])]
        settings = {**environment(name), "PREFECT_HOME": str(folder / name / "home")}
        return Supervised([sys.executable, *command[1:]], folder / name, local(health), settings)

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "users.ini").write_text(compose["configs"]["users"]["content"], "utf-8")
    made = Installation(
        postgres,
        buckets,
        server("prefect", "http://127.0.0.1:4200/api/health"),
        server("mlflow", "http://127.0.0.1:5000/health"),
        {k: v for k, v in environment("worker").items() if k != "GPTFLOW_HOME"},
    )
    try:
        postgres.start()
        buckets.start()
        for statement in compose["configs"]["databases"]["content"].splitlines():
            postgres.query(statement)
        creation = compose["services"]["bucket"]
        for _ in range(2):  # as after a restart
            subprocess.run(
                [sys.executable, *creation["entrypoint"][1:], *creation["command"]],
                check=True, env=environment("bucket"),
            )  # fmt: skip
        made.prefect.launch()
        made.mlflow.launch()
        made.prefect.wait()
        made.mlflow.wait()
        yield made
    finally:
        for each in reversed(made.servers.values()):
            each.end()
        postgres.remove()
