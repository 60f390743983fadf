"""Several sequences in one row without padding, as if each had a row of its own.

All layers but attention treat tokens one by one, so they need no padding. Attention is computed
with a row for each sequence: its weights are then block-diagonal, whatever kernel computes them.

Shapes: N tokens of all sequences, S sequences, L tokens of the longest, C width.
"""

from collections.abc import Sequence

import torch
from torch import Tensor


class Packing:
    """The place of each of several sequences in one row.

    Args:
        lengths: Tokens of each sequence, in their order in the row; at least one each.
        device: Device of the row.

    Example:
        >>> Packing([2, 3], torch.device("cpu")).positions
        tensor([0, 1, 0, 1, 2])
    """

    def __init__(self, lengths: Sequence[int], device: torch.device) -> None:
        self.n_sequences, self.longest = len(lengths), max(lengths)
        self.positions = torch.cat([torch.arange(n) for n in lengths]).to(device)
        """The position of each token in its sequence, shape (N,)."""

        starts = torch.arange(self.n_sequences, device=device) * self.longest
        sizes = torch.tensor(lengths, device=device)
        n_tokens = sum(lengths)
        self._slots = starts.repeat_interleave(sizes, output_size=n_tokens) + self.positions

    def unpack(self, x: Tensor) -> Tensor:
        """Give each sequence its row, padded with zeros at the end: (1, N, C) to (S, L, C)."""
        rows = x.new_zeros(self.n_sequences * self.longest, x.size(-1))
        return rows.index_copy(0, self._slots, x[0]).view(self.n_sequences, self.longest, -1)

    def pack(self, x: Tensor) -> Tensor:
        """Put the rows of ``unpack`` one after another again: (S, L, C) to (1, N, C)."""
        return x.flatten(0, 1).index_select(0, self._slots)[None]
