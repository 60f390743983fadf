"""One machine at a training: others wait for it, and take over when it shows no sign of life."""

import threading
import time
from pathlib import Path

import pytest
from supervised import Buckets

from tasks.store.lease import LEASE, Lease
from tasks.store.objects import Objects
from tasks.store.records import place

KEY = "0123456789abcdef" * 2
SECONDS = 1.0


class Machine:
    """A machine that wants to train."""

    def __init__(self, objects: Objects, home: str, seconds: float = SECONDS) -> None:
        self.said: list[str] = []
        self.lease = Lease(objects, KEY, f"run of {home}", home, seconds, self.said.append)

    def acquire(self, done: bool = False) -> bool:
        return self.lease.acquire("pretrain", lambda: done)

    def die(self) -> None:
        """End without a word, as a killed process does."""
        self.lease._ended.set()


@pytest.fixture(autouse=True)
def _contention(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test writes faster than a bucket."""
    monkeypatch.setattr("tasks.store.lease._CONTENTION_SECONDS", 0.3)


@pytest.fixture
def folder(tmp_path: Path) -> Objects:
    return Objects(tmp_path.as_uri())


def test_the_second_waits_until_the_first_ends(folder: Objects) -> None:
    first, second = Machine(folder, "one"), Machine(folder, "two")
    assert first.acquire()
    answers: list[bool] = []
    thread = threading.Thread(target=lambda: answers.append(second.acquire()))
    thread.start()
    time.sleep(2.5 * SECONDS)  # so long only signs of life keep the lease
    assert answers == []
    first.lease.release()
    thread.join(20)
    assert answers == [True]
    assert "the run 'run of one' on " in second.said[0]
    assert "is at pretrain: waiting for its result, or its end" in second.said[0]
    second.lease.release()
    assert folder.read(place(KEY, LEASE), 1000) is None
    assert first.said == []


@pytest.mark.soak
@pytest.mark.long
def test_a_bucket_keeps_leases_too(s3: Buckets, tmp_path: Path) -> None:
    objects = Objects(f"s3://shared/{tmp_path.name}")
    first = Machine(objects, "one")
    assert first.acquire()
    assert not Machine(objects, "two").acquire(done=True)
    first.lease.release()
    second = Machine(objects, "two")
    assert second.acquire()
    assert second.said == []
    second.lease.release()


def test_one_that_was_killed_is_succeeded(folder: Objects) -> None:
    killed = Machine(folder, "one")
    assert killed.acquire()
    killed.die()
    began = time.monotonic()
    second = Machine(folder, "two")
    assert second.acquire()
    assert time.monotonic() - began > SECONDS
    second.lease.release()


def test_a_killed_process_of_the_same_home_is_not_waited_for(folder: Objects) -> None:
    killed = Machine(folder, "one", seconds=600)
    assert killed.acquire()
    killed.die()
    again = Machine(folder, "one", seconds=600)
    assert again.acquire()
    again.lease.release()


def test_a_result_ends_the_waiting(folder: Objects) -> None:
    first = Machine(folder, "one")
    assert first.acquire()
    assert not Machine(folder, "two").acquire(done=True)
    first.lease.release()


@pytest.mark.soak
@pytest.mark.long
def test_of_several_that_ask_at_once_one_gets_it(folder: Objects) -> None:
    machines = [Machine(folder, f"home {n}", seconds=4) for n in range(4)]
    done, answers = threading.Event(), list[bool]()
    threads = [
        threading.Thread(
            target=lambda m=machine: answers.append(m.lease.acquire("pretrain", done.is_set))
        )
        for machine in machines
    ]
    for thread in threads:
        thread.start()
    time.sleep(3)
    assert answers == [True]
    done.set()
    for thread in threads:
        thread.join(60)
    assert sorted(answers) == [False, False, False, True]
    for machine in machines:
        machine.lease.release()


def test_a_machine_that_lost_it_says_so_and_continues(folder: Objects) -> None:
    first = Machine(folder, "one")
    assert first.acquire()
    folder.write(place(KEY, LEASE), b'{"home": "two", "host": "far", "run": "same", "token": "x"}')
    until = time.monotonic() + 20
    while not first.said:
        assert time.monotonic() < until
        time.sleep(0.05)
    assert "the run 'same' on 'far' has taken this training over" in first.said[0]
    first.lease.release()
    assert folder.read(place(KEY, LEASE), 1000) is not None  # it is the other's


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff"])
def test_a_lease_that_cannot_be_understood_is_none(folder: Objects, content: bytes) -> None:
    folder.write(place(KEY, LEASE), content)
    machine = Machine(folder, "one")
    assert machine.acquire()
    machine.lease.release()
