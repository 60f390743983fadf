"""Addresses of stores: parsed, opened, and every failure as one sentence, at a real S3 server."""

import time
import urllib.request
from pathlib import Path

import pytest
from http_server import free_port
from proxy import Proxy
from pyarrow.fs import FileSelector
from supervised import S3_SECRET as SECRET
from supervised import Buckets

from gpt_core.errors import ConfigError, DataError, DownloadError
from gpt_core.uris import Uri, open_filesystem, parse_uri, storage_errors

BOUND = 15.0  # seconds


@pytest.fixture(autouse=True, scope="module")
def _book(buckets: Buckets) -> None:
    """An object in a bucket."""
    buckets.client().create_bucket(Bucket="uris")
    buckets.client().put_object(Bucket="uris", Key="a/b c.txt", Body=b"some text")


def read(address: str) -> bytes:
    """The bytes of an object."""
    uri = parse_uri(address)
    files = open_filesystem(uri)
    with storage_errors(uri), files.open_input_file(uri.path) as file:
        content: bytes = file.read()
        return content


@pytest.mark.parametrize(
    ("address", "parsed"),
    [
        ("s3://uris/a/b c.txt", Uri("s3", "uris", "a/b c.txt")),
        ("S3://uris", Uri("s3", "uris", "")),
        ("gs://uris/a/", Uri("gs", "uris", "a")),
        ("file:///a/b%20c.txt", Uri("file", "", "/a/b c.txt")),
        ("file://localhost/a", Uri("file", "", "/a")),
    ],
)
def test_an_address_is_parsed_and_written_as_it_was(address: str, parsed: Uri) -> None:
    assert parse_uri(address) == parsed
    assert parse_uri(str(parsed)) == parsed


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("ftp://uris/a", "begin with s3://, gs://, file://"),
        ("s3:///a", "names no bucket"),
        ("s3://a bucket/a", "names no bucket"),
        ("file://elsewhere/a", "names no file of this machine"),
        (f"s3://me:{SECRET}@uris/a", "has credentials in it"),
        (f"s3://me:ab/{SECRET}@uris/a", "has credentials in it"),
    ],
)
def test_what_is_no_address_is_a_sentence_without_its_password(address: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_uri(address)
    assert says in str(caught.value)
    assert SECRET not in str(caught.value)


def test_an_object_is_read_and_written(s3: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert read("s3://uris/a/b c.txt") == b"some text"
    uri = parse_uri("s3://uris/new/c.bin")
    with storage_errors(uri), open_filesystem(uri).open_output_stream(uri.path) as file:
        file.write(b"\0\1")
    assert read("s3://uris/new/c.bin") == b"\0\1"
    (tmp_path / "a b.txt").write_bytes(b"on a disk")
    assert read((tmp_path / "a b.txt").as_uri()) == b"on a disk"


def test_what_is_not_there_is_a_sentence(s3: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for address in ("s3://uris/none.txt", (tmp_path / "none.txt").as_uri()):
        with pytest.raises(DataError, match=r"none\.txt does not exist"):
            read(address)
    uri = parse_uri("s3://no-such-bucket/a")
    everything = FileSelector("no-such-bucket", recursive=True)
    says = "there is no bucket 'no-such-bucket' at http://127"
    with pytest.raises(DataError, match=says), storage_errors(uri):
        open_filesystem(uri).get_file_info(everything)


def test_missing_and_wrong_credentials_are_a_sentence(
    buckets: Buckets, s3: pytest.MonkeyPatch
) -> None:
    def require_keys(after: str) -> None:
        reset = f"{buckets.address}/moto-api/reset-auth"
        headers = {"Content-Type": "text/plain"}
        urllib.request.urlopen(urllib.request.Request(reset, after.encode(), headers)).close()

    require_keys("0")
    try:
        with pytest.raises(DataError, match="access is denied at http://127") as caught:
            read("s3://uris/a/b c.txt")
        assert SECRET not in str(caught.value)
        s3.delenv("AWS_ACCESS_KEY_ID")
        s3.delenv("AWS_SECRET_ACCESS_KEY")
        begin = time.monotonic()
        with pytest.raises(DataError, match="there are no credentials at http://127"):
            read("s3://uris/a/b c.txt")
        assert time.monotonic() - begin < BOUND
    finally:
        require_keys("inf")


def test_a_server_that_is_away_is_a_sentence_in_time(s3: pytest.MonkeyPatch) -> None:
    s3.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    begin = time.monotonic()
    with pytest.raises(DownloadError, match=r"http://127\.0\.0\.1:\d+ does not answer"):
        read("s3://uris/a/b c.txt")
    assert time.monotonic() - begin < BOUND


@pytest.mark.soak
@pytest.mark.long
def test_a_server_that_hangs_is_a_sentence_in_time(
    buckets: Buckets, s3: pytest.MonkeyPatch
) -> None:
    with Proxy(buckets.port).running() as proxy:
        s3.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{proxy.port}")
        assert read("s3://uris/a/b c.txt") == b"some text"
        proxy.hang()
        begin = time.monotonic()
        with pytest.raises(DownloadError, match="does not answer"):
            read("s3://uris/a/b c.txt")
        assert time.monotonic() - begin < BOUND


@pytest.mark.parametrize(
    "server",
    ["ftp://127.0.0.1", f"http://me:{SECRET}@127.0.0.1", "http://127.0.0.1:1/a", "http://"],
)
def test_a_server_in_the_environment_that_is_none_is_named(
    s3: pytest.MonkeyPatch, server: str
) -> None:
    s3.setenv("AWS_ENDPOINT_URL_S3", server)
    with pytest.raises(ConfigError, match="AWS_ENDPOINT_URL_S3 must be http://HOST:PORT") as caught:
        read("s3://uris/a/b c.txt")
    assert SECRET not in str(caught.value)
