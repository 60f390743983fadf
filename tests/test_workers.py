"""Tests that share an expensive fixture share a worker process."""

import os

import pytest

IN_WORKER = "PYTEST_XDIST_WORKER" in os.environ


@pytest.mark.xdist_group("named")
def test_the_group_of_a_test_is_known_to_the_scheduler(request: pytest.FixtureRequest) -> None:
    """pytest-xdist tells its scheduler by the node id's end."""
    assert request.node.nodeid.endswith("@named") == IN_WORKER
