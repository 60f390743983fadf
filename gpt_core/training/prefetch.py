"""Prepares the next batch, and copies it to the GPU, while the current one is computed."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from gpt_core.data import Batch, LoaderState, TokenLoader


class Prefetcher:
    """Wraps a loader and prefetches one batch; ``state()`` excludes the prefetched batch.

    Args:
        loader: Makes the batches; nothing else may use it.
        send: Copies a batch to the device; called in a thread.
    """

    def __init__(self, loader: TokenLoader, send: Callable[[Batch], Batch]) -> None:
        self._loader, self._send = loader, send
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="batches")
        self._prefetched: Future[Batch] | None = None
        self._state, self._epoch = loader.state(), loader.epoch
        """The loader's state before the prefetched batch."""

    @property
    def epoch(self) -> float:
        """The loader's epoch, without the prefetched batch."""
        return self._epoch

    def next_batch(self) -> Batch:
        """Return the next batch, on the device, and prefetch the one after it."""
        batch = (self._prefetched or self._thread.submit(self._make)).result()
        self._state, self._epoch = self._loader.state(), self._loader.epoch
        self._prefetched = self._thread.submit(self._make)
        return batch

    def state(self) -> LoaderState:
        """The loader's state, without the prefetched batch."""
        return self._state

    def restore(self, state: LoaderState) -> None:
        """Restore a saved position of the loader.

        Raises:
            CheckpointError: If it was saved for other data or another order.
        """
        self._discard_prefetched()
        self._loader.restore(state)
        self._state, self._epoch = self._loader.state(), self._loader.epoch

    def _make(self) -> Batch:
        return self._send(self._loader.next_batch())

    def _discard_prefetched(self) -> None:
        if self._prefetched is not None:
            self._prefetched.result()
            self._prefetched = None
