"""The lines that a started server prints, and what it does without."""

import gc
import json
import re
import shlex
import subprocess
import sys
import weakref
from pathlib import Path
from typing import Any

import pytest
from served import ask, serving, within

from gpt_core.__main__ import main
from gpt_core.generation import engine as engines
from gpt_core.serving.models import given_checkpoint
from gpt_core.serving.server import Server
from gpt_core.serving.starting import greeting

ABSENT = ("prefect", "mlflow", "transformers", "pandas", "sklearn", "matplotlib")


def test_the_first_request_that_is_shown_works(checkpoints: dict[str, Path]) -> None:
    for kind, path in checkpoints.items():
        with serving([path]) as server:
            lines = greeting(server.url, server.models.list(), with_key=False)
        assert lines[0] == f"serving at {server.url}/ (Ctrl-C stops)"
        assert lines[1] == f"  {kind}: {kind}, {path}"
        curl, address, option, header, data, body = shlex.split(lines[-1])
        assert (curl, option, data) == ("curl", "-H", "-d")
        assert header == "Content-Type: application/json"
        with serving([path]) as server:
            again = re.sub(r"http://[^/]+", server.url, address)
            assert ask(again, json.loads(body)).status == 200
            shown = greeting(server.url, server.models.list(), with_key=True)[-1]
        assert '-H "Authorization: Bearer $GPTFLOW_SERVE_KEY"' in shown


def test_a_replaced_model_is_freed_without_a_search_for_garbage(
    checkpoints: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    parts: list[weakref.ref[Any]] = []

    class WatchedEngine(engines.Engine):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            parts.extend(map(weakref.ref, (self, self.model, self._cache)))

    monkeypatch.setattr(engines, "Engine", WatchedEngine)
    path = checkpoints["pretrained"]
    with serving([path]) as server:
        body = {"prompt": "a", "max_tokens": 4, "stream": True}
        assert ask(f"{server.url}/v1/completions", body).status == 200
        gc.disable()  # as for the loaded models of a started server
        try:
            server.models.replace(given_checkpoint(path))
            assert within(10, lambda: [part() is None for part in parts[:3]] == [True] * 3)
            assert None not in [part() for part in parts[3:]]
        finally:
            gc.enable()


def test_mistakes_of_the_command_are_a_sentence(
    checkpoints: dict[str, Path], server: Server, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    model = ["serve", "--checkpoint", str(checkpoints["pretrained"])]
    mistakes = {
        "is not a directory": ["serve", "--checkpoint", str(tmp_path / "none")],
        "1 checkpoints and 2 names": [*model, "--name", "a", "--name", "b"],
        "two models have the name 'a'": [*model, *model[1:], "--name", "a", "--name", "a"],
        "stop what listens there, or take another port": [*model, "--port", str(server.port)],
        "slots must be at least 1": [*model, "--slots", "0"],
        "weights must be one of auto": [*model, "--weights", "int3"],
        "the key cannot be read": [*model, "--key-file", str(tmp_path / "none")],
        "other machines reach 0.0.0.0": [*model, "--host", "0.0.0.0", "--port", "0"],
    }
    for sentence, arguments in mistakes.items():
        assert main(arguments) == 2
        error = capsys.readouterr().err
        assert sentence in error
        assert error.count("\n") == 1


def test_a_server_needs_neither_prefect_nor_mlflow(project_root: Path) -> None:
    script = (
        "import sys, gpt_core.serving.starting, gpt_core.generation.engine\n"
        f"print(sorted(set({ABSENT!r}) & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=project_root, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
