"""A worker needs a pool and the package of its type. One that works: ``test_scheduled``."""

import pytest

from flows import worker
from flows.worker import require_package, run_worker
from gpt_core.errors import ConfigError


@pytest.mark.usefixtures("connected")
def test_there_is_no_worker_of_an_unknown_pool() -> None:
    with pytest.raises(ConfigError, match="there is no work pool 'nothing': gptflow deploy makes"):
        run_worker("nothing")


def test_the_package_of_the_type_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    require_package("process")
    require_package("docker")
    monkeypatch.setattr(worker, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="needs prefect-docker: install it with"):
        require_package("docker")
