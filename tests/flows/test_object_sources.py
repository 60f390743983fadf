"""Flows read texts and tables from a real S3 server, and say before they start what is wrong."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from http_server import free_port
from supervised import S3_SECRET, Buckets

from flows.declarations import FLOWS
from flows.plan import plan_stages
from flows.preflight import check_flow
from flows.sizes import data_sizes
from gpt_core.config import RunConfig, load_config
from gpt_core.errors import ConfigError, DataError, GPTCoreError
from tasks.reads import Source
from tasks.sources import fetch_source

Planned = Callable[..., list[str]]
JUDGE = ("judge.url=http://127.0.0.1:9/v1", "judge.model=a")
TEXT = b"\n\n".join(b"The weaver met %d travellers on the road." % n for n in range(300))


@pytest.fixture(scope="module", autouse=True)
def _objects(buckets: Buckets, project_root: Path) -> None:
    client, samples = buckets.client(), project_root / "data" / "samples"
    client.create_bucket(Bucket="flows")
    client.put_object(Bucket="flows", Key="books/a.txt", Body=TEXT)
    client.put_object(Bucket="flows", Key="books/b.txt", Body=TEXT.upper())
    for name in ("messages.tsv", "instructions.json", "preferences.json"):
        client.put_object(Bucket="flows", Key=name, Body=(samples / name).read_bytes())


def configured(*settings: str) -> RunConfig:
    """The settings of a small run."""
    return load_config("tiny", settings=settings)


def refusal(flow: str, *settings: str) -> str:
    """The sentence by which a flow is refused."""
    with pytest.raises(GPTCoreError) as caught:
        check_flow(FLOWS[flow], configured(*settings))
    return str(caught.value)


def test_what_cannot_be_read_is_one_sentence_before_anything_starts(
    home: Path, s3: pytest.MonkeyPatch
) -> None:
    for flow, settings, says in (
        ("prepare", ["source=s3://nowhere/a.txt"], "no bucket 'nowhere' at http://127.0.0.1"),
        ("prepare", ["source=s3://flows/none.txt"], "s3://flows/none.txt does not exist"),
        ("prepare", ["source=s3://flows/*.none"], "no object matches s3://flows/*.none"),
        ("prepare", ["source=ftp://flows/a.txt"], "begin with s3://, gs://, file://"),
        ("prepare", [f"source=s3://me:{S3_SECRET}@flows/a.txt"], "has credentials in it"),
        ("prepare", ["source=file:///no/such/file"], "is neither a file or folder"),
        ("judge", ["judge.answers=s3://flows/a.jsonl", *JUDGE], "is read from a disk"),
        ("instruct", ["instruction.source=s3://flows/books"], "is a folder"),
    ):
        found = refusal(flow, *settings)
        assert says in found, (settings, found)
        assert S3_SECRET not in found
    s3.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    begin = time.monotonic()
    assert "does not answer" in refusal("prepare", "source=s3://flows/books")
    assert time.monotonic() - begin < 15
    assert not home.exists() or not list(home.rglob("*.json"))


def test_a_source_is_planned_as_a_download_until_it_is_registered(
    home: Path, s3: pytest.MonkeyPatch
) -> None:
    config = configured("source=s3://flows/books/*.txt")
    check_flow(FLOWS["prepare"], config)
    first, *others = plan_stages(FLOWS["prepare"], config)
    assert first.name == "fetch s3://flows/books/*.txt"
    assert first.state == f"to fetch, {2 * len(TEXT):,} bytes"
    assert "2 files" in dict(data_sizes(FLOWS["prepare"], config, others))["source"]
    raw = fetch_source(Source("s3://flows/books/*.txt"))
    assert raw.directory.is_relative_to(home / "data" / "raw")
    stages = plan_stages(FLOWS["prepare"], config)
    assert [stage.name for stage in stages] == ["clean_corpus", "train_tokenizer", "encode_corpus"]
    folder = home / "books"
    folder.mkdir()
    (folder / "a.txt").write_bytes(TEXT)
    here = fetch_source(Source((folder / "a.txt").as_uri()))
    assert here.fingerprint == fetch_source(Source("s3://flows/books/a.txt")).fingerprint


def test_tables_of_fine_tunes_are_checked_in_a_store(home: Path, s3: pytest.MonkeyPatch) -> None:
    for flow, setting in (
        ("classify", "classification.source=s3://flows/messages.tsv"),
        ("instruct", "instruction.source=s3://flows/instructions.json"),
        ("prefer", "preference.source=s3://flows/preferences.json"),
    ):
        config = configured(setting)
        if flow != "prefer":
            check_flow(FLOWS[flow], config)
        fetch_source(Source(setting.partition("=")[2], "text"))
    with pytest.raises(DataError, match=r"s3://flows/messages\.tsv has no column .absent."):
        check_flow(
            FLOWS["classify"],
            configured(
                "classification.source=s3://flows/messages.tsv",
                "classification.text_column=absent",
                "classification.label_column=neither",
            ),
        )  # fmt: skip
    with pytest.raises(ConfigError, match="is read from a disk"):
        fetch_source(Source("s3://flows/messages.tsv", "prediction"))
