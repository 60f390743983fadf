"""Mutations of files, and limits of time and memory for those who read them."""

import json
import random
import re
import resource
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

MEMORY = 1 << 31  # bytes that a reader may take on top of what the process has
SECONDS = 20  # for one small file, on a busy machine

NUMBERS = [
    b"-1", b"0", b"1", b"2", b"257", b"65536", b"1000000", b"4294967296", b"9223372036854775807",
    b"9223372036854775808", b"1" + b"0" * 18, b"9" * 5000, b"1e308", b"1e999", b"-0.0", b"0.5",
    b"NaN", b"Infinity", b"-Infinity", b"null", b"true", b'"1"', b"[]", b"{}", b"[" * 60_000,
]  # fmt: skip
"""Text in place of a number."""

WORDS = [
    bytes(8), b"\xff" * 8, b"\xff" * 4, b"\0\0\0\x80", b"\xff\xff\xff\x7f", b"\x80" * 9 + b"\x01",
    (1 << 40).to_bytes(8, "little"), (1 << 20).to_bytes(4, "little"), b"\xff" * 9 + b"\x01",
]  # fmt: skip
"""Bytes in place of a length or an offset."""

INSERTED = [
    b"\0", b"\xff", b"\r", b"\n", b"\xef\xbb\xbf", b"\xff\xfe", b'"', b"\\", b"{", b"]", b",",
    b"\t", b"'", b"../", b"\\ud800", b"\xed\xa0\x80", b"\xe2\x96\x81", b"[" * 5000, b"a" * 70_000,
    b'{"a":' * 3000, b"9" * 5000, b"\0" * 4096,
]  # fmt: skip

VALUES: list[object] = [
    None, True, False, 0, -1, 1, 2**31, 2**63, 10**18, 10**30, 0.5, 1e308, float("nan"),
    float("inf"), "", "a", "../a", "/etc/passwd", "a" * 100_000, "\ud800", "\0", [], {}, [[]],
    {"a": {}}, [1, 2, 3], "▁",
]  # fmt: skip
"""Values in place of any value of a JSON file."""


@pytest.fixture(scope="session")
def mutate() -> Callable[[bytes, random.Random, str], bytes]:
    """Change the content of a file: its bytes, or the values in it if it is JSON."""

    def change(content: bytes, rng: random.Random, name: str) -> bytes:
        lined = name.endswith((".jsonl", ".ndjson"))
        if (lined or name.endswith(".json")) and rng.random() < 0.5:
            return _mutate_lines(content, rng) if lined else _mutate_json(content, rng)
        for _ in range(rng.choice((1, 1, 1, 2, 5))):
            content = rng.choice(_BYTE_MUTATIONS)(content, rng)
        return content

    return change


def _mutate_lines(content: bytes, rng: random.Random) -> bytes:
    lines = content.split(b"\n")
    place = rng.randrange(len(lines))
    if lines[place].strip():
        lines[place] = _mutate_json(lines[place], rng, indent=None)
    return b"\n".join(lines)


def _mutate_json(content: bytes, rng: random.Random, indent: int | None = 2) -> bytes:
    """Replace, delete, rename or repeat one value anywhere in the tree."""
    tree = [json.loads(content)]
    places: list[tuple[list[object] | dict[str, object], int | str]] = []
    _list_places(tree, places)
    holder, key = rng.choice(places)
    action = rng.choice(("replace", "replace", "replace", "delete", "rename", "swap"))
    if action == "delete" and holder is not tree:
        del holder[key]  # type: ignore[arg-type]
    elif action == "rename" and isinstance(holder, dict):
        holder[rng.choice(["", "x", "../x", "a" * 1000])] = holder.pop(str(key))
    elif action == "swap":
        other, place = rng.choice(places)
        holder[key] = json.loads(json.dumps(other[place]))  # type: ignore[index, call-overload]
    else:
        holder[key] = rng.choice(VALUES)  # type: ignore[index, call-overload]
    return json.dumps(tree[0], indent=indent).encode("utf-8", "surrogatepass")


def _list_places(
    tree: object, places: list[tuple[list[object] | dict[str, object], int | str]]
) -> None:
    if isinstance(tree, list):
        for index, item in enumerate(tree[:50]):
            places.append((tree, index))
            _list_places(item, places)
    elif isinstance(tree, dict):
        for key, item in list(tree.items())[:50]:
            places.append((tree, key))
            _list_places(item, places)


def _flip(content: bytes, rng: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.choice((1, 1, 4, 16))):
        if changed:
            changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _truncate(content: bytes, rng: random.Random) -> bytes:
    return content[: rng.randint(0, len(content))]


def _insert(content: bytes, rng: random.Random) -> bytes:
    place = rng.randint(0, len(content))
    return content[:place] + rng.choice(INSERTED) + content[place:]


def _delete(content: bytes, rng: random.Random) -> bytes:
    start, end = sorted((rng.randint(0, len(content)), rng.randint(0, len(content))))
    return content[:start] + content[min(end, start + rng.choice((1, 8, 100))) :]


def _copy(content: bytes, rng: random.Random) -> bytes:
    """Copy a part to another place: inserted, or over what is there."""
    start, to = rng.randint(0, len(content)), rng.randint(0, len(content))
    part = content[start : start + rng.choice((1, 4, 16, 256, 4096))]
    return content[:to] + part + content[to + (0 if rng.random() < 0.5 else len(part)) :]


def _replace_word(content: bytes, rng: random.Random) -> bytes:
    place, word = rng.randint(0, len(content)), rng.choice(WORDS)
    if rng.random() < 0.3:
        place = 0 if rng.random() < 0.5 else max(0, len(content) - rng.choice((4, 8, 12, 48)))
    return content[:place] + word + content[place + len(word) :]


def _replace_number(content: bytes, rng: random.Random) -> bytes:
    found = [*re.finditer(rb"-?\d+(?:\.\d+)?", content)]
    if not found:
        return _replace_word(content, rng)
    chosen = rng.choice(found)
    return content[: chosen.start()] + rng.choice(NUMBERS) + content[chosen.end() :]


_BYTE_MUTATIONS = (_flip, _truncate, _insert, _delete, _copy, _replace_word, _replace_number)


class TooSlow(BaseException):
    """A reader that did not end; no reader catches it."""


@pytest.fixture(scope="session")
def limited() -> Callable[[], object]:
    """Limit time and memory of what runs in a block."""

    @contextmanager
    def limit() -> Iterator[None]:
        def stop(number: int, frame: object) -> None:
            raise TooSlow(f"not done after {SECONDS} seconds")

        before = signal.signal(signal.SIGALRM, stop)
        memory = resource.getrlimit(resource.RLIMIT_AS)
        if sys.platform == "linux":
            pages = int(Path("/proc/self/statm").read_text().split()[0])
            most = pages * resource.getpagesize() + MEMORY
            resource.setrlimit(resource.RLIMIT_AS, (most, memory[1]))
        signal.setitimer(signal.ITIMER_REAL, SECONDS)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            resource.setrlimit(resource.RLIMIT_AS, memory)
            signal.signal(signal.SIGALRM, before)

    return limit
