"""The next batch is made, and sent to a GPU, while it computes the one before."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from gpt_core.data import Batch, LoaderState, TokenLoader


class Prefetcher:
    """A loader that is one batch ahead of what it says of itself.

    Args:
        loader: Makes the batches; nobody else may use it.
        send: Brings a batch to the device, in a thread.
    """

    def __init__(self, loader: TokenLoader, send: Callable[[Batch], Batch]) -> None:
        self._loader, self._send = loader, send
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="batches")
        self._coming: Future[Batch] | None = None
        self._state, self._epoch = loader.state(), loader.epoch
        """Where the loader stood before the batch that is coming."""

    @property
    def epoch(self) -> float:
        """As of a loader, of the batches that were taken."""
        return self._epoch

    def next_batch(self) -> Batch:
        """The next batch, on the device."""
        batch = (self._coming or self._thread.submit(self._make)).result()
        self._state, self._epoch = self._loader.state(), self._loader.epoch
        self._coming = self._thread.submit(self._make)
        return batch

    def state(self) -> LoaderState:
        """As of a loader, of the batches that were taken."""
        return self._state

    def restore(self, state: LoaderState) -> None:
        """Go on from where a loader stood.

        Raises:
            CheckpointError: If it stood in other data, or in another order.
        """
        self._stop()
        self._loader.restore(state)
        self._state, self._epoch = self._loader.state(), self._loader.epoch

    def _make(self) -> Batch:
        return self._send(self._loader.next_batch())

    def _stop(self) -> None:
        """Drop the batch that is coming."""
        if self._coming is not None:
            self._coming.result()
            self._coming = None
