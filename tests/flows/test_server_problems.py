"""Every problem with MLflow or Prefect is one sentence, before any server is started."""

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

CANARY = "c4n4ry"
EACH = """
import contextlib, io, json, os, sys
from flows.__main__ import main
results, before = [], dict(os.environ)
for variables, arguments in json.loads(sys.argv[1]):
    os.environ.clear()
    os.environ.update(before | variables)
    out, err, code = io.StringIO(), io.StringIO(), 0
    sys.argv = ["gptflow", *arguments]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as end:
            code = end.code
    results.append([code or 0, out.getvalue(), err.getvalue(), "prefect" in sys.modules])
print(json.dumps(results))
"""
"""Runs commands one after the other, each with variables of its own."""


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        place = self.path.split("/")[1]
        status = int(place) if place.isdigit() else 200
        self.send_response(status)
        self.send_header("Content-Length", "6")
        self.end_headers()
        self.wfile.write(b"<html>")

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def alien() -> Iterator[str]:
    """A server that answers with a page of HTML, and with the status that its path begins with."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.long
def test_addresses_of_something_else_are_one_sentence_each(cli: Any, alien: str) -> None:
    mlflow, prefect = "MLFLOW_TRACKING_URI", "PREFECT_API_URL"
    wrong = alien.replace("//", f"//me:{CANARY}@")
    cases = [
        ({mlflow: f"{wrong}/401"}, "refuses the request (401)"),
        ({mlflow: f"{wrong}/500"}, "answers 500"),
        ({mlflow: f"http://me:{CANARY}@127.0.0.1:port"}, "got 'http://127.0.0.1:port'"),
        ({mlflow: f"http://me:{CANARY}@127.0.0.1:1"}, "does not answer"),
        ({mlflow: f"http://{CANARY}@127.0.0.1:1"}, "a token goes into MLFLOW_TRACKING_TOKEN"),
        ({mlflow: f"gopher://me:{CANARY}@host"}, "gopher://***@host"),
        ({prefect: f"{wrong}/401/api"}, "refuses the request (401)"),
        ({prefect: f"http://me:{CANARY}@127.0.0.1:port/api"}, "got 'http://127.0.0.1:port/api'"),
        ({prefect: f"http://me:{CANARY}@127.0.0.1:1/api"}, "does not answer"),
        ({prefect: f"me:{CANARY}@127.0.0.1:4200"}, "got '127.0.0.1:4200'"),
        ({mlflow: f"{alien}/page"}, "MLFLOW_TRACKING_URI must be the address of MLflow"),
        ({mlflow: f"{alien}/401"}, "refuses the request (401): set MLFLOW_TRACKING_USERNAME"),
        ({mlflow: f"{alien}/500"}, "answers 500"),
        ({mlflow: "http://127.0.0.1:port"}, "must be an address such as http://127.0.0.1:5000"),
        ({mlflow: "gopher://host"}, "must begin with http://, https://, sqlite:///"),
        ({mlflow: "/some/folder"}, "must begin with http://"),
        ({prefect: f"{alien}/page"}, "must be the address of Prefect, which ends with /api"),
        ({prefect: f"{alien}/401/api"}, "refuses the request (401): set PREFECT_API_AUTH_STRING"),
        ({prefect: f"{alien}/500/api"}, "answers 500"),
        ({prefect: "http://127.0.0.1:port/api"}, "must be an address such as"),
        ({prefect: "127.0.0.1:4200"}, "must be an address such as http://127.0.0.1:4200/api"),
    ]
    commands = [[variables, ["prepare"]] for variables, _ in cases]
    commands.append([cases[-1][0], ["up"]])
    done = cli.run_script(EACH.replace("sys.argv[1]", repr(json.dumps(commands))))
    assert done.code == 0, done.err
    for (code, out, err, started), (_, sentence) in zip(
        json.loads(done.out), [*cases, cases[-1]], strict=True
    ):
        assert (code, out, len(err.splitlines())) == (2, "", 1), err
        assert sentence in err
        assert CANARY not in err
        assert not started
    assert not cli.home.exists()


def test_a_database_that_cannot_be_used_is_one_sentence(cli: Any) -> None:
    file = cli.home / "mlflow" / "mlflow.db"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"SQLite format 3\0" + b"\xa5" * 9000)
    assert "is damaged" in cli.run("prepare").user_error()
    file.unlink()
    with closing(sqlite3.connect(file)) as database:
        database.execute("CREATE TABLE alembic_version (version_num TEXT)")
        database.execute("INSERT INTO alembic_version VALUES ('from2031')")
        database.commit()
    assert "newer MLflow (schema from2031)" in cli.run("prepare").user_error()
    assert not (cli.home / ".prefect").exists()
