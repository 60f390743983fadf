"""How long a release of GPT-2's size takes to import, against reading its file and writing a copy.

Run from the checkout: ``python -m benchmarks.importing``. A release of 124M in Hugging Face's form
with random weights and GPT-2's own vocabulary; both in turn, each import in a process of its own,
which says how much memory it took at most.
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.report import DATA, ROOT, publish, timed

TURNS = 9


def main() -> None:
    """Import and copy in turn, print the table and append it to the results."""
    with tempfile.TemporaryDirectory() as name:
        release = write_release(Path(name) / "release")
        weights = release / "model.safetensors"
        size = weights.stat().st_size
        copies, imports, peaks = [], [], []
        for turn in range(TURNS):
            copies.append(timed(lambda: copy(weights, release / "copy")))
            seconds, peak, base = imported(release, Path(name) / f"checkpoint-{turn}")
            imports.append(seconds)
            peaks.append(peak - base)
            shutil.rmtree(Path(name) / f"checkpoint-{turn}")
    ratios = [i / c for i, c in zip(imports, copies, strict=True)]
    rows = [
        "| way | seconds | ratio | target | peak memory / weights | target |",
        "|---|---|---|---|---|---|",
        f"| read and write a copy | {statistics.median(copies):.2f} | | | | |",
        f"| `import_gpt2` | {statistics.median(imports):.2f} | {statistics.median(ratios):.2f} | "
        f"≤ 1.2 | {max(peaks) / size:.2f} | ≤ 1.3 |",
    ]
    how = (
        f"{size / 1e6:.0f} MB of weights, the median of {TURNS} turns; the memory is what came on "
        "top of the imported libraries, mapped pages of the file among it. Both flush to the disk."
    )
    publish("Importing GPT-2", "importing", how, rows)


def write_release(folder: Path) -> Path:
    """A release of 124M with random weights."""
    from functools import partial

    from gpt_core.artifact import new_artifact
    from gpt_core.checkpoints import CheckpointDescription, write_checkpoint
    from gpt_core.config import GPTConfig
    from gpt_core.interop import export_huggingface
    from gpt_core.models import build_model, save_weights
    from gpt_core.tokenizers import GPT2Tokenizer

    shape = GPTConfig(vocab_size=50_257)
    with new_artifact(folder.with_name("model"), kind="checkpoint") as draft:
        write_checkpoint(
            draft,
            CheckpointDescription(kind="pretrained", step=0, model=shape),
            save_weights=partial(save_weights, build_model(shape, seed=0)),
            save_tokenizer=GPT2Tokenizer.from_release(DATA / "gpt2").save,
        )
    export_huggingface(draft.artifact, folder)
    shutil.rmtree(draft.artifact.directory)
    return folder


def copy(source: Path, target: Path) -> None:
    """Read a file and write it again, down to the disk."""
    content = source.read_bytes()
    with target.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    target.unlink()


def imported(release: Path, out: Path) -> tuple[float, int, int]:
    """Seconds of an import in another process, its peak memory, and that before it began."""
    command = [sys.executable, "-m", "benchmarks.importing", str(release), str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    seconds, peak, base = done.stdout.split()
    return float(seconds), int(peak), int(base)


def import_here(release: Path, out: Path) -> None:
    """Import, and print the seconds and the memory in bytes."""
    from gpt_core.interop import import_gpt2

    base = peak_bytes()
    started = time.perf_counter()
    import_gpt2(release, out)
    print(time.perf_counter() - started, peak_bytes(), base)


def peak_bytes() -> int:
    """The most memory that this process had, in bytes."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


if __name__ == "__main__":
    if len(sys.argv) == 3:
        import_here(Path(sys.argv[1]), Path(sys.argv[2]))
    else:
        main()
