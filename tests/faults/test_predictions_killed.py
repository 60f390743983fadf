"""Predictions of large files: killed in the middle and continued, and in constant memory."""

import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from models import byte_classifier

CODE = """
from pathlib import Path
from gpt_core.artifact import read_artifact
from gpt_core.config import DecodingConfig, PredictionConfig
from gpt_core.prediction import predict_file
folder = Path({folder!r})
config = PredictionConfig(part_rows={part_rows}, batch_size=512, keep=("id",))
report = predict_file(
    read_artifact(folder / "classifier"), read_artifact(folder / "raw"), config,
    DecodingConfig(), Path({out!r}),
)
"""

MEASURED = """
import json, resource
print(json.dumps([report.metrics()["rows_per_second"],
    resource.getrusage(resource.RUSAGE_SELF).ru_maxrss]))
"""

FILES = ("predictions.parquet", "predictions.csv", "report.json")


def write_rows(folder: Path, n: int) -> None:
    """Write a classifier, and a table of short texts with broken rows among them."""
    from gpt_core.text import register_source

    draw = random.Random(n)
    words = [f"word{number}" for number in range(500)]
    with (folder / "rows.csv").open("w", encoding="utf-8") as file:
        file.write("id,text,label\n")
        for number in range(n):
            text = " ".join(draw.choices(words, k=draw.randint(1, 4)))
            broken = number % 1000 == 999
            file.write(f"{number}\n" if broken else f"{number},{text},{draw.choice(LABELS)}\n")
    register_source(folder / "rows.csv", folder / "raw")
    if not (folder / "classifier").is_dir():
        byte_classifier(folder / "classifier")


LABELS = ("ham", "spam")


@pytest.mark.long
@pytest.mark.soak
def test_twenty_thousand_rows_killed_in_the_middle_end_with_the_same_bytes(
    forks: Any, tmp_path: Path, count: Callable[[str, int], None]
) -> None:
    write_rows(tmp_path, 20_000)
    whole, out = tmp_path / "whole", tmp_path / "out"
    codes = [
        CODE.format(folder=str(tmp_path), out=str(each), part_rows=1000) for each in (whole, out)
    ]
    code, text = forks.run(codes[0])
    assert code == 0, text
    for wanted in (3, 9, 15):
        child = forks.start(codes[1])
        until = time.monotonic() + 120
        while len(list(out.glob("step-*/manifest.json"))) < wanted:
            assert time.monotonic() < until, child.text()
            time.sleep(0.005)
        child.send(signal.SIGKILL)
        assert child.wait() == -signal.SIGKILL
    written = {path: path.stat().st_mtime_ns for path in out.glob("step-*/part.parquet")}
    assert 15 <= len(written) < 20
    code, text = forks.run(codes[1])
    assert code == 0, text
    assert [(out / name).read_bytes() for name in FILES] == [
        (whole / name).read_bytes() for name in FILES
    ]
    table = pq.read_table(out / "predictions.parquet")
    assert table["row"].to_pylist() == list(range(20_000))
    assert table["error"].null_count == 20_000 - 20
    assert {path.name for path in out.iterdir()} == {"manifest.json", *FILES}
    count("kills, the same bytes after each", 3)


@pytest.mark.long
@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_a_million_rows_take_no_more_memory_than_a_tenth_of_them(tmp_path: Path) -> None:
    peaks = []
    for n in (100_000, 1_000_000):
        folder = tmp_path / str(n)
        folder.mkdir()
        write_rows(folder, n)
        code = CODE.format(folder=str(folder), out=str(folder / "out"), part_rows=4096)
        done = subprocess.run(
            [sys.executable, "-c", code + MEASURED], capture_output=True, text=True, check=True
        )
        rate, peak = json.loads(done.stdout)
        sys.stdout.write(f"{n:,} rows: {rate:,.0f} rows a second, peak {peak / 1024:,.0f} MB\n")
        peaks.append(peak)
        metadata = pq.read_metadata(folder / "out" / "predictions.parquet")
        assert metadata.num_rows == n
    assert peaks[1] < peaks[0] + 40 * 1024  # ru_maxrss is in KiB on Linux
