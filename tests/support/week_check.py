"""Whether a week ended as if nothing had happened: states, metrics, results, processes."""

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from mlflow import MlflowClient
from week import STEPS, Site, runs_in_prefect, settings_of, weights_of

_REFERENCE = """
import json, sys
from pathlib import Path
from gpt_core import data, text, tokenizers, training
from gpt_core.callbacks import read_records
from gpt_core.config import load_config
out, made = Path(sys.argv[1]), {}
for number, settings in enumerate(json.load(sys.stdin)):
    config = load_config("tiny", settings=settings)
    if number == 0:
        raw = text.register_source(Path("data/samples/text"), out / "raw")
        corpus = text.clean_corpus(raw, config.reading, config.cleaning, out / "corpus")
        tokenizer = tokenizers.train_tokenizer(corpus, config.tokenizer, out / "tokenizer")
        shards = data.encode_corpus(corpus, tokenizer, config.shards, out / "shards")
    training.pretrain(shards, config.pretrain, out / "data" / "checkpoints" / f"{config.name}-core")
"""
"""Trains the same models by the core alone, in one process that nothing disturbs."""


@dataclass(frozen=True)
class Judged:
    """A run of the week."""

    name: str
    state: str
    starts: int
    seconds: int
    problems: tuple[str, ...]


def train_undisturbed(root: Path, folder: Path, runs: int) -> list[str]:
    """The SHA-256 of the weights of every run, trained by the core alone."""
    import json

    done = subprocess.run(
        [sys.executable, "-c", _REFERENCE, str(folder)], cwd=root, text=True, check=False,
        input=json.dumps([settings_of(number) for number in range(runs)]), capture_output=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [weights_of(folder, number) for number in range(runs)]


def judge(site: Site, undisturbed: Sequence[str]) -> list[Judged]:
    """Judge every run by Prefect, MLflow and its weights."""
    credentials = {k: v for k, v in site.servers.worker.items() if k.startswith("MLFLOW")}
    with mock.patch.dict(os.environ, credentials):
        return _judge(site, MlflowClient(credentials["MLFLOW_TRACKING_URI"]), undisturbed)


def _judge(site: Site, client: MlflowClient, undisturbed: Sequence[str]) -> list[Judged]:
    experiments = [each.experiment_id for each in client.search_experiments()]
    recorded = list(client.search_runs(experiments, max_results=5000))
    judged = []
    rows = {str(row[0]): row for row in runs_in_prefect(site)}
    for number, weights in enumerate(undisturbed):
        name = f"week-{number:02}"
        _, state, starts, seconds = rows.get(name, (name, "missing", 0, 0))
        problems = [] if state == "COMPLETED" else [f"{state} in Prefect"]
        problems += _problems_in_mlflow(client, name, recorded)
        if not weights or weights_of(site.home, number) != weights:
            problems.append("other weights")
        judged.append(Judged(name, str(state), int(str(starts)), int(str(seconds)), (*problems,)))
    return judged


def _problems_in_mlflow(client: MlflowClient, name: str, recorded: list) -> list[str]:  # type: ignore[type-arg]
    """The states and steps of the runs of a name that are not as they should be."""
    own = [run for run in recorded if run.info.run_name.split()[-1] == name]
    problems = [f"{run.info.run_name} RUNNING" for run in own if run.info.status == "RUNNING"]
    for wanted in (name, f"pretrain {name}"):
        states = [run.info.status for run in own if run.info.run_name == wanted]
        if states.count("FINISHED") != 1:
            problems.append(f"{wanted}: {', '.join(states) or 'no run'} in MLflow")
    for run, metric in ((f"pretrain {name}", "train/loss"), (name, "loss/train")):
        problems += _problems_of_steps(client, own, run, metric)
    return problems


def _problems_of_steps(client: MlflowClient, runs: list, name: str, metric: str) -> list[str]:  # type: ignore[type-arg]
    """The steps of which a finished run has no loss, or several."""
    found = [r.info for r in runs if r.info.run_name == name and r.info.status == "FINISHED"]
    if not found:
        return []
    history = client.get_metric_history(found[0].run_id, metric)
    counts = Counter(each.step for each in history)
    missing = sorted(set(range(1, STEPS + 1)) - counts.keys())
    doubled = sorted(step for step, count in counts.items() if count > 1)
    return [
        *([f"{metric} of steps {missing} is missing"] if missing else []),
        *([f"{metric} of steps {doubled} is there twice"] if doubled else []),
    ]


def untrue(site: Site) -> list[str]:
    """Runs that Prefect or MLflow believe to work at this moment, though no process does."""
    try:
        states = site.servers.postgres.query(
            "select r.id::text, r.state_type::text from flow_run r where r.state_type::text in "
            "('RUNNING', 'PENDING', 'CANCELLING')", "prefect",
        )  # fmt: skip
        recorded = site.servers.postgres.query(
            "select t.value from runs r join tags t on t.run_uuid = r.run_uuid where t.key = "
            "'prefect.flow_run' and r.status = 'RUNNING'", "mlflow",
        )  # fmt: skip
    except Exception as error:  # while a server is away
        return [str(error)]
    alive = site.runs_with_a_process()
    wrong = [f"{run} {state} in Prefect" for run, state in states if run not in alive]
    open_runs = {str(row[0]) for row in recorded}
    return wrong + [f"{run} RUNNING in MLflow" for run in sorted(open_runs - alive)]


def seconds_until_true(site: Site, limit: float) -> float:
    """How long it takes until Prefect and MLflow say the truth about every run.

    Raises:
        AssertionError: If they do not within ``limit`` seconds; it names the runs.
    """
    started = time.monotonic()
    while wrong := untrue(site):
        assert time.monotonic() < started + limit, wrong
        time.sleep(1.0)
    return time.monotonic() - started


def orphans(site: Site, seconds: float = 60.0) -> list[str]:
    """The processes of the home that are left after ``gptflow down``, when it had some time."""
    until = time.monotonic() + seconds
    while (pids := site.pids("GPTFLOW_PROCESS")) and time.monotonic() < until:
        time.sleep(0.5)
    shown = []
    for pid in pids:
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue
        shown.append(command.replace(b"\0", b" ").decode(errors="replace")[:200])
    return shown


def table(judged: Sequence[Judged]) -> list[str]:
    """The runs as a table in Markdown."""
    lines = ["| run | in Prefect | starts | done after, s | problems |", "|---|---|---:|---:|---|"]
    return lines + [
        f"| {each.name} | {each.state} | {each.starts} | {each.seconds} "
        f"| {'; '.join(each.problems) or 'none'} |"
        for each in judged
    ]
