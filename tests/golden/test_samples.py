"""The samples' corpus, tokenizer and token shards do not change, nor the loss curve on them.

The values of ``samples.json`` and ``loss.tsv`` name the versions that produced them. After a change
that is meant to alter them, record new ones with ``pytest tests/golden --record``.
"""

import hashlib
import json
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import TypedDict

import numpy as np
import pyarrow
import pytest
import sentencepiece
import torch

from gpt_core.artifact import Artifact
from gpt_core.callbacks import read_records
from gpt_core.config import RunConfig, load_config
from gpt_core.data import ShardReader, encode_corpus
from gpt_core.text import SPLITS, clean_corpus, iter_texts, register_source
from gpt_core.tokenizers import train_tokenizer
from gpt_core.training import pretrain

HERE = Path(__file__).parent
SETTINGS = [
    "training.steps=50", "training.tokens_per_step=1024", "training.micro_batch=4",
    "training.log_every=1", "training.eval_every=50",
    "training.eval_tokens=1024", "training.sample_every=50", "training.save_every=50",
    "compute.device=cpu", "compute.precision=fp32", "compute.stream=fp32",
    "compute.compile=off", "generation.max_new_tokens=1",
]  # fmt: skip
LOSS_TOLERANCE = 1e-4
"""With the kernels of older CPUs (SSE4.1, AVX2) no loss differed by more than 1e-6."""


class Stages(TypedDict):
    """The artifacts on the way from the samples to token shards."""

    corpus: Artifact
    tokenizer: Artifact
    shards: Artifact


@pytest.fixture(scope="module")
def config() -> RunConfig:
    """The preset ``tiny``, with 50 small steps in fp32."""
    return load_config("tiny", settings=SETTINGS)


@pytest.fixture(scope="module")
def stages(
    config: RunConfig, project_root: Path, tmp_path_factory: pytest.TempPathFactory
) -> Stages:
    """The artifacts that the core makes of the samples."""
    folder = tmp_path_factory.mktemp("golden")
    raw = register_source(project_root / "data" / "samples" / "text", folder / "raw")
    corpus = clean_corpus(raw, config.reading, config.cleaning, folder / "corpus")
    tokenizer = train_tokenizer(corpus, config.tokenizer, folder / "tokenizer")
    shards = encode_corpus(corpus, tokenizer, config.shards, folder / "shards")
    return {"corpus": corpus, "tokenizer": tokenizer, "shards": shards}


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Sums in the order of one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def contents(stages: Stages) -> dict[str, str]:
    """Digests of the texts and token ids, whatever the format of the files."""
    found = {}
    for split in SPLITS:
        texts = json.dumps([*iter_texts(stages["corpus"], split)])
        found[f"{split} texts"] = digest(texts.encode())
        reader = ShardReader(stages["shards"].directory, split)
        ids = np.asarray(reader.read(0, reader.n_tokens), dtype="<u4")
        found[f"{split} token ids"] = digest(ids.tobytes())
    return found


def files(stages: Stages) -> dict[str, str]:
    """Digests of the files, which depend on the libraries that write them."""
    patterns = {"corpus": "*.parquet", "tokenizer": "*", "shards": "*/part-*.parquet"}
    return {
        f"{stage}/{file.relative_to(artifact.directory)}": digest(file.read_bytes())
        for stage, artifact in stages.items()
        for file in sorted(artifact.directory.glob(patterns[stage]))
        if file.name != "manifest.json"
    }


def versions() -> dict[str, str]:
    return {"pyarrow": pyarrow.__version__, "sentencepiece": sentencepiece.__version__}


@pytest.fixture
def golden(stages: Stages, request: pytest.FixtureRequest) -> dict[str, dict[str, str]]:
    """The recorded digests."""
    path = HERE / "samples.json"
    if request.config.getoption("--record"):
        made = {"versions": versions(), "contents": contents(stages), "files": files(stages)}
        path.write_text(json.dumps(made, indent=2) + "\n", encoding="utf-8")
    recorded: dict[str, dict[str, str]] = json.loads(path.read_text(encoding="utf-8"))
    return recorded


def test_texts_and_token_ids_are_the_recorded_ones(
    stages: Stages, golden: dict[str, dict[str, str]]
) -> None:
    assert contents(stages) == golden["contents"]


def test_files_are_the_recorded_ones(stages: Stages, golden: dict[str, dict[str, str]]) -> None:
    if versions() != golden["versions"]:
        pytest.skip(f"recorded with {golden['versions']}, installed are {versions()}")
    assert files(stages) == golden["files"]


def test_the_loss_curve_is_the_recorded_one(
    stages: Stages,
    config: RunConfig,
    one_thread: None,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    pretrain(stages["shards"], config.pretrain, tmp_path / "run")
    rows = read_records(tmp_path / "run" / "metrics.jsonl")
    losses = {row["step"]: row["train/loss"] for row in rows if "train/loss" in row}
    path = HERE / "loss.tsv"
    if request.config.getoption("--record"):
        made_by = (
            f"# torch {torch.__version__}, {platform.machine()}, preset tiny, fp32, one thread"
        )
        lines = [f"{step}\t{loss:.6f}" for step, loss in losses.items()]
        path.write_text("\n".join([made_by, "step\tloss", *lines]) + "\n", encoding="utf-8")
    lines = path.read_text(encoding="utf-8").splitlines()[2:]
    recorded = {int(step): float(loss) for step, loss in (line.split("\t") for line in lines)}
    assert losses == pytest.approx(recorded, abs=LOSS_TOLERANCE)
