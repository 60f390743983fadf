"""Footers of Parquet files with a changed bit: PyArrow must not abort the process.

An error in the constructor of a column's metadata ends Python itself, which no handler sees. So
the files are read in a process of their own, and its exit code is looked at.
"""

import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

READ = """
import sys
from pathlib import Path
from gpt_core.artifact import Artifact
from gpt_core.config import ReadingConfig
from gpt_core.data.shards import ShardReader
from gpt_core.errors import GPTCoreError
from gpt_core.text import iter_documents, list_row_groups, read_texts

def read_shards(folder):
    ShardReader(folder, "train").read(0, 100)

def read_own_documents(folder):
    artifact = Artifact(kind="any", path=str(folder), fingerprint="0" * 32)
    list_row_groups(artifact, "train")
    list(iter_documents(artifact, "train"))

def read_table(folder):
    list(read_texts(folder / "train.parquet", ReadingConfig()))

folder, read = Path(sys.argv[1]), globals()[sys.argv[2]]
file = folder / sys.argv[3]
body, footer = file.read_bytes()[:int(sys.argv[4])], file.read_bytes()[int(sys.argv[4]):]
for place in map(int, sys.stdin.read().split()):
    changed = bytearray(footer)
    changed[place // 8] ^= 1 << place % 8
    file.write_bytes(body + changed)
    print(place, flush=True)
    try:
        read(folder)
    except GPTCoreError as error:
        assert str(error).isprintable(), repr(error)
file.write_bytes(body + footer)
print("done")
"""


def make_shards(folder: Path) -> Path:
    import torch

    from gpt_core.data.shards import ShardWriter

    (folder / "train").mkdir()
    file = folder / "train/part-00000.parquet"
    with ShardWriter(file, vocab_size=257, eos_id=256, tokenizer_fingerprint="f") as writer:
        writer.write(torch.arange(5000).remainder(257).numpy())
    return file


def make_documents(folder: Path) -> Path:
    from gpt_core.text import Document, DocumentWriter

    with DocumentWriter(folder / "train.parquet") as writer:
        for number in range(9):
            writer.write(Document(f"t#{number}", f"the word {number}", "t"))
    return folder / "train.parquet"


READERS = {
    "shards": (make_shards, "read_shards"),
    "documents": (make_documents, "read_own_documents"),
    "table": (make_documents, "read_table"),
}


@pytest.mark.parametrize("name", READERS)
def test_a_changed_footer_does_not_end_the_process(
    name: str, tmp_path: Path, fuzz_cases: int, count: Callable[[str, int], None]
) -> None:
    make, read = READERS[name]
    file = make(tmp_path)
    content = file.read_bytes()
    begin = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    places = list(range(8 * (thrift_end(content) - begin)))
    random.Random(name).shuffle(places)
    places = places[: 10 * fuzz_cases]
    command = [sys.executable, "-W", "ignore", "-c", READ]
    place = [str(tmp_path), read, file.relative_to(tmp_path).as_posix(), str(begin)]
    done = subprocess.run(
        [*command, *place], input=" ".join(map(str, places)), capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1:] == ["done"], (done.returncode, done.stderr[-500:])
    assert done.returncode == 0
    assert file.read_bytes() == content
    count("fuzzed files", len(places))


def thrift_end(content: bytes) -> int:
    """Where the schemas of Arrow and of the shards begin, which are texts in the footer."""
    keys = (content.rfind(b"gptflow\x18"), content.rfind(b"ARROW:schema"))
    return min(key for key in keys if key > 0)
