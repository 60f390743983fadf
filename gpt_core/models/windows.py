"""Texts that are longer than a classifier's context, read in windows of it.

Shapes: B texts, T tokens of the longest, R windows of all texts, W tokens of a window, K classes.
"""

import torch
from torch import Tensor


def split_windows(token_ids: Tensor, lengths: Tensor, width: int) -> tuple[Tensor, Tensor, Tensor]:
    """Split each text into as few windows as cover it, at equal distances, all of one length.

    Args:
        token_ids: Padded at the end, shape (B, T).
        lengths: Number of tokens before the padding, shape (B,).
        width: W; a text that is not longer is one window.

    Returns:
        The windows, shape (R, W); the number of tokens in each; the index of its text.

    Example:
        >>> ids, lengths = torch.tensor([[1, 2, 3, 4, 5], [6, 7, 0, 0, 0]]), torch.tensor([5, 2])
        >>> split_windows(ids, lengths, 3)[0].tolist()
        [[1, 2, 3], [3, 4, 5], [6, 7, 0]]
    """
    starts, owners, sizes = [], [], []
    for index, length in enumerate(lengths.tolist()):
        n = max(1, -(-length // width))
        starts += [round(i * (length - width) / max(1, n - 1)) if n > 1 else 0 for i in range(n)]
        owners += [index] * n
        sizes += [min(length, width)] * n
    rows = torch.tensor(owners, device=token_ids.device)
    offsets = torch.arange(width, device=token_ids.device)
    columns = torch.tensor(starts, device=token_ids.device)[:, None] + offsets  # (R, W)
    windows = token_ids[rows[:, None], columns.clamp(max=token_ids.size(1) - 1)]
    return windows, torch.tensor(sizes, device=token_ids.device), rows


def mean_by_text(logits: Tensor, texts: Tensor, n_texts: int) -> Tensor:
    """Average the logits of each text's windows.

    Args:
        logits: Shape (R, K).
        texts: Index of each window's text, shape (R,); each text has one at least.
        n_texts: B.

    Returns:
        Shape (B, K).
    """
    sums = logits.new_zeros(n_texts, logits.size(1)).index_add(0, texts, logits)
    return sums / torch.bincount(texts, minlength=n_texts)[:, None]
