"""Objects are used as files are: compared with the same bytes on a disk, at a real S3 server."""

import pickle
import random
from pathlib import Path

import pytest
from supervised import Buckets

from gpt_core.errors import ConfigError, DataError
from gpt_core.object_paths import (
    ObjectPath,
    ObjectStream,
    find_location,
    list_objects,
    relative_path,
)

SIZE = 300_000  # bytes, more than the first requests


@pytest.fixture(scope="module")
def content(buckets: Buckets) -> bytes:
    """Random bytes, as the object ``s3://paths/a/b/bytes.bin``."""
    found = random.Random(3).randbytes(SIZE)
    client = buckets.client()
    client.create_bucket(Bucket="paths")
    client.put_object(Bucket="paths", Key="a/b/bytes.bin", Body=found)
    client.put_object(Bucket="paths", Key="a/empty.tar.gz", Body=b"")
    return found


def place(address: str) -> ObjectPath:
    """The object at an address."""
    found = find_location(address)
    assert isinstance(found, ObjectPath)
    return found


def test_names_are_those_of_a_path() -> None:
    there, here = place("s3://paths/a/b.x/c.tar.gz"), Path("/paths/a/b.x/c.tar.gz")
    for name in ("name", "stem", "suffix"):
        assert getattr(there, name) == getattr(here, name)
    assert str(there.parent) == "s3://paths/a/b.x"
    assert list(map(str, there.parents)) == ["s3://paths/a/b.x", "s3://paths/a", "s3://paths"]
    assert there.parent / "d.txt" == place("s3://paths/a/b.x/d.txt")
    assert relative_path(there, place("s3://paths/a")) == here.relative_to("/paths/a")
    assert place("s3://paths").name == "paths"
    assert place("s3://paths").parent == place("s3://paths")
    assert find_location("file:///a/b%20c") == Path("/a/b c")
    with pytest.raises(ConfigError, match="begin with s3://"):
        find_location("https://host/a")


def test_files_and_folders_differ(content: bytes, s3: pytest.MonkeyPatch) -> None:
    file, folder = place("s3://paths/a/b/bytes.bin"), place("s3://paths/a/b")
    assert (file.is_file(), file.is_dir(), file.exists(), file.is_symlink()) == (
        True, False, True, False,
    )  # fmt: skip
    assert (folder.is_file(), folder.is_dir(), folder.exists()) == (False, True, True)
    assert not place("s3://paths/a/b/none").exists()
    assert place("s3://paths").is_dir()
    assert place("s3://paths/a/b/none").find() is None
    assert list(map(str, folder.parent.iterdir())) == [
        "s3://paths/a/b",
        "s3://paths/a/empty.tar.gz",
    ]
    found = list(list_objects(place("s3://paths")))
    assert list(map(str, found)) == ["s3://paths/a/b/bytes.bin", "s3://paths/a/empty.tar.gz"]
    assert [each.stat().st_size for each in found] == [SIZE, 0]
    assert found[0].listed == file.stat()
    assert list(list_objects(place("s3://paths/none"))) == []


def test_any_range_is_that_of_the_file(content: bytes, s3: pytest.MonkeyPatch) -> None:
    draw = random.Random(4)
    with place("s3://paths/a/b/bytes.bin").open() as stream:
        assert stream.read() == content
        for _ in range(20):
            at, size = draw.randrange(SIZE + 10), draw.randrange(1, 100_000)
            assert stream.seek(at) == at
            assert stream.read(size) == content[at : at + size]
            assert stream.tell() == max(at, min(SIZE, at + size))
        assert stream.seek(-5, 2) == SIZE - 5
        assert stream.read() == content[-5:]
        with pytest.raises(ValueError, match="before the beginning"):
            ObjectStream(place("s3://paths/a/b/bytes.bin")).seek(-1)
    with place("s3://paths/a/empty.tar.gz").open() as stream:
        assert stream.read() == b""


def test_requests_grow_while_a_stream_is_read_on(
    buckets: Buckets, content: bytes, s3: pytest.MonkeyPatch
) -> None:
    def requests() -> int:
        return buckets.log.count("GET /paths/a/b/bytes.bin")

    before = requests()
    with place("s3://paths/a/b/bytes.bin").open() as stream:
        while stream.read(1000):
            pass
    assert requests() - before == 3  # of 64, 128 and at most 256 KiB
    before = requests()
    with place("s3://paths/a/b/bytes.bin").open(buffering=1 << 14) as stream:
        stream.seek(200_000)
        assert stream.read(100) == content[200_000:200_100]
    assert requests() - before == 1


def test_an_object_is_sent_to_another_process_by_its_address(
    content: bytes, s3: pytest.MonkeyPatch
) -> None:
    listed = next(list_objects(place("s3://paths/a/b")))
    sent = pickle.loads(pickle.dumps(listed))
    assert (sent, sent.listed) == (listed, listed.listed)
    assert b"word" not in pickle.dumps(listed)


def test_an_object_that_goes_is_named(buckets: Buckets, s3: pytest.MonkeyPatch) -> None:
    client = buckets.client()
    client.create_bucket(Bucket="going")
    client.put_object(Bucket="going", Key="a.bin", Body=bytes(SIZE))
    listed = next(list_objects(place("s3://going")))
    with listed.open() as stream:
        assert stream.read(10) == bytes(10)
        client.delete_object(Bucket="going", Key="a.bin")
        with pytest.raises(DataError, match=r"s3://going/a\.bin is gone since it was listed"):
            stream.read()
    for ask in (listed.open, listed.stat, listed.version):
        with pytest.raises(DataError, match=r"s3://going/a\.bin is gone since it was listed"):
            ask()
    with pytest.raises(DataError, match=r"s3://going/a\.bin does not exist"):
        place("s3://going/a.bin").stat()
    with pytest.raises(DataError, match="there is no bucket 'nowhere'"):
        place("s3://nowhere").is_dir()
    with pytest.raises(DataError, match="there is no bucket 'nowhere'"):
        list(list_objects(place("s3://nowhere/a")))
