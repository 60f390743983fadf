"""Windows slide over the ids of a split with a stride; targets are shifted by one."""

from pathlib import Path

import numpy as np
import pytest

from gpt_core.data import ShardReader, ShardWriter, SlidingWindowDataset
from gpt_core.errors import DataError


def reader_of(folder: Path, n_tokens: int) -> ShardReader:
    """A split with the ids 0, 1, 2, ..."""
    (folder / "train").mkdir()
    file = folder / "train" / "part-00000.parquet"
    with ShardWriter(file, vocab_size=70_000, eos_id=0, tokenizer_fingerprint="f") as writer:
        writer.write(np.arange(n_tokens))
    return ShardReader(folder, "train")


def test_a_smaller_stride_overlaps_the_windows(tmp_path: Path) -> None:
    windows = SlidingWindowDataset(reader_of(tmp_path, 1000), context_length=8, stride=3)
    assert len(windows) == (1000 - 9) // 3 + 1
    token_ids, targets = windows[2]
    assert token_ids.tolist() == list(range(6, 14))
    assert targets.tolist() == list(range(7, 15))
    with pytest.raises(IndexError, match="asked for 331"):
        windows[331]
    with pytest.raises(IndexError, match="there are 331 samples, asked for -1"):
        windows[-1]


@pytest.mark.parametrize(("n_tokens", "n_samples"), [(9, 1), (16, 1), (17, 2), (24, 2), (25, 3)])
def test_windows_do_not_overlap_by_default(tmp_path: Path, n_tokens: int, n_samples: int) -> None:
    windows = SlidingWindowDataset(reader_of(tmp_path, n_tokens), context_length=8)
    assert len(windows) == n_samples
    last, targets = windows[n_samples - 1]
    assert last.tolist() == list(range(8 * n_samples - 8, 8 * n_samples))
    assert targets.tolist() == list(range(8 * n_samples - 7, 8 * n_samples + 1))


def test_a_split_shorter_than_a_window_raises_a_one_line_error(tmp_path: Path) -> None:
    reader = reader_of(tmp_path, 8)
    with pytest.raises(DataError, match="the train text has 8 tokens, one sample needs 9: set"):
        SlidingWindowDataset(reader, context_length=8)


def test_gathered_windows_are_read_only_rows(tmp_path: Path) -> None:
    windows = SlidingWindowDataset(reader_of(tmp_path, 100), context_length=4, stride=10)
    rows = windows.gather(np.array([2, 0]))
    assert rows.tolist() == [[20, 21, 22, 23, 24], [0, 1, 2, 3, 4]]
    assert not rows.flags.writeable
