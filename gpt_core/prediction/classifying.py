"""Texts to the probabilities of a classifier's labels.

Shapes: N texts, R windows, W tokens of a window, K classes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gpt_core.checkpoints import TOKENIZER
from gpt_core.data import encode_texts, pad
from gpt_core.execution import resolve_device
from gpt_core.models import description_with, load_adapted_classifier, load_classifier
from gpt_core.models.windows import split_windows
from gpt_core.tokenizers import load_tokenizer

_BATCH = 64


@dataclass(frozen=True, slots=True)
class Classified:
    """Predictions of a classifier for texts, in their order."""

    probabilities: NDArray[np.float32]
    """Calibrated, shape (N, K)."""

    tokens: list[int]
    """The length of each text."""

    cut: list[int]
    """Tokens at the end of each text that were not read, because it is too long for a model that
    does not read in windows."""


class TextClassifier:
    """A classifier of a checkpoint; its methods change nothing, so that threads may share it.

    Args:
        checkpoint: The checkpoint's directory.
        device: Where it computes; ``auto`` prefers a GPU.
        batch_size: Texts, or windows of a long text, that go through the model at once.
        adapter: The directory of a classifier's adapter for the checkpoint, used without merging.

    Raises:
        CheckpointError: If the checkpoint is damaged or no classifier's, or the adapter does not
            belong to it.
        ConfigError: If the device is not there.
    """

    def __init__(
        self,
        checkpoint: Path,
        device: Literal["auto", "cpu", "cuda", "mps"] = "auto",
        batch_size: int = _BATCH,
        adapter: Path | None = None,
    ) -> None:
        self._device = resolve_device(device)
        self._model, self.labels = (
            load_classifier(checkpoint, self._device)
            if adapter is None
            else load_adapted_classifier(checkpoint, adapter, self._device)
        )
        self._tokenizer = load_tokenizer(checkpoint / TOKENIZER)
        description = description_with(checkpoint, adapter)
        limit = description.max_tokens or self._model.config.context_length
        self._limit = None if description.windows else limit
        self._batch_size = batch_size

    def classify(self, texts: Sequence[str]) -> Classified:
        """Compute the probabilities of the labels.

        Texts of similar length are computed together, so the last bits of a text's probabilities
        may depend on the others.

        Args:
            texts: None of them is blank.
        """
        encoded = encode_texts(texts, self._tokenizer, None)
        tokens = [len(ids) for ids in encoded]
        rows = [ids[: self._limit] for ids in encoded]
        found = np.empty((len(rows), len(self.labels)), dtype=np.float32)
        with torch.inference_mode():
            for batch in self._batches(rows):
                found[batch] = self._probabilities([rows[i] for i in batch]).cpu().numpy()
        cut = [all_ - len(read) for all_, read in zip(tokens, rows, strict=True)]
        return Classified(found, tokens, cut)

    def _batches(self, rows: Sequence[Sequence[int]]) -> Iterator[list[int]]:
        """Indices of rows of similar length, of at most ``batch_size`` windows unless it is one."""
        batch: list[int] = []
        windows = 0
        for index in sorted(range(len(rows)), key=lambda i: len(rows[i])):
            own = self._n_windows(rows[index])
            if batch and windows + own > self._batch_size:
                yield batch
                batch, windows = [], 0
            batch.append(index)
            windows += own
        if batch:
            yield batch

    def _n_windows(self, row: Sequence[int]) -> int:
        width = self._model.window
        return 1 if width is None else max(1, -(-len(row) // width))

    def _probabilities(self, rows: Sequence[Sequence[int]]) -> Tensor:
        """Compute the probabilities of a batch, shape (N, K)."""
        token_ids, lengths = pad(rows, self._tokenizer.pad_id, self._model.pad_to)
        if len(rows) == 1 and self._n_windows(rows[0]) > self._batch_size:
            return self._of_long_text(token_ids, lengths)
        return self._model.probabilities(token_ids.to(self._device), lengths.to(self._device))

    def _of_long_text(self, token_ids: Tensor, lengths: Tensor) -> Tensor:
        """The same as ``probabilities``, with a part of the text's windows at a time."""
        width = self._model.window
        assert width is not None
        windows, sizes, _ = split_windows(token_ids, lengths, width)  # (R, W)
        total = torch.zeros(len(self.labels), device=self._device)
        for start in range(0, len(windows), self._batch_size):
            chosen = slice(start, start + self._batch_size)
            ids, lengths = windows[chosen].to(self._device), sizes[chosen].to(self._device)
            total += self._model(ids, lengths).float().sum(dim=0)
        return (total[None] / len(windows) / self._model.temperature).softmax(dim=-1)
