"""The engine that the settings ask for."""

from collections.abc import Iterator
from contextlib import contextmanager

from gpt_core.config import EngineConfig
from gpt_core.engine import Engine, LocalEngine
from tasks.dask_engine import open_cluster


@contextmanager
def open_engine(config: EngineConfig | None, workers: int = 0) -> Iterator[Engine]:
    """Open an engine for a stage; what it has started ends with the block.

    Args:
        config: The settings; None for the defaults.
        workers: Number of local workers that goes before that of the settings, unless it is 0.

    Raises:
        ConfigError: If a cluster cannot be used.
    """
    config = config or EngineConfig()
    if config.address is not None:
        with open_cluster(config.address) as cluster:
            yield cluster
        return
    with LocalEngine(workers or config.workers) as engine:
        yield engine
