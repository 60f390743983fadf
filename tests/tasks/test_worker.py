"""One rank of a run: it writes its events, its error and nothing about Prefect or MLflow."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gpt_core.artifact import Artifact, to_json_value
from gpt_core.config import current_limits, load_config
from gpt_core.files import read_json, write_json
from tasks.events import read_events

SETTINGS = [
    "model.n_layer=1", "model.n_head=2", "model.n_embd=16", "model.context_length=16",
    "training.steps=2", "training.tokens_per_step=64", "training.micro_batch=4",
    "training.log_every=1", "training.eval_every=2", "training.save_every=2",
    "training.sample_every=2", "generation.max_new_tokens=4", "schedule.warmup_steps=1",
]  # fmt: skip
RANK_0 = {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "OMP_NUM_THREADS": "1"}
SCRIPT = """
import sys
from pathlib import Path
from tasks.worker import main
code = main(Path(sys.argv[1]))
print(*[name for name in ("prefect", "mlflow.tracking") if name in sys.modules])
raise SystemExit(code)
"""


@pytest.fixture
def folder(tmp_path: Path, sample_shards: Artifact) -> Path:
    request = {
        "shards": sample_shards.path,
        "config": to_json_value(load_config("tiny", settings=SETTINGS).pretrain),
        "out_dir": str(tmp_path / "run"),
        "launch": {"processes": 1, "strategy": "auto"},
        "limits": to_json_value(current_limits()),
    }
    write_json(tmp_path / "request.json", request)
    return tmp_path


def work(folder: Path, root: Path) -> "subprocess.CompletedProcess[str]":
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(folder)],
        env={**os.environ, **RANK_0}, cwd=root, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stderr is not None
        out, err = process.stdout.read(), process.stderr.read()
    return subprocess.CompletedProcess([], process.returncode, out, err)


def test_rank_0_trains_and_writes_its_events(folder: Path, project_root: Path) -> None:
    done = work(folder, project_root)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ""
    events = list(read_events(folder / "events.jsonl", lambda: True))
    steps = [(event[0], event[1]) for event in events if isinstance(event, list)]
    assert steps[0][0] == "start"
    assert steps[-1] == ("end", 2)
    assert {step for name, step in steps if name == "metrics"} == {1, 2}
    assert not list(folder.glob("error-*.json"))


def test_a_users_mistake_is_written_down_and_exits_with_2(folder: Path, project_root: Path) -> None:
    request = read_json(folder / "request.json")
    (folder / "request.json").write_text(json.dumps({**request, "shards": str(folder)}))
    done = work(folder, project_root)
    assert done.returncode == 2, done.stderr
    error = read_json(folder / "error-0.json")
    assert error["kind"] == "DataError"
    assert str(folder) in error["message"]
