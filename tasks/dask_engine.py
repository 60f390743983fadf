"""Run the parts of a stage on the workers of a Dask cluster that is running.

The workers need this version of the project and the folders of its artifacts under the same paths.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, TypeVar

from gpt_core.config import current_limits
from gpt_core.engine import Engine, call_limited
from gpt_core.errors import ConfigError, DataError

if TYPE_CHECKING:
    from distributed import Client

P = TypeVar("P")
R = TypeVar("R")

_CONNECT_SECONDS = 15.0


@contextmanager
def open_cluster(address: str) -> Iterator[Engine]:
    """Connect to a cluster's scheduler until the block ends.

    Args:
        address: The scheduler's address, such as ``tcp://10.0.0.1:8786``.

    Raises:
        ConfigError: If Dask is not installed, nothing answers at the address, or its workers cannot
            run the parts.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise ConfigError(
            "engine.kind=dask needs the package distributed, which is not installed: "
            "pip install 'gptflow[cluster]'"
        ) from error
    try:
        client = Client(  # type: ignore[no-untyped-call]
            address, timeout=_CONNECT_SECONDS, set_as_default=False
        )
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"no Dask scheduler answers at engine.address={address}: start one with 'dask "
            "scheduler' and its workers with 'dask worker', or set engine.kind=local"
        ) from error
    with client:
        _require_workers(client, address)
        yield DaskEngine(client, address)


class DaskEngine:
    """Runs parts on a cluster, which calls the function again for those of a lost worker.

    Args:
        client: A connection to the scheduler.
        address: The scheduler's address, for error messages.
    """

    def __init__(self, client: "Client", address: str) -> None:
        self.client, self._address = client, address

    def __call__(
        self,
        function: Callable[[P], R],
        parts: Sequence[P],
        *,
        done: Callable[[R], None] | None = None,
        threads: bool = False,
    ) -> list[R]:
        """Call the function for each part, see ``Engine``."""
        from distributed.scheduler import KilledWorker

        call = partial(call_limited, current_limits(), function)
        futures = self.client.map(call, parts, pure=False)
        results: list[R] = []
        try:
            for future in futures:
                results.append(future.result())
                if done is not None:
                    done(results[-1])
        except KilledWorker as error:
            raise DataError(
                f"workers of {self._address} were lost again and again with the same part, as "
                "happens when memory runs out: give each worker more memory, or start fewer on a "
                "machine"
            ) from error
        finally:
            self.client.cancel(futures[len(results) :])  # type: ignore[no-untyped-call]
        return results


def _require_workers(client: "Client", address: str) -> None:
    """Refuse a cluster without workers, or with workers of another version."""
    ours = version("gptflow")
    try:
        found = client.run(version, "gptflow", on_error="return")
    except Exception as error:
        raise ConfigError(f"the workers of {address} do not answer: {error}") from error
    if not found:
        raise ConfigError(
            f"the Dask scheduler at engine.address={address} has no workers: start some with "
            f"'dask worker {address}'"
        )
    for worker, theirs in found.items():
        if theirs != ours:
            raise ConfigError(
                f"the worker {worker} of engine.address={address} has "
                f"{'no gptflow' if isinstance(theirs, Exception) else f'gptflow {theirs}'}, this "
                f"command {ours}: install the same version there"
            )
