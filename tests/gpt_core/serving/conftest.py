"""One server of a language model, an instruction follower and a classifier for all tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from served import byte_checkpoint, serving

from gpt_core.serving.server import Server

KINDS = ("pretrained", "instruction", "classifier")


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A small checkpoint of each kind, by its kind, which is also its name in a server."""
    folder = tmp_path_factory.mktemp("served")
    return {kind: byte_checkpoint(folder / kind, kind).directory for kind in KINDS}


@pytest.fixture(scope="session")
def server(checkpoints: dict[str, Path]) -> Iterator[Server]:
    """A server of all three, with four slots."""
    with serving(list(checkpoints.values()), slots=4, queue=60, body_seconds=1.0) as server:
        yield server
