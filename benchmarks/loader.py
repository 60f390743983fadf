"""Speed of making batches and size of the ids on disk, against nanoGPT's ``get_batch``.

Run from the checkout: ``python -m benchmarks.loader``. Both read the same 50 million random ids: we
from our Parquet shards, nanoGPT from a flat file of 16-bit ids. Its ``get_batch`` is rewritten
here: it maps the file, draws the starts, and stacks a converted slice for each row, twice.
"""

import statistics
import tempfile
from pathlib import Path

import numpy as np
import torch

from benchmarks.report import in_turn, publish, timed
from gpt_core.config import LoaderConfig
from gpt_core.data import ShardReader, ShardWriter, TokenLoader

N_TOKENS, VOCABULARY = 50_000_000, 50_257
SHAPES = ((64, 256), (12, 64), (12, 1024))
TURN = 64  # batches; our order is computed for this many at once, so that it is counted as well
TURNS = 40


def main() -> None:
    """Measure, print the table and append it to the results."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        token_ids = np.random.default_rng(0).integers(0, VOCABULARY, N_TOKENS).astype(np.uint16)
        token_ids.tofile(folder / "train.bin")
        for n_files in (1, 16):
            write_shards(folder / str(n_files), token_ids, n_files)
        how = f"Median of {TURNS} turns of {TURN} batches, ours and nanoGPT's in turn; all ids are "
        publish(
            "Shards and loader",
            "loader",
            f"{how}in the page cache.",
            [*speeds(folder), "", *sizes(folder)],
        )


def write_shards(directory: Path, token_ids: np.ndarray, n_files: int) -> None:
    """The ids in our format."""
    (directory / "train").mkdir(parents=True)
    for number, part in enumerate(np.array_split(token_ids, n_files)):
        file = directory / "train" / f"part-{number:05d}.parquet"
        with ShardWriter(
            file, vocab_size=VOCABULARY, eos_id=50_256, tokenizer_fingerprint="random"
        ) as writer:
            writer.write(part)


def speeds(folder: Path) -> list[str]:
    """The table of batches."""
    lines = [
        "| a batch of | shards | ours | nanoGPT `get_batch` | nanoGPT / ours | target |",
        "|---|---|---|---|---|---|",
    ]
    for B, T in SHAPES:
        for n_files in (1, 16):
            loader = loader_of(folder / str(n_files), B, T)
            ours, peer = (
                statistics.median(seconds) / TURN
                for seconds in in_turn(
                    TURNS,
                    lambda loader=loader: [loader.next_batch() for _ in range(TURN)],
                    lambda B=B, T=T: [get_batch(folder / "train.bin", B, T) for _ in range(TURN)],
                )
            )
            target = "≥ 20" if SHAPES[0] == (B, T) else ""
            lines.append(
                f"| {B} × {T} | {n_files} | {ours * 1e6:.0f} µs | {peer * 1e6:.0f} µs | "
                f"{peer / ours:.1f} | {target} |"
            )
    return lines


def sizes(folder: Path) -> list[str]:
    """The table of bytes, of resuming at a position, and of checking all ids."""
    directory = folder / "16"
    n_bytes = sum(file.stat().st_size for file in (directory / "train").iterdir())
    reader = ShardReader(directory, "train")
    seconds = statistics.median(timed(lambda: resume(directory)) for _ in range(TURNS))
    return [
        "| what | ours | nanoGPT | target |",
        "|---|---|---|---|",
        f"| bytes a token on disk | {n_bytes / N_TOKENS:.4f} | "
        f"{(folder / 'train.bin').stat().st_size / N_TOKENS:.4f} | 2.00 |",
        f"| open 16 shards, resume at sample 10¹² and make a batch | {seconds * 1e3:.1f} ms | does "
        "not | < 50 ms |",
        f"| compare all {N_TOKENS:,} ids with their hashes | {timed(reader.verify):.2f} s | does "
        "not | |",
    ]


def loader_of(directory: Path, B: int, T: int, position: int = 0) -> TokenLoader:
    """Our loader with windows that overlap by half, in keyed order."""
    reader = ShardReader(directory, "train")
    config = LoaderConfig(stride=T // 2)
    return TokenLoader(reader, context_length=T, batch_size=B, config=config, position=position)


def resume(directory: Path) -> None:
    """The first batch after a restart."""
    loader_of(directory, *SHAPES[0], position=10**12).next_batch()


def get_batch(file: Path, B: int, T: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A batch as nanoGPT makes it, with random starts that are not recorded."""
    data = np.memmap(file, dtype=np.uint16, mode="r")
    starts = torch.randint(len(data) - T, (B,))
    token_ids = [torch.from_numpy(data[i : i + T].astype(np.int64)) for i in starts]
    targets = [torch.from_numpy(data[i + 1 : i + 1 + T].astype(np.int64)) for i in starts]
    return torch.stack(token_ids), torch.stack(targets)


if __name__ == "__main__":
    main()
