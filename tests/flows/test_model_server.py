"""``gptflow serve``: registered models by their aliases, mistakes, and the end of a server."""

import re
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from models import language_model, prepare_shards
from served import ask
from waiting import eventually

from gpt_core.config import RunConfig, load_config
from tasks.promotion import named_version, promote
from tasks.tracking import tracked_flow

MISTAKES = [
    (["serve"], r"Missing option '--checkpoint'"),
    (["serve", "--checkpoint", "none"], r"none is not a directory"),
    (["serve", "--checkpoint", "none", "--port", "70000"], r"port must be at most 65535"),
    (["serve", "--checkpoint", "models:/nobody"], r"no model is registered in this home yet"),
    (["serve", "--checkpoint", "a", "--name", "x", "--name", "y"], r"1 checkpoints and 2 names"),
]


def test_a_mistake_is_one_sentence_and_code_2(cli: Any) -> None:
    assert cli.answers_other_than(MISTAKES) == []


@pytest.mark.long
def test_a_better_champion_answers_without_a_restart(
    cli: Any, project_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GPTFLOW_HOME", str(cli.home))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    cli.home.mkdir()
    shards = prepare_shards(cli.home, project_root / "data/samples/text/english.txt")
    worse, better = (language_model(cli.home, shards, f"m-{n}", n) for n in (60.0, 1.0))
    config = load_config(settings=["registry.max_bytes=2000"])
    with tracked_flow("pretrain", RunConfig(name="mine"), {}) as flow:
        flow.note("pretrain", worse)
    promote(named_version("language-model"), config)
    output = tmp_path / "output"
    command = ["serve", "--checkpoint", "models:/language-model@champion", "--port", "0"]
    process = cli.start(*command, "--poll-seconds", "0.2", output=output)
    try:
        url = eventually(lambda: address_in(process, output))
        asked = f"{url}/v1/completions", {"prompt": "In", "max_tokens": 4}
        assert ask(*asked).json["system_fingerprint"] == worse.fingerprint
        with tracked_flow("pretrain", RunConfig(name="mine"), {}) as flow:
            flow.note("pretrain", better)
        assert promote(named_version("language-model"), config).is_champion
        eventually(lambda: ask(*asked).json["system_fingerprint"] == better.fingerprint)
        (model,) = ask(f"{url}/v1/models").json["data"]
        assert (model["id"], model["root"]) == ("language-model", "models:/language-model/2")
    finally:
        process.send_signal(signal.SIGTERM)
        code = process.wait(60)
    assert code == 0, output.read_text()
    assert "language-model is now models:/language-model/2" in output.read_text()
    assert output.read_text().endswith("stopped\n")


def address_in(process: "subprocess.Popen[bytes]", output: Path) -> str | None:
    """The address that a server has printed."""
    assert process.poll() is None, output.read_text()
    found = re.search(r"serving at (http://127\.0\.0\.1:\d+)/", output.read_text())
    return found[1] if found else None
