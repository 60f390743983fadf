"""Every problem with MLflow or Prefect is one sentence, before any server is started."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from http_server import serve_http

CANARY = "c4n4ry"


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
    with serve_http(_Handler) as port:
        yield f"http://127.0.0.1:{port}"


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
    answers = cli.run_several([["prepare"]] * len(cases), [variables for variables, _ in cases])
    answers += cli.run_several([["up"]], [cases[-1][0]])
    for answer, (_, sentence) in zip(answers, [*cases, cases[-1]], strict=True):
        assert sentence in answer.user_error()
        assert answer.out == ""
        assert CANARY not in answer.err
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
