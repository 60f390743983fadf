"""Machines with one bucket: one is lost in its training, another ends it, a third makes nothing.

Every machine is a home of its own with its own servers; the bucket is a real S3 server.
"""

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from supervised import Buckets

from gpt_core.files import sha256_file

pytestmark = [pytest.mark.long, pytest.mark.soak]

SETTINGS = (
    "training.steps=90",
    "training.log_every=1",
    "training.eval_every=30",
    "training.sample_every=90",
    "training.save_every=10",
    "model.dropout=0.1",
)
STORE = ("store.uri=s3://shared/gptflow", "store.lease_seconds=3")
LOST_AT = 30


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Buckets]:
    """A bucket, and the environment of every command in it."""
    server = Buckets(tmp_path_factory.mktemp("buckets"))
    server.start()
    server.client().create_bucket(Bucket="shared")  # type: ignore[attr-defined]
    with pytest.MonkeyPatch.context() as patch:
        for name, value in server.environment_of_clients("me", "word").items():
            patch.setenv(name, value)
        yield server
    server.end()


@pytest.fixture(scope="module")
def machine(
    tmp_path_factory: pytest.TempPathFactory, module_cli: Any, bucket: Buckets
) -> Iterator[Any]:
    """Makes machines by their names."""
    made: dict[str, Any] = {}

    def machine(name: str) -> Any:
        if name not in made:
            made[name] = type(module_cli)(tmp_path_factory.mktemp(name), module_cli.root)
        return made[name]

    yield machine
    for each in made.values():
        each.run("down")


@pytest.fixture(scope="module")
def lost(machine: Any, bucket: Buckets, small: list[str]) -> Any:
    """A machine that was lost in its training."""
    cli = machine("lost")
    process = cli.start("pretrain", *small, *SETTINGS, *STORE, output=cli.home / "log")
    until = time.monotonic() + 300
    while newest_in(bucket) < LOST_AT:
        assert process.poll() is None, (cli.home / "log").read_text()
        assert time.monotonic() < until
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not list(cli.home.glob("data/checkpoints/*/step-00000090"))
    return cli


@pytest.fixture(scope="module")
def successor(lost: Any, machine: Any, small: list[str]) -> tuple[Any, str]:
    """The machine that ends the training, and what it says."""
    cli = machine("successor")
    answer = cli.run("pretrain", *small, *SETTINGS, *STORE)
    assert answer.code == 0, answer.out + answer.err
    return cli, answer.out


def newest_in(bucket: Buckets) -> int:
    """The step of the newest checkpoint in the bucket."""
    contents = bucket.contents("shared")
    records = [content for key, content in contents.items() if key.endswith("/training.json")]
    artifacts = [each for record in records for each in json.loads(record)["record"]["artifacts"]]
    return max((int(each["folder"].removeprefix("step-")) for each in artifacts), default=0)


def hashes(cli: Any, kind: str) -> dict[str, str]:
    """The hashes of the files of a kind of artifact, without manifests: they have the timings."""
    (folder,) = (cli.home / "data" / kind).glob("small-*")
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "manifest.json"]
    return {str(path.relative_to(folder)): sha256_file(path) for path in files}


def losses(cli: Any) -> dict[int, tuple[object, object]]:
    (file,) = cli.home.glob("data/checkpoints/small-*/metrics.jsonl")
    rows = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    found: dict[int, dict[str, object]] = {}
    for row in rows:
        found.setdefault(row["step"], {}).update(row)
    return {
        step: (row.get("train/loss"), row.get("validation/loss")) for step, row in found.items()
    }


def test_another_machine_ends_the_training_with_the_same_bits(
    successor: tuple[Any, str], machine: Any, small: list[str]
) -> None:
    cli, out = successor
    for stage in ("clean_corpus", "train_tokenizer", "encode_corpus"):
        assert f"{stage} comes from the store" in out
    assert "is at pretrain: waiting for its result, or its end" in out
    assert "pretrain continues with the store's checkpoint of step" in out
    undisturbed = machine("undisturbed")
    answer = undisturbed.run("pretrain", *small, *SETTINGS)
    assert answer.code == 0, answer.out + answer.err
    weights = [
        next(each.home.glob("data/checkpoints/small-*/step-00000090/model.safetensors"))
        for each in (cli, undisturbed)
    ]
    assert sha256_file(weights[0]) == sha256_file(weights[1])
    assert losses(cli) == losses(undisturbed)
    assert sorted(losses(cli)) == list(range(1, 91))


def test_a_third_machine_makes_nothing(
    successor: tuple[Any, str], machine: Any, small: list[str]
) -> None:
    third = machine("third")
    answer = third.run("pretrain", *small, *SETTINGS, *STORE)
    assert answer.code == 0, answer.out + answer.err
    for stage in ("clean_corpus", "train_tokenizer", "encode_corpus", "pretrain"):
        assert f"{stage} comes from the store" in answer.out
        assert f"✓ {stage} (there already)" in answer.out
    for kind in ("corpora", "tokenizers", "shards"):
        assert hashes(third, kind) == hashes(successor[0], kind)
    fetched = hashes(third, "checkpoints")
    assert {name for name in fetched if name.startswith("step-")} != set()
    ours = hashes(successor[0], "checkpoints")
    kept = [name for name in fetched if name.startswith(("step-", "metrics", "samples"))]
    assert {name: fetched[name] for name in kept} == {name: ours[name] for name in kept}


def test_the_lost_machine_has_the_result_when_it_is_back(
    successor: tuple[Any, str], lost: Any, small: list[str]
) -> None:
    answer = lost.run("pretrain", *small, *SETTINGS, *STORE)
    assert answer.code == 0, answer.out + answer.err
    assert "pretrain comes from the store" in answer.out
    assert not list((lost.home / "data" / "unpublished").glob("*.json"))
    assert Path(lost.home / "data" / "unpublished" / "home.txt").is_file()
