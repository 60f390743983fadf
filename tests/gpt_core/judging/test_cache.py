"""The replies on disk: durable, shared by threads, and named if they are damaged."""

import threading
from pathlib import Path

import pytest

from gpt_core.errors import DataError
from gpt_core.judging import ReplyCache
from gpt_core.judging.cache import reply_key
from gpt_core.judging.client import Reply


def test_a_reply_is_found_again_by_another_process(tmp_path: Path) -> None:
    key, reply = (
        reply_key("url", {"seed": 1}),
        Reply(text="ü\ud800\0", prompt_tokens=3),
    )
    with ReplyCache(tmp_path / "new" / "replies.sqlite") as cache:
        assert cache.find(key) is None
        cache.store(key, reply)
        cache.store(reply_key("refused"), None)
    with ReplyCache(tmp_path / "new" / "replies.sqlite") as cache:
        found = cache.find(key)
        assert found is not None
        assert (found.text, found.prompt_tokens) == ("ü?\0", 3)
        assert cache.was_refused(reply_key("refused"))
        assert cache.find(reply_key("refused")) is None
        assert not cache.was_refused(key)


def test_the_key_depends_on_every_part() -> None:
    keys = {reply_key("a", {"b": 1}), reply_key("a", {"b": 2}), reply_key("ab", {}), reply_key("a")}
    assert len(keys) == 4
    assert reply_key("a", {"b": 1, "c": 2}) == reply_key("a", {"c": 2, "b": 1})


def test_threads_and_a_second_connection_write_at_once(tmp_path: Path) -> None:
    file = tmp_path / "replies.sqlite"
    with ReplyCache(file) as one, ReplyCache(file) as two:

        def write(cache: ReplyCache, name: str) -> None:
            for n in range(30):
                cache.store(reply_key(name, n), Reply(text=f"{name} {n}"))

        names = ["a", "b", "c", "d"]
        threads = [
            threading.Thread(target=write, args=((one, two)[place % 2], name))
            for place, name in enumerate(names)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        found = [one.find(reply_key(name, n)) for name in names for n in range(30)]
    assert all(found)


def test_a_damaged_file_is_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / "replies.sqlite"
    file.write_bytes(b"no database" * 1000)
    with pytest.raises(DataError, match=r"replies are kept, cannot be used.*delete it"):
        ReplyCache(file)
