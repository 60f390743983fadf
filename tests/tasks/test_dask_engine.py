"""A real Dask cluster makes the artifacts of a single process, also when workers are killed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from supervised import Buckets

from gpt_core.artifact import Artifact, verify
from gpt_core.config import (
    CleaningConfig,
    EngineConfig,
    ReadingConfig,
    ShardConfig,
    TokenizerConfig,
)
from gpt_core.data import encode_corpus
from gpt_core.engine import Engine, run_serially
from gpt_core.errors import ConfigError, DataError
from gpt_core.object_paths import find_location
from gpt_core.text import clean_corpus, register_source
from gpt_core.tokenizers import train_tokenizer
from tasks.dask_engine import DaskEngine, open_cluster
from tasks.engines import open_engine

pytestmark = [
    pytest.mark.long,
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning"),
]
LINES = "".join(
    f"The weaver met {n} {'travellers ' * (n % 9)}on the road.\n\n" for n in range(2000)
)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a scheduler with two workers, each started again when it is killed."""
    from distributed import Client

    folder = tmp_path_factory.mktemp("dask")
    file = folder / "scheduler.json"
    local = ["--host", "127.0.0.1", "--no-dashboard", "--scheduler-file", str(file)]
    own = [*local, "--nworkers", "2", "--nthreads", "1", "--local-directory", str(folder)]
    dask = [sys.executable, "-W", "ignore", "-m", "dask"]
    with (folder / "log").open("w") as log:
        scheduler = subprocess.Popen(
            [*dask, "scheduler", *local, "--port", "0", "--dashboard-address", "127.0.0.1:0"],
            stderr=log,
        )
        workers = subprocess.Popen([*dask, "worker", *own], stderr=log)
        try:
            until = time.monotonic() + 120
            while not file.exists() and time.monotonic() < until:
                time.sleep(0.1)
            with Client(scheduler_file=str(file), timeout=120, set_as_default=False) as client:
                client.wait_for_workers(2, timeout=120)
                address = client.scheduler.address
            yield address
        finally:
            for process in (workers, scheduler):
                process.terminate()
                process.wait(60)


def kill_one(engine: Engine) -> Callable[[str, int, int | None], None]:
    """A progress callback that kills a worker once, after the first part."""
    assert isinstance(engine, DaskEngine)
    pids = processes(engine)

    def progress(unit: str, count: int, total: int | None) -> None:
        if pids:
            os.kill(pids.pop(), signal.SIGKILL)
            pids.clear()

    return progress


def processes(engine: DaskEngine) -> list[int]:
    """The numbers of the workers' processes, when there are two."""
    engine.client.wait_for_workers(2, timeout=120)
    return list(engine.client.run(os.getpid).values())


def make_all(raw: Artifact, folder: Path, engine: Engine, lose: bool) -> list[Artifact]:
    """Documents, a tokenizer and shards; each stage may lose a worker after its first part."""

    def watch() -> Callable[[str, int, int | None], None] | None:
        return kill_one(engine) if lose else None

    corpus = clean_corpus(
        raw, ReadingConfig(), CleaningConfig(min_characters=5), folder / "corpus", engine=engine,
        part_bytes=12_000, progress=watch(),
    )  # fmt: skip
    tokenizer = train_tokenizer(
        corpus, TokenizerConfig(kind="bpe", vocab_size=300), folder / "tokenizer", engine=engine,
        part_bytes=12_000, progress=watch(),
    )  # fmt: skip
    shards = encode_corpus(
        corpus, tokenizer, ShardConfig(tokens_per_shard=4096), folder / "shards", engine=engine,
        progress=watch(),
    )  # fmt: skip
    for each in (corpus, tokenizer, shards):
        verify(each)
    return [corpus, tokenizer, shards]


def hashes(made: list[Artifact]) -> list[dict[str, str]]:
    """The SHA-256 of every file of each artifact."""
    return [{name: entry.sha256 for name, entry in each.manifest().files.items()} for each in made]


def test_workers_read_a_store_themselves(
    buckets: Buckets, s3: pytest.MonkeyPatch, cluster: str, tmp_path: Path
) -> None:
    client = buckets.client()
    client.create_bucket(Bucket="dask")
    client.put_object(Bucket="dask", Key="source.txt", Body=LINES.encode())
    (tmp_path / "source.txt").write_text(LINES, encoding="utf-8")
    made = []
    with open_engine(EngineConfig(kind="dask", address=cluster)) as dask:
        assert isinstance(dask, DaskEngine)
        variables = {name: os.environ[name] for name in os.environ if name.startswith("AWS_")}
        dask.client.run(exec, f"import os; os.environ.update({variables!r})")
        for place, engine in (
            (find_location("s3://dask/source.txt"), dask),
            (tmp_path / "source.txt", run_serially),
        ):
            out = tmp_path / str(len(made))
            raw = register_source(place, out / "raw")
            made.append(hashes(make_all(raw, out, engine, lose=False)))
    assert made[0] == made[1]


def test_a_cluster_that_loses_workers_makes_what_one_process_does(
    cluster: str, tmp_path: Path
) -> None:
    source = tmp_path / "source.txt"
    source.write_text(LINES, encoding="utf-8")
    raw = register_source(source, tmp_path / "raw")
    alone = make_all(raw, tmp_path / "alone", run_serially, lose=False)
    assert len([*(alone[0].directory / "train").iterdir()]) > 9
    assert alone[1].metrics()["counted_parts"] > 9
    assert len([*(alone[2].directory / "train").iterdir()]) > 1
    with open_engine(EngineConfig(kind="dask", address=cluster)) as engine:
        assert isinstance(engine, DaskEngine)
        before = set(processes(engine))
        made = make_all(raw, tmp_path / "cluster", engine, lose=True)
        assert before - set(processes(engine)), "none was killed"
    assert hashes(made) == hashes(alone)
    assert [each.fingerprint for each in made] == [each.fingerprint for each in alone]


@pytest.mark.soak
@pytest.mark.parametrize("workers", [1, 2, 4])
def test_local_workers_make_what_one_process_does(tmp_path: Path, workers: int) -> None:
    source = tmp_path / "source.txt"
    source.write_text(LINES, encoding="utf-8")
    raw = register_source(source, tmp_path / "raw")
    with open_engine(EngineConfig(workers=workers)) as engine:
        made = make_all(raw, tmp_path / "workers", engine, lose=False)
    assert hashes(made) == hashes(make_all(raw, tmp_path / "alone", run_serially, lose=False))


COMMAND = """
import os, signal, sys
from pathlib import Path
from gpt_core.artifact import read_artifact
from gpt_core.config import CleaningConfig, EngineConfig, ReadingConfig
from gpt_core.text import clean_corpus
from tasks.engines import open_engine
folder, address = Path(sys.argv[1]), sys.argv[2]
n_done = 0
def progress(unit, count, total):
    global n_done
    n_done += 1
    if n_done == 6:
        os.kill(os.getpid(), signal.SIGKILL)
with open_engine(EngineConfig(kind="dask", address=address)) as engine:
    clean_corpus(
        read_artifact(folder / "raw"), ReadingConfig(), CleaningConfig(), folder / "corpus",
        engine=engine, part_bytes=12_000, progress=progress,
    )
"""


def test_a_killed_command_leaves_only_the_rest_to_the_cluster(cluster: str, tmp_path: Path) -> None:
    source, out = tmp_path / "source.txt", tmp_path / "corpus"
    source.write_text(LINES, encoding="utf-8")
    raw = register_source(source, tmp_path / "raw")
    clean = partial(clean_corpus, raw, ReadingConfig(), CleaningConfig(), part_bytes=12_000)
    command = [sys.executable, "-W", "ignore", "-c", COMMAND, str(tmp_path), cluster]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert not out.exists()
    kept = {
        path: path.stat().st_mtime_ns for path in tmp_path.glob(".corpus.parts/*/[!.]*/part.json")
    }
    assert len(kept) >= 6
    seen = dict[Path, int]()

    def look(unit: str, count: int, total: int | None) -> None:
        seen.update((path, path.stat().st_mtime_ns) for path in kept)

    with open_cluster(cluster) as engine:
        again = clean(out, engine=engine, progress=look)
    assert seen == kept, "they were not written again"
    assert again.fingerprint == clean(tmp_path / "whole").fingerprint
    assert list(tmp_path.glob(".*")) == []


def test_an_error_of_a_part_is_its_sentence(cluster: str, tmp_path: Path) -> None:
    source = tmp_path / "a.jsonl"
    source.write_text('{"text": "good"}\n' * 300 + "{bad\n", encoding="utf-8")
    raw = register_source(source, tmp_path / "raw")
    with (
        open_cluster(cluster) as engine,
        pytest.raises(DataError, match=r"a.jsonl, line 301: not valid JSON"),
    ):
        clean_corpus(
            raw,
            ReadingConfig(),
            CleaningConfig(),
            tmp_path / "out",
            engine=engine,
            part_bytes=12_000,
        )
    assert not (tmp_path / "out").exists()


def test_a_part_that_ends_its_worker_again_and_again_is_one_sentence(cluster: str) -> None:
    with open_cluster(cluster) as engine:
        with pytest.raises(DataError, match="were lost again and again with the same part"):
            engine(os._exit, [1])
        assert isinstance(engine, DaskEngine)
        assert len(processes(engine)) == 2


class Greedy:
    """An engine whose parts take more memory than there is.

    Args:
        engine: Runs them.
        function: Takes memory for an argument.
        argument: Of which it takes too much.
    """

    def __init__(self, engine: Engine, function: Callable[[Any], Any], argument: object) -> None:
        self._engine, self._function, self._argument = engine, function, argument

    def __call__(self, function: Callable[[Any], Any], parts: Any, **options: Any) -> list[Any]:
        return self._engine(self._function, [self._argument] * len(parts))


@pytest.mark.soak
@pytest.mark.parametrize("kind", ["local", "dask"])
def test_workers_without_memory_are_one_sentence_and_no_artifact(tmp_path: Path, kind: str) -> None:
    """The kernel kills a local worker, Dask one that is beyond its limit."""
    from distributed import LocalCluster

    source = tmp_path / "source.txt"
    source.write_text(LINES, encoding="utf-8")
    raw = register_source(source, tmp_path / "raw")
    sentence = {
        "local": "was ended 3 times, as happens when memory",
        "dask": "give each worker more",
    }
    with ExitStack() as stack:
        config = EngineConfig(workers=2)
        function: Callable[[Any], Any] = os._exit
        argument: object = 9
        if kind == "dask":
            small = LocalCluster(
                n_workers=1, threads_per_worker=1, memory_limit="400MiB", host="127.0.0.1",
                dashboard_address="127.0.0.1:0",
            )  # fmt: skip
            stack.enter_context(small)
            config = EngineConfig(kind="dask", address=small.scheduler_address)
            function, argument = list, range(1 << 26)  # 2 GiB of numbers
        engine = stack.enter_context(open_engine(config))
        with pytest.raises(DataError, match=sentence[kind]):
            clean_corpus(
                raw, ReadingConfig(), CleaningConfig(), tmp_path / "out", part_bytes=80_000,
                engine=Greedy(engine, function, argument),
            )  # fmt: skip
    assert {path.name for path in tmp_path.iterdir()} == {"source.txt", "raw"}


def test_a_worker_of_another_version_is_one_sentence(
    cluster: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.dask_engine.version", lambda package: str(os.getpid()))
    with (
        pytest.raises(
            ConfigError, match=r"the worker tcp://\S+ of .* has gptflow \d+, this command"
        ),
        open_cluster(cluster),
    ):
        pass


def test_a_scheduler_without_workers_is_one_sentence() -> None:
    from distributed import LocalCluster

    with (
        LocalCluster(n_workers=0, host="127.0.0.1", dashboard_address="127.0.0.1:0") as empty,
        pytest.raises(ConfigError, match="has no workers: start some with 'dask worker"),
        open_cluster(empty.scheduler_address),
    ):
        pass


def test_an_address_without_a_scheduler_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.dask_engine._CONNECT_SECONDS", 0.5)
    with (
        pytest.raises(ConfigError, match="no Dask scheduler answers"),
        open_cluster("tcp://127.0.0.1:9"),
    ):
        pass
