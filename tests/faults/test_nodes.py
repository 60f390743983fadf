"""Two nodes on 127.0.0.1: one is killed, the other says so, and one node alone ends with the bits.

The short form launches as flows do, without Prefect; the long one runs the SLURM script of a
deployment with ``gptflow`` itself.
"""

import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import TypeAlias

import psutil
import pytest

from gpt_core.artifact import Artifact
from gpt_core.checkpoints import list_steps
from gpt_core.config import load_config
from gpt_core.files import sha256_file
from gpt_core.training import pretrain

SMALL = (
    "compute.device=cpu", "compute.precision=fp32", "model.n_layer=2", "model.n_head=2",
    "model.n_embd=32", "model.context_length=32", "training.steps=400",
    "training.tokens_per_step=256", "training.micro_batch=4", "training.save_every=100",
    "training.eval_every=100", "training.log_every=10", "training.sample_every=400",
    "training.keep_last=9", "training.eval_tokens=512", "generation.max_new_tokens=8",
)  # fmt: skip

NODE = """
import sys
from functools import partial
from pathlib import Path
from gpt_core.artifact import read_artifact
from gpt_core.callbacks import ProgressLines
from gpt_core.config import load_config
from gpt_core.errors import GPTCoreError
from gpt_core.signals import exit_on_sigterm
from tasks.joining import join
from tasks.launch import train
shards, out, *settings = sys.argv[1:]
config = load_config("tiny", settings=settings)
say = partial(print, flush=True)
try:
    with exit_on_sigterm(), join(config, say) as leads:
        if leads:
            lines = [ProgressLines(say)]
            train(read_artifact(Path(shards)), config.pretrain, Path(out), config.launch, lines)
except GPTCoreError as error:
    print(error, file=sys.stderr)
    sys.exit(2)
"""

SECONDS = 300.0  # for one run, on a busy machine
LOST_SECONDS = 20
Process: TypeAlias = "subprocess.Popen[str]"


def meeting(port: int) -> list[str]:
    return [
        "launch.nodes=2", f"launch.rendezvous=127.0.0.1:{port}", "launch.join_seconds=120",
        f"launch.lost_seconds={LOST_SECONDS}",
    ]  # fmt: skip


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


def environment(home: Path) -> dict[str, str]:
    threads = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    return {**os.environ, **threads, "GPTFLOW_HOME": str(home)}


def wait_for(process: Process, words: str) -> None:
    assert process.stdout is not None
    until = time.monotonic() + SECONDS
    for line in process.stdout:
        assert time.monotonic() < until
        if re.search(words, line):
            return
    raise AssertionError(f"{words} was not printed: {process.communicate()[1]}")


def kill_all(process: Process) -> None:
    """Kill a node with its processes, before one can notice the end of another."""
    everything = [*psutil.Process(process.pid).children(recursive=True), process]
    for each in everything:
        os.kill(each.pid, signal.SIGSTOP)
    for each in everything:
        os.kill(each.pid, signal.SIGKILL)
    process.communicate()


def require_sentence(process: Process, words: str) -> str:
    """A node that has lost another ends in time, with exit code 2 and one sentence."""
    started = time.monotonic()
    _, said = process.communicate(timeout=SECONDS)
    assert process.returncode == 2, said
    last = said.strip().splitlines()[-1]
    assert re.search(words, last), said
    assert "Traceback" not in said
    assert time.monotonic() - started < LOST_SECONDS + 60
    return last


def weights(out: Path) -> str:
    newest = list_steps(out)[0]
    assert newest.name == "step-00000400"
    return sha256_file(newest / "model.safetensors")


def losses(out: Path) -> dict[int, tuple[float | None, float | None]]:
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return {row["step"]: (row.get("train/loss"), row.get("validation/loss")) for row in rows}


@pytest.mark.long
def test_a_killed_node_is_named_and_one_node_continues_to_the_same_bits(
    sample_shards: Artifact, project_root: Path, tmp_path: Path
) -> None:
    whole, out = tmp_path / "whole", tmp_path / "out"
    config = load_config("tiny", settings=SMALL).pretrain
    pretrain(sample_shards, config, whole)

    command = [sys.executable, "-c", NODE, sample_shards.path, str(out), *SMALL]
    first, other = start_two(command, tmp_path, project_root)
    wait_for(first, r"step 1[1-9]0 of 400")
    kill_all(other)
    said = require_sentence(
        first, r"^node 1 \(.*\) was lost: .* resumes from the newest checkpoint"
    )
    assert "or with launch.nodes=1 on one" in said
    assert list_steps(out)[0].name >= "step-00000100"

    pretrain(sample_shards, config, out)
    assert losses(out) == losses(whole)
    assert weights(out) == weights(whole)


def start_two(command: list[str], home: Path, root: Path) -> tuple[Process, Process]:
    """Start the same command on two nodes, the first one a moment earlier."""

    def started() -> Process:
        return subprocess.Popen(
            [*command, *where], cwd=root, text=True, env=environment(home),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    where = meeting(free_port())
    first = started()
    wait_for(first, "the first of 2 nodes")
    return first, started()


DEPLOYMENT = """
[[deployment]]
name = "two"
flow = "pretrain"
settings = SETTINGS
cluster = { type = "slurm", nodes = 2, home = "HOME", port = PORT }
"""

SRUN = """#!/bin/bash
# Starts the command on two nodes of this machine, as srun does on two machines.
shift
"$@" 2>&1 & "$@" 2>&1 &
wait -n; one=$?; wait -n; exit $((one > $? ? one : $?))
"""

FLOW_RUNS = """
SELECT COUNT(*) FROM runs WHERE run_uuid NOT IN (
    SELECT run_uuid FROM tags WHERE key = 'mlflow.parentRunId')
"""


class Cluster:
    """A home with the SLURM script that ``gptflow deploy`` writes, and programs that run it here.

    Args:
        home: The folder that the nodes share.
    """

    def __init__(self, home: Path, root: Path) -> None:
        self.home, self._root, self._port = home, root, free_port()
        programs = home / "bin"
        programs.mkdir(parents=True)
        for name, content in {"srun": SRUN, "scontrol": "#!/bin/sh\necho 127.0.0.1\n"}.items():
            (programs / name).write_text(content)
            (programs / name).chmod(0o755)
        path = f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}"
        self._environment = {**environment(home), "PATH": path, "SLURM_JOB_NODELIST": "here"}
        source = f"source={root / 'data/samples/text/english.txt'}"
        self.settings = [source, "tokenizer.kind=byte", "tokenizer.vocab_size=none", *SMALL]
        text = DEPLOYMENT.replace("SETTINGS", json.dumps(self.settings))
        text = text.replace("HOME", str(home)).replace("PORT", str(self._port))
        (home / "deployments.toml").write_text(text)
        answer = self.gptflow("deploy", str(home / "deployments.toml"))
        assert f"sbatch {home}/jobs/pretrain-two.sbatch" in answer

    def start(self) -> Process:
        script = self.home / "jobs/pretrain-two.sbatch"
        return subprocess.Popen(
            ["bash", str(script)], env=self._environment, text=True, stdout=subprocess.PIPE
        )

    def gptflow(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "flows", *arguments], env=self._environment, cwd=self._root,
            text=True, capture_output=True, check=False, timeout=SECONDS,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def nodes(self, script: Process) -> tuple[psutil.Process, psutil.Process]:
        """The first node and the other one."""
        below = psutil.Process(script.pid).children(recursive=True)
        both = [p for p in below if "gptflow" in {Path(each).name for each in p.cmdline()[:2]}]
        assert len(both) == 2
        listening = [
            any(c.laddr.port == self._port and c.status == "LISTEN" for c in p.net_connections())
            for p in both
        ]
        assert sorted(listening) == [False, True]
        return both[listening.index(True)], both[listening.index(False)]

    def out(self) -> Path:
        (found,) = (self.home / "data/checkpoints").glob("tiny-*")
        return found

    def wait_for_a_checkpoint(self, script: Process) -> None:
        """Wait until the run that has begun saves its next checkpoint."""
        before = self.newest()
        until = time.monotonic() + SECONDS
        while self.newest() == before:
            assert script.poll() is None, script.communicate()[0]
            assert time.monotonic() < until
            time.sleep(0.05)

    def newest(self) -> str:
        """The name of the newest checkpoint, empty if there is none."""
        found = (self.home / "data/checkpoints").glob("tiny-*/step-*/manifest.json")
        return max((path.parent.name for path in found), default="")

    def flow_runs(self) -> int:
        with closing(sqlite3.connect(self.home / "mlflow/mlflow.db")) as database:
            count: int = database.execute(FLOW_RUNS).fetchone()[0]
        return count


@pytest.mark.long
@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_the_script_of_a_deployment_trains_on_two_nodes_and_either_may_be_killed(
    project_root: Path, tmp_path: Path
) -> None:
    whole, killed = (Cluster(tmp_path / name, project_root) for name in ("whole", "killed"))
    try:
        script = whole.start()
        said, _ = script.communicate(timeout=SECONDS)
        assert script.returncode == 0, said
        assert "the run has ended: the first node has its results and records" in said
        assert whole.flow_runs() == 1, "one node records"

        sentences = ("^gptflow: node 1 .* was lost", "^gptflow: the first node .* was lost")
        for number, sentence in enumerate(sentences):
            script = killed.start()
            killed.wait_for_a_checkpoint(script)
            victim = killed.nodes(script)[1 - number]
            os.kill(victim.pid, signal.SIGKILL)
            said, _ = script.communicate(timeout=SECONDS)
            assert re.search(sentence, said, re.M), said
            assert "Traceback" not in said
        killed.gptflow("pretrain", *killed.settings)
        assert losses(killed.out()) == losses(whole.out())
        assert weights(killed.out()) == weights(whole.out())
    finally:
        for each in (whole, killed):
            each.gptflow("down")
