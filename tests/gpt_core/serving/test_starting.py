"""The lines that a started server prints, and what it does without."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from served import ask, serving

from gpt_core.__main__ import main
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
