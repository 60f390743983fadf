"""A store of each kind: a folder, and a bucket of a real S3 server."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from supervised import Buckets

from tasks.store.objects import Objects

BUCKET = "shared"


@pytest.fixture(scope="package")
def buckets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Buckets]:
    server = Buckets(tmp_path_factory.mktemp("buckets"))
    server.start()
    server.client().create_bucket(Bucket=BUCKET)  # type: ignore[attr-defined]
    yield server
    server.end()


@pytest.fixture
def s3(buckets: Buckets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Buckets:
    """The environment of a client of the server, without the files of the machine's user."""
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name, value in buckets.environment_of_clients("me", "word").items():
        monkeypatch.setenv(name, value)
    return buckets


@pytest.fixture(params=["file", "s3"])
def objects(request: pytest.FixtureRequest, tmp_path: Path) -> Objects:
    """An empty store."""
    if request.param == "file":
        folder = tmp_path / "store"
        folder.mkdir()
        return Objects(folder.as_uri())
    request.getfixturevalue("s3")
    return Objects(f"s3://{BUCKET}/{tmp_path.name}")
