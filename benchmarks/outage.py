"""Speed of a pretraining while Prefect's or MLflow's server is away, in one run.

Run from the checkout: ``python -m benchmarks.outage [ROUNDS [SECONDS]]``. Both servers are reached
through proxies, which refuse connections or accept them and answer nothing. Each such period lies
between two in which both servers answer, so that other work of the machine is in both: the median
of the ratios of the speeds is what an outage costs.
"""

import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.report import ROOT, publish

sys.path.insert(0, str(ROOT / "tests" / "support"))

ROUNDS, SECONDS = 4, 12.0
PAUSE_SECONDS = 1.0  # after a change, which is not measured
SETTINGS = (
    "name=outage",
    "model.n_layer=2",
    "model.n_embd=64",
    "model.n_head=2",
    "model.context_length=64",
    "training.tokens_per_step=1024",
    "training.micro_batch=16",
    "training.steps=20000",
    "training.log_every=1",
    "training.eval_every=20000",
    "training.sample_every=20000",
    "training.save_every=20000",
)


def main() -> None:
    """Measure, print the table and append it to the results."""
    rounds = int(sys.argv[1]) if sys.argv[1:] else ROUNDS
    seconds = float(sys.argv[2]) if sys.argv[2:] else SECONDS
    with tempfile.TemporaryDirectory() as name, training(Path(name)) as (file, outages):
        rates = {name: alternate(file, *each, rounds, seconds) for name, each in outages.items()}
    how = (
        f"Preset tiny on one thread; {rounds} periods of {seconds:.0f} s of each outage, each "
        "between two of the same length with both servers. The load is that of other work."
    )
    publish("Training while a server is away", "outage", how, table(rates))


def alternate(
    file: Path, begin: Callable[[], None], end: Callable[[], None], rounds: int, seconds: float
) -> list[tuple[float, float]]:
    """The steps a second during each outage, and the mean of those before and after it."""
    before, pairs = rate(file, seconds), []
    for _ in range(rounds):
        begin()
        during = rate(file, seconds)
        end()
        after = rate(file, seconds)
        pairs.append((during, (before + after) / 2))
        before = after
    return pairs


def rate(file: Path, seconds: float) -> float:
    """The steps that a training does in a second."""
    time.sleep(PAUSE_SECONDS)
    first, started = lines(file), time.monotonic()
    time.sleep(seconds)
    return (lines(file) - first) / (time.monotonic() - started)


def lines(file: Path) -> int:
    """How many steps a training has recorded."""
    return file.read_bytes().count(b"\n")


def table(rates: dict[str, list[tuple[float, float]]]) -> list[str]:
    """The rates and their ratios."""
    rows = [
        "| outage | steps/s | without | ratio, median | each | target |",
        "|---|---|---|---|---|---|",
    ]
    for name, pairs in rates.items():
        ratios = [during / normal for during, normal in pairs]
        during, normal = (statistics.median(each) for each in zip(*pairs, strict=True))
        each = ", ".join(f"{ratio:.2f}" for ratio in ratios)
        middle = statistics.median(ratios)
        rows.append(f"| {name} | {during:.1f} | {normal:.1f} | {middle:.1%} | {each} | ≥ 95 % |")
    return rows


def servers(folder: Path, prefect_port: int, mlflow_port: int) -> tuple[Any, Any]:
    """Prefect's and MLflow's server, not started."""
    from supervised import Supervised, python

    own = {"PREFECT_HOME": str(folder / "prefect"), "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
    store = f"sqlite:///{folder / 'mlflow.db'}"
    prefect = Supervised(
        python("prefect", "server", "start", "--port", str(prefect_port), "--no-ui"),
        folder / "p", f"http://127.0.0.1:{prefect_port}/api/health", own,
    )  # fmt: skip
    mlflow = Supervised(
        python("mlflow", "server", "--port", str(mlflow_port), "--workers", "1",
               "--backend-store-uri", store, "--artifacts-destination", str(folder / "artifacts")),
        folder / "m", f"http://127.0.0.1:{mlflow_port}/health",
    )  # fmt: skip
    return prefect, mlflow


@contextmanager
def training(folder: Path) -> Iterator[tuple[Path, dict[str, tuple[Callable[[], None], ...]]]]:
    """A pretraining with both servers behind proxies: its metrics file, and the outages."""
    import supervised
    import waiting
    from http_server import free_port
    from proxy import Proxy
    from supervised import python
    from waiting import eventually

    supervised._STARTUP_SECONDS = waiting.PATIENCE_SECONDS = 600.0  # on a machine with other work
    ports = free_port(), free_port()
    with ExitStack() as stack:
        for server in servers(folder, *ports):
            stack.callback(server.kill)
            server.start()
        between = [stack.enter_context(Proxy(port).running()) for port in ports]
        variables = {
            "PREFECT_API_URL": f"http://127.0.0.1:{between[0].port}/api",
            "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{between[1].port}",
            "GPTFLOW_HOME": str(folder / "home"), "OMP_NUM_THREADS": "1",
        }  # fmt: skip
        time.sleep(15.0)  # a server that has just started answers slowly
        command = python("flows", "pretrain", *SETTINGS)
        with (folder / "output").open("wb") as output:
            run = subprocess.Popen(
                command, cwd=ROOT, env={**os.environ, **variables}, stdout=output,
                stderr=subprocess.STDOUT,
            )  # fmt: skip
        stack.callback(run.wait)
        stack.callback(run.send_signal, signal.SIGKILL)
        pattern = "home/data/checkpoints/outage-*/metrics.jsonl"
        file = eventually(lambda: next(folder.glob(pattern), None))
        eventually(lambda: lines(file) > 20)
        outages = {
            f"{name} {how}": (getattr(each, method), each.forward)
            for name, each in zip(("Prefect", "MLflow"), between, strict=True)
            for how, method in (("refuses", "refuse"), ("hangs", "hang"))
        }
        yield file, outages
        assert run.poll() is None, (folder / "output").read_text("utf-8")


if __name__ == "__main__":
    main()
