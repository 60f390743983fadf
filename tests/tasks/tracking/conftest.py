"""A home with a model registry, shared by the tests of a file."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gpt_core.config import RegistryConfig, RunConfig
from tasks.tracking import FlowRecord, tracked_flow


@pytest.fixture(scope="module")
def registry_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One home for the tests of this file, each of which registers under a name of its own."""
    folder = tmp_path_factory.mktemp("registry")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GPTFLOW_HOME", str(folder))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        yield folder


@pytest.fixture
def flow(registry_home: Path, request: pytest.FixtureRequest) -> Iterator[FlowRecord]:
    """A flow whose models are registered under a name of the test's."""
    prefix = request.node.name[5:30].strip("_")
    with tracked_flow("run", RunConfig(registry=RegistryConfig(name=prefix)), {}) as record:
        yield record
