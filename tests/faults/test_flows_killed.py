"""Every stage of every flow, killed while it is recorded: the next run leaves nothing open.

The flows run as Prefect flows, with a Prefect server and MLflow's embedded store, in forked
processes. A kill comes at a random moment after the stage's MLflow run was opened.
"""

import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from conftest import ForkServer
from stages import SETTINGS, content_of, write_sources

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]

PRELOADED = """
from tasks.servers import PrefectServer
server = PrefectServer()
server.start()
import torch._dynamo
import flows.running, tasks.stages, tasks.tracking, tasks.tracking.abandoned
import gpt_core.data, gpt_core.evaluation, gpt_core.finetuning, gpt_core.interop
import gpt_core.training, gpt_core.execution.cpu, gpt_core.prediction, matplotlib.figure
server.wait()
"""

RUN = """
from flows.declarations import FLOWS
from flows.running import run_flow
from gpt_core.config import load_config
run_flow(FLOWS[{name!r}], load_config("tiny", settings={settings!r}))
"""

FLOWS = {
    "run": (
        "clean_corpus", "train_tokenizer", "encode_corpus", "pretrain",
        "evaluate_language_model", "fit_baselines", "finetune_classifier",
        "summarize_classifiers", "finetune_instructions",
    ),
    "release": ("export_huggingface",),
    "import-gpt2": ("import_gpt2",),
    "compare-tokenizers": ("measure_tokenizer", "compare_tokenizers"),
    "compare-models": ("run_benchmarks", "compare_models"),
    "classify-table": ("compare_classifiers",),
    "prefer": ("finetune_preferences",),
    "predict": ("predict_file",),
    "anatomy": ("dissect",),
}  # fmt: skip
"""The stages that each flow adds to those of the flows before it, in their order."""

SHORT = ("run",)
"""The flows of the short form."""

ELSEWHERE = {"judge_answers"}
"""Stages that need a server; see ``tests/gpt_core/judging/test_report.py``."""

LONGEST = 120.0  # seconds until a stage has begun

ROUND = 6  # of ``--kills``, for one kill of each stage

OPEN = """
SELECT tags.value FROM runs JOIN tags ON tags.run_uuid = runs.run_uuid
WHERE runs.status = 'RUNNING' AND tags.key = 'stage'
"""

STAGES_MADE = """
SELECT stage.value, made.value, (runs.end_time - runs.start_time) / 1000.0 FROM runs
JOIN tags stage ON stage.run_uuid = runs.run_uuid AND stage.key = 'stage'
JOIN tags made ON made.run_uuid = runs.run_uuid AND made.key = 'artifact'
WHERE runs.status = 'FINISHED'
"""


@dataclass
class Home:
    """A home in which every flow ran once."""

    folder: Path
    forks: ForkServer
    settings: dict[str, list[str]] = field(default_factory=dict)
    made: dict[str, list[Path]] = field(default_factory=dict)
    """The directories that each stage made."""

    seconds: dict[str, float] = field(default_factory=dict)
    content: dict[Path, dict[str, str]] = field(default_factory=dict)

    def code(self, flow: str) -> str:
        return RUN.format(name=flow, settings=self.settings[flow])

    def finish(self, flow: str) -> None:
        """Run a flow to its end, and check that nothing is left of those before."""
        code, text = self.forks.run(self.code(flow))
        assert code == 0, f"{flow}: {text}"
        assert self.ask(OPEN) == [], "a run is open"
        assert self.ask("SELECT status FROM logged_models WHERE status != 2") == []
        hidden = [*(self.folder / "data").rglob(".*")]
        assert [*hidden, *self.folder.rglob("*.part")] == []

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        """Ask MLflow's store; not read-only, because a kill may leave a change to roll back."""
        database = self.folder / "mlflow" / "mlflow.db"
        with closing(sqlite3.connect(database, timeout=60)) as connection:
            return connection.execute(query).fetchall()

    def note(self, flow: str) -> None:
        """Remember what a flow's stages made, and how long it took."""
        for stage, path, seconds in self.ask(STAGES_MADE):
            if stage in FLOWS[flow]:
                inside = Path(path).relative_to(self.folder / "data").parts
                directory = self.folder.joinpath("data", *inside[:2])
                self.made.setdefault(stage, []).append(directory)
                self.seconds[stage] = max(seconds, self.seconds.get(stage, 0.0))
                self.content[directory] = content_of(directory)

    def remove(self, flow: str) -> None:
        """Remove what a flow's stages made, so that they run again."""
        for stage in FLOWS[flow]:
            for directory in self.made[stage]:
                shutil.rmtree(directory, ignore_errors=True)

    def kill_in(self, flow: str, stage: str, rng: random.Random, longest: float) -> bool:
        """Kill a flow within some time of a stage's beginning; False if it has ended before."""
        child = self.forks.start(self.code(flow))
        until = time.monotonic() + LONGEST
        while (stage,) not in (running := self.ask(OPEN)) and is_running(child.pid):
            assert time.monotonic() < until, f"{stage} did not begin: {child.text()}"
            time.sleep(0.01)
        # Those of the process before were closed when this one began.
        assert not is_running(child.pid) or sorted(running) == sorted([(flow,), (stage,)])
        time.sleep(rng.uniform(0.0, longest))
        child.send(signal.SIGKILL)
        return child.wait() == -signal.SIGKILL


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.fixture(scope="module")
def home(
    tmp_path_factory: pytest.TempPathFactory, project_root: Path, kills: int
) -> Iterator[Home]:
    folder = tmp_path_factory.mktemp("flows")
    write_sources(project_root / "data" / "samples", folder)
    home = Home(folder / "home", ForkServer(folder, project_root, PRELOADED))
    given = [
        "name=killed", f"source={folder / 'text.txt'}",
        f"classification.source={folder / 'messages.tsv'}",
        f"instruction.source={folder / 'instructions.json'}",
        *(each for each in SETTINGS if not each.startswith("model.vocab_size")),
    ]  # fmt: skip
    for flow in SHORT if kills < ROUND else FLOWS:
        home.settings[flow] = list(given)
        if flow == "import-gpt2":
            home.settings[flow] = [
                "name=killed",
                f"gpt2.source={home.made['export_huggingface'][0]}",
            ]
        if flow == "compare-tokenizers":
            home.settings[flow].append('comparison.tokenizers=["byte"]')
        if flow == "classify-table":
            home.settings[flow].append('ablation.rows=["head"]')
        if flow == "prefer":
            pairs = [{"prompt": f"{n}", "chosen": "yes", "rejected": f"no {n}"} for n in range(40)]
            (folder / "pairs.json").write_text(json.dumps(pairs), "utf-8")
            tuned = "preference.template=short", "preference.epochs=1"
            home.settings[flow] += [f"preference.source={folder / 'pairs.json'}", *tuned]
        if flow == "predict":
            home.settings[flow] = [
                "name=killed", f"checkpoint={home.made['finetune_classifier'][0]}",
                f"source={folder / 'messages.tsv'}", "predict.part_rows=16",
            ]  # fmt: skip
        checkpoint = next(iter(home.made.get("pretrain", [folder])[0].glob("step-*")), None)
        if flow == "anatomy":
            home.settings[flow] = [
                "name=killed",
                f"checkpoint={checkpoint}",
                "anatomy.text=The mill",
            ]
        if flow == "compare-models":
            home.settings[flow] = [
                "name=killed", f"benchmarks.checkpoints={json.dumps([str(checkpoint)])}",
                f"benchmarks.lambada={folder / 'lambada.jsonl'}", "benchmarks.limit=20",
            ]  # fmt: skip
        home.finish(flow)
        home.note(flow)
    yield home
    home.forks.stop()
    environment = {**os.environ, "GPTFLOW_HOME": str(home.folder)}
    subprocess.run([sys.executable, "-m", "flows", "down"], env=environment, check=True)


def test_a_flow_killed_in_any_stage_is_done_again_and_leaves_nothing_open(
    home: Home, kills: int, count: Callable[[str, int], None]
) -> None:
    rng, done = random.Random(), dict.fromkeys(home.made, 0)
    for _ in range(max(1, kills // ROUND)):
        for flow in home.settings:
            home.remove(flow)
            for stage in FLOWS[flow]:
                longest = home.seconds[stage]
                while not home.kill_in(flow, stage, rng, longest):
                    home.remove(flow)  # it was faster than before
                    longest /= 4
                done[stage] += 1
            home.finish(flow)
            for stage in FLOWS[flow]:
                for directory in home.made[stage]:
                    assert content_of(directory) == home.content[directory], stage
    assert all(done.values()), done
    count("kills of recorded stages: nothing open or hidden after each", sum(done.values()))


def test_every_stage_is_in_a_flow_that_is_killed() -> None:
    import tasks.stages  # noqa: F401  # fills the table
    from tasks.specs import STAGES

    assert {stage for stages in FLOWS.values() for stage in stages} == {*STAGES} - ELSEWHERE
