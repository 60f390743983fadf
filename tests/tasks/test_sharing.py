"""Homes that share a store: what one has made, the others fetch, whatever happens to the store."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from http_server import free_port
from prefect import flow
from prefect.settings import PREFECT_RESULTS_LOCAL_STORAGE_PATH, temporary_settings
from supervised import Buckets

from gpt_core.artifact import Artifact, verify
from gpt_core.config import (
    CleaningConfig,
    ReadingConfig,
    RunConfig,
    StoreConfig,
    TokenizerConfig,
)
from gpt_core.files import sha256_file
from tasks import stages
from tasks.paths import unpublished_dir
from tasks.progress import Display, use_display
from tasks.sharing import Store, use_store
from tasks.tracking import tracked_flow

Home = Callable[[str], AbstractContextManager[Path]]


class Shown(Display):
    def __init__(self) -> None:
        self.notices: list[str] = []
        self.made: list[str] = []

    def notice(self, message: str) -> None:
        self.notices.append(message)

    def stage_finished(self, stage: str, artifact: Artifact, seconds: float) -> None:
        verify(artifact)
        self.made.append(stage)


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("records")


@pytest.fixture
def home_of(
    prefect_home: Path, records: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Home:
    """Work in the home of one of several machines, with the same records in MLflow."""

    @contextmanager
    def home_of(name: str) -> Iterator[Path]:
        home = tmp_path / "homes" / name
        monkeypatch.setenv("GPTFLOW_HOME", str(home))
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{records / 'mlflow.db'}")
        results = {PREFECT_RESULTS_LOCAL_STORAGE_PATH: home / ".prefect" / "results"}
        with temporary_settings(updates=results):
            yield home

    return home_of


@pytest.fixture
def text(tmp_path: Path) -> Path:
    file = tmp_path / "mine.txt"
    file.write_text("\n\n".join(f"Document number {n} has words." for n in range(60)))
    return file


@pytest.fixture
def folder(tmp_path: Path) -> str:
    (tmp_path / "store").mkdir()
    return (tmp_path / "store").as_uri()


@pytest.fixture(scope="module")
def buckets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Buckets]:
    server = Buckets(tmp_path_factory.mktemp("buckets"))
    server.start()
    server.client().create_bucket(Bucket="shared")  # type: ignore[attr-defined]
    yield server
    server.end()


@flow(name="prepare")
def prepare(source: str, store: str | None) -> tuple[Artifact, Artifact]:
    with tracked_flow("prepare", RunConfig(name="small"), {}), use_store(StoreConfig(uri=store)):
        corpus = stages.clean_corpus(stages.fetch_corpus(source), ReadingConfig(), CleaningConfig())
        byte = TokenizerConfig(kind="byte", vocab_size=None)
        return corpus, stages.train_tokenizer(corpus, byte)


def run(text: Path, store: str | None) -> tuple[tuple[Artifact, Artifact], Shown]:
    display = Shown()
    with use_display(display):
        return prepare(str(text), store), display


def hashes(artifact: Artifact) -> dict[str, str]:
    folder = artifact.directory
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): sha256_file(path) for path in files}


def pending() -> list[str]:
    return sorted(path.name for path in unpublished_dir().glob("*.json"))


def test_a_second_home_makes_nothing(
    home_of: Home, text: Path, folder: str, tmp_path: Path
) -> None:
    with home_of("one") as home:
        made, shown = run(text, None)
        first = [hashes(each) for each in made]
        assert not unpublished_dir().exists()
        again, shown = run(text, folder)  # what the home had before is published too
        assert again == made
        assert shown.made == shown.notices == []
        home.rename(home.with_name("moved"))  # the second home never sees it
    with home_of("two"):
        fetched, shown = run(text, folder)
        assert shown.made == []
        assert [hashes(each) for each in fetched] == first
        assert [each.fingerprint for each in fetched] == [each.fingerprint for each in made]
        assert [notice.partition(":")[0] for notice in shown.notices] == [
            "clean_corpus comes from the store",
            "train_tokenizer comes from the store",
        ]
        again, shown = run(text, folder)
        assert again == fetched
        assert shown.made == shown.notices == pending() == []
    name = first[0]["train.parquet"]
    (altered,) = (tmp_path / "store").glob(f"stages/*/files/{name}")
    altered.write_bytes(bytes(altered.stat().st_size))
    with home_of("three"):
        _, shown = run(text, folder)
        assert "was altered: its sha256 is not the one that was published" in shown.notices[0]
        assert shown.made == ["clean_corpus"]
        assert sha256_file(altered) == name  # published again
        assert pending() == []


@pytest.mark.soak
@pytest.mark.long
def test_a_store_that_is_away_delays_publishing(
    home_of: Home, text: Path, buckets: Buckets, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = "s3://shared/delayed"
    for name, value in buckets.environment_of_clients("me", "word").items():
        monkeypatch.setenv(name, value)
    with home_of("one"), monkeypatch.context() as away:
        away.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
        made, shown = run(text, store)
        assert shown.made == ["clean_corpus", "train_tokenizer"]
        first = [hashes(each) for each in made]
        assert len(shown.notices) == 2
        assert "does not answer" in shown.notices[0]
        assert shown.notices[0].endswith(
            "; the run continues, a later command publishes what it makes"
        )
        assert shown.notices[1] == f"2 results are not in {store} yet: a later command sends them"
        assert len(pending()) == 2
    with home_of("one"):
        Store(store, 60.0).finish()  # as any command does that has the store
        assert pending() == []
    with home_of("two"):
        fetched, shown = run(text, store)
        assert shown.made == []
        assert [hashes(each) for each in fetched] == first
