"""Sources in a store: what is read from a real S3 server is what is read from a disk."""

import gzip
import json
import random
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from proxy import Proxy
from supervised import Buckets

from gpt_core.artifact import Artifact
from gpt_core.config import CleaningConfig, ReadingConfig, ShardConfig, TokenizerConfig
from gpt_core.data import encode_corpus
from gpt_core.engine import LocalEngine
from gpt_core.errors import DataError, DownloadError
from gpt_core.object_paths import Location, ObjectPath, find_location
from gpt_core.text import (
    clean_corpus,
    is_registered,
    probe_texts,
    read_examples,
    read_texts,
    register_source,
    source_path,
)
from gpt_core.text.corpus import read_documents
from gpt_core.text.sources import named_files
from gpt_core.tokenizers import train_tokenizer

READING = ReadingConfig()


def place(address: str) -> ObjectPath:
    """The object at an address."""
    found = find_location(address)
    assert isinstance(found, ObjectPath)
    return found


def upload(buckets: Buckets, folder: Path, bucket: str, prefix: str) -> None:
    """Put the files of a folder into a bucket."""
    client = buckets.client()
    client.create_bucket(Bucket=bucket)
    for file in folder.rglob("*"):
        if file.is_file():
            key = f"{prefix}/{file.relative_to(folder).as_posix()}"
            client.put_object(Bucket=bucket, Key=key, Body=file.read_bytes())


def write_texts(folder: Path) -> None:
    """Files of every form, with hidden ones among them."""
    draw = random.Random(5)
    words = ["the", "book", "of", "قال", "العلم", "نور", "and", "night"]
    texts = [" ".join(draw.choices(words, k=draw.randrange(5, 60))) for _ in range(120)]
    (folder / "deep" / "deeper").mkdir(parents=True)
    (folder / ".git").mkdir()
    (folder / ".git" / "config.txt").write_text("hidden")
    (folder / "deep" / ".note.txt").write_text("hidden")
    lines = "".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts[:40])
    (folder / "a.jsonl").write_text(lines)
    (folder / "deep" / "b.jsonl.gz").write_bytes(
        gzip.compress(lines.replace("the", "THE").encode())
    )
    packed = pa.Codec("zstd").compress(lines.replace("the", "The").encode(), asbytes=True)
    (folder / "deep" / "c.jsonl.zst").write_bytes(packed)
    (folder / "10.txt").write_text("\n\n".join(texts[40:80]))
    (folder / "2.txt").write_text("\n\n".join(texts[80:]))
    (folder / "deep" / "deeper" / "d.csv").write_text("text,n\n" + "a row,1\nanother,2\n")
    with zipfile.ZipFile(folder / "deep" / "deeper" / "e.zip", "w") as archive:
        archive.writestr("one.txt", "first of the archive\n\nsecond of it")
    (folder / "data").mkdir()
    table = pa.table({"text": [f"row {n} {texts[n]}" for n in range(30)]})
    pq.write_table(table, folder / "data" / "f.parquet", row_group_size=7)
    with (
        pa.OSFile(str(folder / "data" / "g.arrow"), "wb") as file,
        pa.ipc.new_stream(file, table.schema) as writer,
    ):
        writer.write_table(table)
    (folder / "data" / "README.md").write_text("---\nname: card\n---\n")
    (folder / "data" / "state.json").write_text('{"_data_files": [{"filename": "g.arrow"}]}')


@pytest.fixture(scope="module")
def library(buckets: Buckets, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of every form, which are in ``s3://library/books`` too."""
    folder = tmp_path_factory.mktemp("library") / "books"
    write_texts(folder)
    upload(buckets, folder, "library", "books")
    return folder


@pytest.mark.parametrize(
    "rest",
    [
        "", "/10.txt", "/*.txt", "/**", "/**/*.jsonl*", "/de*", "/deep/**/d*", "/*/[bf].*",
        "/deep/?????r/*", "/**/deeper",
    ],
)  # fmt: skip
def test_names_are_those_of_the_files(library: Path, s3: pytest.MonkeyPatch, rest: str) -> None:
    here = named_files(Path(f"{library}{rest}"))
    there = named_files(place(f"s3://library/books{rest}"))
    assert [name for name, _ in there] == [name for name, _ in here] != []
    assert [file.stat().st_size for _, file in there] == [file.stat().st_size for _, file in here]


def test_texts_of_every_form_are_those_of_the_files(library: Path, s3: pytest.MonkeyPatch) -> None:
    here = list(read_texts(library, READING))
    assert list(read_texts(place("s3://library/books"), READING)) == here
    assert len(here) > 200
    at_once = [document.source for document in read_documents(place("s3://library/books"), READING)]
    assert set(at_once) == {"books"}
    cleaning = CleaningConfig()
    assert probe_texts(place("s3://library/books"), READING, cleaning) == probe_texts(
        library, READING, cleaning
    )


def test_a_table_of_boundaries_and_labelled_texts_are_read(
    buckets: Buckets, s3: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "spans.tsv").write_text("char_offset\tchar_length\n0\t3\n4\t3\n")
    (tmp_path / "text.txt").write_text("one two")
    (tmp_path / "sms.csv").write_text("label,text\nham,see you\nspam,win now\n")
    for label in ("good", "bad"):
        (tmp_path / "folder" / label).mkdir(parents=True)
        (tmp_path / "folder" / label / "a.txt").write_text(f"{label} text")
    upload(buckets, tmp_path, "tables", "t")
    reading = ReadingConfig(boundaries="spans.tsv")
    raws = [
        register_source(each, tmp_path / "raw" / name, companion="spans.tsv")
        for name, each in (("s3", place("s3://tables/t/text.txt")), ("disk", tmp_path / "text.txt"))
    ]
    assert raws[0].fingerprint == raws[1].fingerprint
    assert [t for _, t in read_texts(place("s3://tables/t/text.txt"), reading)] == ["one", "two"]
    for name in ("sms.csv", "folder"):
        assert (
            read_examples(place(f"s3://tables/t/{name}")).rows
            == read_examples(tmp_path / name).rows
        )


def pipeline(source: Location, out: Path) -> list[Artifact]:
    """Clean with two workers in parts of a few kilobytes, train a tokenizer and encode."""
    raw = register_source(source, out / "raw")
    cleaning = CleaningConfig(validation_share=0.1, test_share=0.1)
    with LocalEngine(2) as engine:
        corpus = clean_corpus(
            raw, READING, cleaning, out / "corpus", engine=engine, part_bytes=2000
        )
    tokenizer = train_tokenizer(corpus, TokenizerConfig(kind="bpe", vocab_size=300), out / "bpe")
    shards = encode_corpus(corpus, tokenizer, ShardConfig(workers=1), out / "shards")
    return [raw, corpus, tokenizer, shards]


@pytest.mark.long
def test_every_artifact_has_the_bytes_of_that_from_a_disk(
    library: Path, s3: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    here = pipeline(library, tmp_path / "disk")
    there = pipeline(place("s3://library/books"), tmp_path / "s3")
    assert [each.fingerprint for each in there] == [each.fingerprint for each in here]
    for one, other in zip(here, there, strict=True):
        assert one.manifest().files == other.manifest().files
    assert len(here[1].manifest().files) > 10, "the corpus has several parts"


def test_only_what_changed_is_read_again(
    buckets: Buckets, s3: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    client = buckets.client()
    client.create_bucket(Bucket="again")
    for name in ("a", "b", "c"):
        client.put_object(Bucket="again", Key=f"{name}.txt", Body=f"text {name}".encode())
    source, out = place("s3://again"), tmp_path / "raw"
    assert not is_registered(source, out)
    first = register_source(source, out)

    def read() -> int:
        return buckets.log.count("GET /again/")

    before = read()
    assert is_registered(source, out)
    assert register_source(source, out) == first
    assert source_path(first) == source
    assert read() == before
    location = json.loads((out / "location.json").read_text())
    aged = {**location, "recorded": location["recorded"] + 10**12, "tags": {}}
    (out / "location.json").write_text(json.dumps(aged))
    assert is_registered(source, out), "an old object is known by its time"
    (out / "location.json").write_text(json.dumps(location))
    client.put_object(Bucket="again", Key="b.txt", Body=b"TEXT b")
    assert not is_registered(source, out)
    with pytest.raises(DataError, match=r"s3://again/b\.txt has changed since it was recorded"):
        source_path(first)
    before = read()
    second = register_source(source, out)
    assert read() - before == 1
    assert second.fingerprint != first.fingerprint
    client.put_object(Bucket="again", Key="d.txt", Body=b"new")
    with pytest.raises(DataError, match=r"s3://again/d\.txt has changed since it was recorded"):
        source_path(second)
    client.delete_object(Bucket="again", Key="d.txt")
    client.delete_object(Bucket="again", Key="a.txt")
    with pytest.raises(DataError, match=r"s3://again/a\.txt has changed since it was recorded"):
        source_path(second)


def test_what_changes_while_it_is_cleaned_leaves_no_corpus(
    buckets: Buckets, s3: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    client, out = buckets.client(), tmp_path / "corpus"
    client.create_bucket(Bucket="moving")
    texts = "\n\n".join(f"text {n}" for n in range(2000)).encode()
    client.put_object(Bucket="moving", Key="a.txt", Body=texts)
    client.put_object(Bucket="moving", Key="b.txt", Body=texts)
    raw = register_source(place("s3://moving"), tmp_path / "raw")

    def change(unit: str, done: int, total: int | None) -> None:
        client.put_object(Bucket="moving", Key="a.txt", Body=texts.upper())

    with pytest.raises(DataError, match=r"s3://moving/a\.txt (changed while|has changed)"):
        clean_corpus(raw, READING, CleaningConfig(), out, progress=change)
    raw = register_source(place("s3://moving"), tmp_path / "raw")

    def remove(unit: str, done: int, total: int | None) -> None:
        client.delete_object(Bucket="moving", Key="b.txt")

    with pytest.raises(DataError, match=r"s3://moving/b\.txt (is gone|has changed)"):
        clean_corpus(raw, READING, CleaningConfig(), out, progress=remove)
    assert not out.exists()


def test_a_connection_that_is_cut_leaves_nothing(
    buckets: Buckets, s3: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    client = buckets.client()
    client.create_bucket(Bucket="cut")
    body = "\n\n".join(f"text {n}" for n in range(20_000)).encode()
    client.put_object(Bucket="cut", Key="a.txt", Body=body)
    raw = register_source(place("s3://cut/a.txt"), tmp_path / "raw")
    with Proxy(buckets.port).running() as proxy:
        s3.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{proxy.port}")
        proxy.cut_after = 20_000
        with pytest.raises(DownloadError, match=r"s3://cut/a\.txt cannot be used: .* not answer"):
            clean_corpus(raw, READING, CleaningConfig(), tmp_path / "corpus")
        with pytest.raises(DownloadError, match=r"s3://cut/a\.txt cannot be used: .* not answer"):
            register_source(place("s3://cut/a.txt"), tmp_path / "new")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["raw"]


def test_columns_and_slices_are_read_by_ranges(
    buckets: Buckets, s3: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    draw, size = random.Random(6), 1 << 20
    table = pa.table({
        "text": [f"row {n}" for n in range(1000)],
        "other": [draw.randbytes(4096).hex() for _ in range(1000)],
    })  # fmt: skip
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=100, compression="none")
    file = tmp_path / "t.parquet"
    upload(buckets, tmp_path, "ranges", "r")
    with Proxy(buckets.port).running() as proxy:
        s3.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{proxy.port}")
        texts = [text for _, text in read_texts(place("s3://ranges/r/t.parquet"), READING)]
        assert texts == table["text"].to_pylist()
        assert proxy.answered < 2 * size < file.stat().st_size / 3


def test_a_source_that_cannot_be_used_is_one_sentence(
    library: Path, s3: pytest.MonkeyPatch, tmp_path: Path, buckets: Buckets
) -> None:
    buckets.client().put_object(Bucket="library", Key="empty/a.txt", Body=b"")
    for address, says in (
        ("s3://nowhere/a", "there is no bucket 'nowhere'"),
        ("s3://nowhere/*.txt", "there is no bucket 'nowhere'"),
        ("s3://library/none", "s3://library/none does not exist"),
        ("s3://library/books/*.none", r"no object matches s3://library/books/\*\.none"),
        ("s3://library/empty", "s3://library/empty is empty"),
    ):
        with pytest.raises(DataError, match=says):
            register_source(place(address), tmp_path / "raw")
    assert list(tmp_path.iterdir()) == []
