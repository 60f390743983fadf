"""The log of a run is read while several processes write it. See also ``test_serving``."""

from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID, uuid4

import pytest

from flows.declarations import FLOWS
from flows.forms import to_form
from flows.submitting import _deployed_config, _LogLines
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
