"""A run is followed while its log is written and its server is away. See ``test_serving`` too."""

from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID, uuid4

import pytest
from httpx import ConnectError
from prefect.states import Completed, Running
from rich.console import Console

from flows import submitting
from flows.declarations import FLOWS
from flows.forms import to_form
from flows.submitting import _deployed_config, _LogLines, follow
from gpt_core.artifact import to_json_value
from gpt_core.config import load_config
from gpt_core.errors import DataError


class Server:
    """Answers the log's lines as the server does, in the order of their times."""

    def __init__(self) -> None:
        self.lines: list[tuple[float, UUID]] = []

    def read_logs(self, wanted: object, *, limit: int, offset: int, sort: str) -> list[Any]:
        ordered = sorted(self.lines)[offset : offset + limit]
        return [SimpleNamespace(id=id_, message=str(time)) for time, id_ in ordered]


def test_every_line_is_read_once_also_one_that_comes_late() -> None:
    server, read = Server(), list[str]()
    lines = _LogLines(cast("Any", server), uuid4())
    for time in range(450):
        server.lines.append((float(time), uuid4()))
        if time % 97 == 0:
            read += [line.message for line in lines.new()]
    server.lines.append((440.5, uuid4()))
    read += [line.message for line in lines.new()]
    server.lines.append((390.5, uuid4()))
    read += [line.message for line in lines.new()]
    expected = [f"{time:.1f}" for time in range(450)]
    assert sorted(read, key=float) == sorted([*expected, "440.5", "390.5"], key=float)
    assert list(lines.new()) == []


def test_a_run_begins_with_what_its_deployment_says() -> None:
    flow = FLOWS["classify"]
    config = load_config("tiny", settings=["classification.epochs=7"])
    form = to_json_value(to_form(config, flow.form_sections))
    assert _deployed_config(flow, {"config": form}).classification.epochs == 7
    with pytest.raises(DataError, match="classify is not a deployment of gptflow up"):
        _deployed_config(flow, {"checkpoint": "mine"})


class Client:
    """A client whose server is away for the second question."""

    def __init__(self) -> None:
        self.asked = 0

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *error: object) -> None: ...

    def read_flow_run(self, run_id: UUID) -> Any:
        self.asked += 1
        if self.asked == 2:
            raise ConnectError("refused")
        state = Completed() if self.asked > 2 else Running()
        return SimpleNamespace(state=state, total_run_time=timedelta(seconds=90))

    def read_logs(self, wanted: object, **page: object) -> list[Any]:
        if self.asked < 4:
            return []
        return [SimpleNamespace(id=UUID(int=7), message="the [last] line, after the end")]


def test_a_run_is_followed_past_an_absence_of_its_server(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client()
    monkeypatch.setattr(submitting, "get_client", lambda sync_client: client)
    monkeypatch.setattr(submitting, "_POLL_SECONDS", 0.0)
    console = Console(record=True, width=100)
    assert follow(uuid4(), console)
    first, last = console.export_text().splitlines()
    assert first == "the [last] line, after the end"
    assert last.startswith("completed in 90 s")
