"""Logged checkpoints that MLflow loads, serves and evaluates itself, in processes of their own."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from models import byte_classifier, byte_model

from gpt_core.artifact import Artifact
from gpt_core.checkpoints import read_description
from tasks.processes import HOST, reserve_port
from tasks.tracking import client, registered_checkpoint, tracked_flow
from tasks.tracking.models import log_model
from tasks.tracking.python_function import core_code, requirements, signature_of
from tasks.tracking.registry import model_name, register
from tasks.tracking.store import tracking_uri

LOADED = """
import json, sys
import mlflow, pandas as pd
found = {}
greedy = {"max_tokens": 6, "temperature": 0.0}
for kind, uri in json.loads(sys.argv[1]).items():
    model = mlflow.pyfunc.load_model(uri)
    column = {"classifier": "text", "language": "prompt", "follower": "instruction"}[kind]
    params = None if kind == "classifier" else greedy
    from_list = model.predict(["Once", "upon"], params=params)
    from_table = model.predict(pd.DataFrame({column: ["Once", "upon"]}), params=params)
    as_json = lambda found: found if isinstance(found, list) else found.to_dict("list")
    assert as_json(from_list) == as_json(from_table)
    found[kind] = as_json(from_list)
found["core"] = sys.modules["gpt_core"].__file__
found["others"] = [name for name in ("tasks", "flows", "prefect") if name in sys.modules]
print(json.dumps(found))
"""

WITHOUT_THE_CORE = """
import sys
sys.meta_path = [each for each in sys.meta_path if "ditable" not in repr(each)]
sys.path = [each for each in sys.path if each.rstrip("/") not in ("", ROOT)]
"""

EVALUATED = """
import json, sys
import mlflow
from mlflow.genai.scorers import scorer
uris, experiment = json.loads(sys.argv[1]), sys.argv[2]
mlflow.set_experiment(experiment_id=experiment)

@scorer
def is_text(outputs) -> bool:
    return isinstance(outputs, str)

rows = [{"inputs": {"question": word}, "expectations": {"answer": word}} for word in ("a", "b")]
means = {}
for kind in ("language", "follower", "classifier"):
    model = mlflow.pyfunc.load_model(uris[kind])
    def answer(question):
        if kind == "classifier":
            return model.predict([question])["predicted"][0]
        return model.predict([question], params={"max_tokens": 3})[0]
    result = mlflow.genai.evaluate(data=rows, predict_fn=answer, scorers=[is_text])
    means[kind] = result.metrics["is_text/mean"]
print(json.dumps(means))
"""


@dataclass
class Logged:
    """A home with a registered model of each kind."""

    home: Path
    experiment: str
    checkpoints: dict[str, Artifact]
    ids: dict[str, str]

    def uris(self) -> dict[str, str]:
        return {k: f"models:/{model_name(c)}@candidate" for k, c in self.checkpoints.items()}

    def directory(self, kind: str) -> Path:
        return Path(client().get_logged_model(self.ids[kind]).artifact_location)

    def environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "PREFECT_"))}
        programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        return {
            **kept, "PATH": programs, "MLFLOW_TRACKING_URI": tracking_uri(), "OMP_NUM_THREADS": "1",
            "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false", "MLFLOW_DISABLE_TELEMETRY": "true",
        }  # fmt: skip

    def run(self, script: str, *arguments: str) -> dict[str, Any]:
        """Run a script in a fresh process and another folder; the JSON that it prints last."""
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", script, json.dumps(self.uris()), *arguments],
            cwd=self.home.parent, env=self.environment(), capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-3000:]
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return found


@pytest.fixture(scope="module")
def logged(registry_home: Path) -> Logged:
    folder = registry_home / "data" / "checkpoints"
    made = {
        "classifier": byte_classifier(folder / "classifier"),
        "language": byte_model(folder / "language", 3),
        "follower": byte_model(folder / "follower", 4, "short"),
    }
    from gpt_core.config import RunConfig

    ids = {}
    with tracked_flow("run", RunConfig(), {}) as record:
        for kind, checkpoint in made.items():
            name = model_name(checkpoint)
            ids[kind] = log_model(record.run_id, checkpoint, name, record.experiment)
            register(name, checkpoint, "test", record.run_id, ids[kind], "")
    return Logged(registry_home, record.experiment, made, ids)


def test_a_model_has_no_pickle_no_path_of_this_machine_and_shares_its_large_files(
    logged: Logged,
) -> None:
    for kind, checkpoint in logged.checkpoints.items():
        stored = logged.directory(kind)
        names = {path.relative_to(stored).as_posix() for path in stored.rglob("*")}
        assert {"MLmodel", "gpt_model.py", "gpt_core.zip", "requirements.txt"} <= names
        assert not [name for name in names if name.endswith((".pkl", ".pickle", ".pyc"))]
        text = (stored / "MLmodel").read_text("utf-8")
        assert str(logged.home) not in text
        assert str(Path.cwd()) not in text
        model = yaml.safe_load(text)
        assert model["model_id"] == logged.ids[kind]
        assert model["flavors"]["python_function"]["artifacts"]["checkpoint"]["path"] == "."
        for name in ("model.safetensors", "tokenizer/tokenizer.json"):
            assert (stored / name).samefile(checkpoint.directory / name)
        assert (stored / "gpt_core.zip").samefile(core_code())
        own = [p for p in stored.rglob("*") if p.is_file() and p.stat().st_nlink == 1]
        assert sum(path.stat().st_size for path in own) < 30_000


def test_the_registry_gives_the_checkpoint_alone(logged: Logged) -> None:
    for kind, checkpoint in logged.checkpoints.items():
        assert registered_checkpoint(logged.uris()[kind]).path == checkpoint.path


def test_signatures_name_parameters_with_the_defaults_of_generate(logged: Logged) -> None:
    writes = signature_of(read_description(logged.checkpoints["language"].directory)).to_dict()
    params = {each["name"]: each["default"] for each in json.loads(writes["params"])}
    assert params == {
        "max_tokens": 128, "temperature": 0.8, "top_k": None, "top_p": None, "seed": 1337
    }  # fmt: skip
    classifies = signature_of(read_description(logged.checkpoints["classifier"].directory))
    assert classifies.params is None
    assert [each["name"] for each in classifies.outputs.to_dict()] == [
        "predicted", "probability", "probability_ham", "probability_spam"
    ]  # fmt: skip


def test_requirements_are_versions_that_a_registry_has() -> None:
    named = dict(each.split("==") for each in requirements())
    assert {"torch", "mlflow", "safetensors", "pyarrow"} <= named.keys()
    assert not [version for version in named.values() if "+" in version]


def test_the_code_is_the_same_file_for_the_same_code(logged: Logged) -> None:
    first = core_code()
    content = first.read_bytes()
    with zipfile.ZipFile(first) as archive:
        assert "gpt_core/prediction/prediction.py" in archive.namelist()
    first.unlink()
    assert core_code().read_bytes() == content


@pytest.mark.long
def test_models_predict_in_a_fresh_process_with_and_without_an_installed_core(
    logged: Logged, project_root: Path
) -> None:
    found = logged.run(LOADED)
    assert found.pop("others") == []
    assert found.pop("core").startswith(str(project_root))
    without = logged.run(WITHOUT_THE_CORE.replace("ROOT", repr(str(project_root))) + LOADED)
    assert "gpt_core.zip" in without.pop("core")
    without.pop("others")
    assert without == found
    assert set(found["classifier"]["predicted"]) <= {"ham", "spam"}
    assert len(found["language"]) == len(found["follower"]) == 2


@contextmanager
def served(logged: Logged, kind: str) -> Iterator[str]:
    """``mlflow models serve`` of a model; its address."""
    with reserve_port(0) as reservation:
        port = str(reservation.getsockname()[1])
        command = ["models", "serve", "-m", logged.uris()[kind], "--env-manager", "local"]
        log = logged.home / f"{kind}.log"
        with log.open("wb") as output:
            server = subprocess.Popen(
                [sys.executable, "-W", "ignore", "-m", "mlflow", *command, "-h", HOST, "-p", port],
                cwd=logged.home, env=logged.environment(), stdout=output, stderr=output,
                start_new_session=True,
            )  # fmt: skip
        try:
            until = time.monotonic() + 240
            while not answers(f"http://{HOST}:{port}/ping"):
                assert server.poll() is None, log.read_text()
                assert time.monotonic() < until, log.read_text()
                time.sleep(0.3)
            yield f"http://{HOST}:{port}/invocations"
        finally:
            with suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGKILL)
            server.wait()


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except OSError:
        return False


def post(url: str, body: object) -> tuple[int, Any]:
    request = urllib.request.Request(
        url, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


@pytest.mark.long
@pytest.mark.soak
@pytest.mark.skipif(not hasattr(os, "killpg"), reason="process groups are of POSIX")
def test_mlflow_serves_a_classifier_and_a_follower(logged: Logged) -> None:
    with served(logged, "classifier") as url:
        status, found = post(url, {"inputs": ["hello", "buy now"]})
        assert status == 200
        assert [row.keys() for row in found["predictions"]] == [
            {"predicted", "probability", "probability_ham", "probability_spam"}
        ] * 2
        split = {"columns": ["text"], "data": [["hello"], ["buy now"]]}
        assert post(url, {"dataframe_split": split}) == (200, found)
        status, refused = post(url, {"inputs": ["hello", " "]})
        assert status == 400
        assert "row 1: 'text' must be a text that is not blank" in refused["message"]
    with served(logged, "follower") as url:
        asked = {"dataframe_records": [{"instruction": "Say", "input": "it"}]}
        status, found = post(url, {**asked, "params": {"max_tokens": 3, "temperature": 0.0}})
        assert (status, len(found["predictions"])) == (200, 1)
        status, refused = post(url, {**asked, "params": {"max_tokens": 0}})
        assert (status, "max_tokens must be at least 1" in refused["message"]) == (400, True)


@pytest.mark.long
@pytest.mark.soak
def test_mlflow_evaluates_models_with_a_scorer_of_code(logged: Logged) -> None:
    means = logged.run(EVALUATED, logged.experiment)
    assert means == {"language": 1.0, "follower": 1.0, "classifier": 1.0}
