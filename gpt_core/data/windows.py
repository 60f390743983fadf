"""Training samples: sliding windows over the token ids.

Shapes: T context length.
"""

import numpy as np
import torch
from torch import Tensor

from gpt_core.data.shards import ShardReader
from gpt_core.errors import DataError


class SlidingWindowDataset:
    """Sample ``i`` is the T ids from ``i × stride`` on; its targets are shifted by one.

    Args:
        reader: The token shards of one split.
        context_length: T, in tokens.
        stride: Tokens between the starts of two samples; T for no overlap, 1 for every window.

    Raises:
        DataError: If the split has fewer than T + 1 tokens.
    """

    def __init__(self, reader: ShardReader, context_length: int, stride: int | None = None) -> None:
        self.reader = reader
        self.context_length = context_length
        self.stride = stride or context_length
        self.n_samples = (reader.n_tokens - context_length - 1) // self.stride + 1
        if reader.n_tokens < context_length + 1:
            raise DataError(
                f"the {reader.split} text has {reader.n_tokens} tokens, one sample needs "
                f"{context_length + 1}: set model.context_length below it or give more text"
            )

    def __len__(self) -> int:
        return self.n_samples

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Ids and targets of one sample, each of shape (T,).

        Raises:
            IndexError: If there is no such sample.
        """
        if not 0 <= index < self.n_samples:
            raise IndexError(f"there are {self.n_samples} samples, asked for {index}")
        window = torch.from_numpy(self.gather(np.array([index]))[0].astype(np.int64))
        return window[:-1], window[1:]

    def gather(self, indices: np.ndarray) -> np.ndarray:
        """Gather the windows of several samples.

        Args:
            indices: Sample numbers, shape (B,).

        Returns:
            Ids, shape (B, T + 1), read-only.
        """
        return self.reader.gather(indices * self.stride, self.context_length + 1)
