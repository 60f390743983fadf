"""Fixtures for all tests, and how the tests are distributed over worker processes."""

import gc
import os
import random
import sys
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from supervised import S3_SECRET, Buckets

from gpt_core.cores import usable_cores

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpt_core.artifact import Artifact

ROOT = Path(__file__).resolve().parents[1]

EXPENSIVE_FIXTURES = ("shared_cli", "second_cli", "prefect_api")
"""Tests that share one of these run in the same worker, before the others."""

FIRST_FILE = "test_run.py"
"""The file whose tests see the stages run that other users of ``shared_cli`` find in the cache."""

SLOW_FOLDERS = ("flows", "distributed", "faults", "security", "tasks", "parity", "browser")
"""The tests of these folders start early, so that no worker is left alone with them at the end."""

COUNTED = "counted"
"""The name of a test's property that holds a kind and a number of cases."""

settings.register_profile("gptflow", deadline=None)  # a busy machine is not a failure
settings.load_profile("gptflow")

if "PYTEST_XDIST_WORKER" in os.environ:
    # Spinning threads of several processes on the same cores wait for each other.
    _workers = int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, usable_cores() // _workers)))


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the project's own options."""
    parser.addoption("--kills", type=int, default=2, help="kills of each fault test (default 2)")
    parser.addoption(
        "--fuzz", type=int, default=20, help="cases of each fuzzed reader (default 20)"
    )
    parser.addoption(
        "--seed", type=int, default=0, help="of the random inputs, together with a test's name"
    )
    parser.addoption("--record", action="store_true", help="record the golden values again")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """``-n auto`` starts one worker per core that a container grants.

    The long tests get half as many again: a third of their time they wait for servers.
    """
    cores = usable_cores()
    return cores + cores // 2 if config.option.markexpr.startswith("long") else cores


def pytest_collection() -> None:
    """Collect without garbage collections: what it makes stays until the end."""
    gc.disable()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Group the tests for the workers: by expensive fixture, else by file; the slow ones first.

    Distributed runs take a core for each of their processes, so they are one group as well.
    """
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(_group(item)))
    items.sort(key=_rank)


def pytest_collection_finish() -> None:
    """Leave what the collection has imported out of garbage collections, which take seconds else.

    It is there until the end: modules, and thousands of tests.
    """
    gc.collect()
    gc.freeze()
    gc.enable()


def _group(item: pytest.Item) -> str:
    used = getattr(item, "fixturenames", ())
    shared = next((name for name in EXPENSIVE_FIXTURES if name in used), None)
    if shared is not None or _folder(item) == "distributed":
        return shared or "distributed"
    return item.nodeid.split("::")[0]


def _rank(item: pytest.Item) -> tuple[int, bool]:
    order = (*EXPENSIVE_FIXTURES, *SLOW_FOLDERS)
    places = [order.index(name) for name in (_group(item), _folder(item)) if name in order]
    return min(places, default=len(order)), item.path.name != FIRST_FILE


def _folder(item: pytest.Item) -> str:
    """The folder of a test below ``tests`` or ``gpt_core``."""
    return item.path.relative_to(ROOT).parts[1]


@pytest.fixture(scope="session")
def buckets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Buckets]:
    """An S3 server."""
    server = Buckets(tmp_path_factory.mktemp("s3"))
    server.start()
    yield server
    server.end()


@pytest.fixture
def s3(buckets: Buckets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The environment of a client of the server, without the files of the machine's user."""
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name, value in buckets.environment_of_clients("me", S3_SECRET).items():
        monkeypatch.setenv(name, value)
    return monkeypatch


@pytest.fixture(autouse=True)
def _seed(request: pytest.FixtureRequest) -> None:
    """Give each test its own random inputs, whatever ran before it in the same process."""
    name = f"{request.config.getoption('--seed')} {request.node.nodeid.partition('@')[0]}"
    seed = zlib.crc32(name.encode())
    random.seed(seed)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(seed)


@pytest.fixture(autouse=True, scope="module")
def _tracking_address() -> Iterator[None]:
    """Take back what MLflow writes into the environment: the store of a file's tests is its own."""
    name = "MLFLOW_TRACKING_URI"
    before = os.environ.get(name)
    yield
    os.environ.pop(name, None)
    if before is not None:
        os.environ[name] = before


@pytest.fixture(scope="session")
def kills(request: pytest.FixtureRequest) -> int:
    """How often a run is killed."""
    return int(request.config.getoption("--kills"))


@pytest.fixture(scope="session")
def fuzz_cases(request: pytest.FixtureRequest) -> int:
    """How many cases each fuzzed reader gets."""
    return int(request.config.getoption("--fuzz"))


@pytest.fixture
def count(request: pytest.FixtureRequest) -> "Callable[[str, int], None]":
    """Add cases of a kind, such as ``count("kills", 4)``, to the table at the end of the run."""

    def add(kind: str, cases: int) -> None:
        request.node.user_properties.append((COUNTED, (kind, cases)))

    return add


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how many cases of each kind passed."""
    counts = Counter[str]()
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            if name == COUNTED:
                counts[value[0]] += value[1]
    for kind, cases in sorted(counts.items()):
        terminalreporter.write_line(f"battery: {cases:,} {kind}")


@pytest.fixture(scope="session")
def project_root() -> Path:
    """The root folder of the checkout."""
    return ROOT


@pytest.fixture(scope="session")
def sample_shards(project_root: Path, tmp_path_factory: pytest.TempPathFactory) -> "Artifact":
    """Token shards of the English sample, by the byte tokenizer."""
    from gpt_core.config import CleaningConfig, ReadingConfig, ShardConfig, TokenizerConfig
    from gpt_core.data import encode_corpus
    from gpt_core.text import clean_corpus, register_source
    from gpt_core.tokenizers import train_tokenizer

    folder = tmp_path_factory.mktemp("sample")
    raw = register_source(project_root / "data/samples/text/english.txt", folder / "raw")
    corpus = clean_corpus(raw, ReadingConfig(), CleaningConfig(), folder / "corpus")
    byte = TokenizerConfig(kind="byte", vocab_size=None)
    tokenizer = train_tokenizer(corpus, byte, folder / "tokenizer")
    return encode_corpus(corpus, tokenizer, ShardConfig(workers=1), folder / "shards")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data beside the checkout; its tests are skipped where it is missing."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the real data files are not beside this checkout")
    return folder


@pytest.fixture(scope="session")
def prefect_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Prefect server that the project itself starts and stops."""
    from tasks.servers import PrefectServer, stop_prefect_server

    home = tmp_path_factory.mktemp("prefect")
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("PREFECT_")]:
            patch.delenv(name)
        patch.setenv("GPTFLOW_HOME", str(home))
        server = PrefectServer()
        server.start()
        yield server.wait()
        stop_prefect_server()
