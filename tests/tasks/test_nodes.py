"""Nodes meet, or say in one sentence why they do not; the first one leads the run."""

import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gpt_core.config import LaunchConfig, RunConfig, load_config
from gpt_core.errors import ConfigError, DataError, GPTCoreError, LostProcessError
from tasks import rendezvous
from tasks.joining import _follow, join
from tasks.nodes import FirstNode, current_first_node
from tasks.rendezvous import accept, connect, listen


def free_address() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{free.getsockname()[1]}"


@pytest.fixture(autouse=True)
def hasty(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home of its own, and nodes that look more often."""
    monkeypatch.setattr(rendezvous, "_POLL_SECONDS", 0.05)


@pytest.fixture
def address() -> str:
    return free_address()


def settings_of(address: str, *more: str, join_seconds: float = 20, nodes: int = 2) -> RunConfig:
    launch = [
        f"launch.nodes={nodes}", f"launch.rendezvous={address}", "launch.lost_seconds=2",
        f"launch.join_seconds={join_seconds}", "compute.device=cpu",
        "training.micro_batch=4",
    ]  # fmt: skip
    return load_config("tiny", settings=[*launch, *more])


class InThread:
    """Calls a function in a thread; ``result`` waits for it and returns its error, if any."""

    def __init__(self, function: Callable[[], object]) -> None:
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._call, args=(function,))
        self._thread.start()

    def _call(self, function: Callable[[], object]) -> None:
        try:
            function()
        except BaseException as error:
            self._error = error

    def result(self) -> BaseException | None:
        self._thread.join(60)
        assert not self._thread.is_alive()
        return self._error


def lead(config: RunConfig, body: Callable[[], object] = lambda: None) -> list[str]:
    """Join as the node that comes first, and do something as its flow."""
    said: list[str] = []
    with join(config, said.append) as leads:
        if leads:
            body()
    return said


def test_the_first_comes_leads_and_the_others_end_when_it_ends(address: str) -> None:
    config = settings_of(address, nodes=4)
    roles: list[tuple[bool, bool]] = []

    def node() -> None:
        with join(config, lambda _: None) as leads:
            roles.append((leads, isinstance(current_first_node(), FirstNode)))

    nodes = [InThread(node) for _ in range(4)]
    assert [each.result() for each in nodes] == [None] * 4
    assert sorted(roles) == [*[(False, False)] * 3, (True, True)]
    assert not list(Path(rendezvous.running_dir()).glob("nodes-*")), "the key is removed"


def test_a_node_with_other_settings_ends_both_with_the_same_sentence(address: str) -> None:
    first = InThread(lambda: lead(settings_of(address)))
    second = InThread(lambda: lead(settings_of(address, "training.steps=77")))
    errors = [first.result(), second.result()]
    assert all(isinstance(error, ConfigError) for error in errors), errors
    assert len({str(error) for error in errors}) == 1
    assert "training.steps is " in str(errors[0])
    assert "start every node with the same command" in str(errors[0])


def test_other_numbers_of_processes_are_named(address: str) -> None:
    first = InThread(lambda: lead(settings_of(address)))
    second = InThread(lambda: lead(settings_of(address, "launch.processes=2")))
    for each in (first, second):
        assert "launch.processes is " in str(each.result())


def test_nodes_that_do_not_come_are_counted(address: str) -> None:
    with pytest.raises(ConfigError, match=r"1 of 2 nodes are at .* or set launch\.nodes=1"):
        lead(settings_of(address, join_seconds=0.3))


@pytest.mark.parametrize("address", ["192.0.2.1:29500", "nowhere.invalid:29500"])
def test_a_wrong_rendezvous_is_said_in_time(address: str) -> None:
    started = time.monotonic()
    with pytest.raises(ConfigError, match=r"no first node answers at launch\.rendezvous="):
        lead(settings_of(address, join_seconds=0.5))
    assert time.monotonic() - started < 10
    leading = join(settings_of(address), lambda _: None, must_lead=True)
    with pytest.raises(ConfigError, match="no free address of the machine"), leading:
        pass


def test_a_node_of_another_home_and_a_stranger_are_refused(address: str) -> None:
    launch = settings_of(address, join_seconds=3).launch
    with listen(launch) as server:
        assert server is not None
        key = rendezvous._key_file(address)
        assert key.stat().st_mode & 0o777 == 0o600
        right = key.read_text()
        key.write_text("another home's")
        other = InThread(lambda: connect(launch))
        time.sleep(0.3)
        key.write_text(right)
        assert accept(server, launch, 5) is None
        error = other.result()
        assert isinstance(error, DataError)
        assert "set GPTFLOW_HOME to a folder that all nodes share" in str(error)
        with socket.create_connection(server.getsockname()[:2]) as stranger:
            stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert accept(server, launch, 5) is None


def test_what_ends_the_first_node_is_said_on_the_others(address: str) -> None:
    config = settings_of(address)

    def fail() -> None:
        raise DataError("the text is gone")

    ends = [InThread(lambda: lead(config, fail)) for _ in range(2)]
    messages = sorted(str(each.result()) for each in ends)
    assert messages == ["the first node: the text is gone", "the text is gone"]


def test_a_first_node_that_vanishes_is_named(address: str) -> None:
    launch = settings_of(address).launch
    with listen(launch) as server:
        assert server is not None
        other = InThread(lambda: _follow(settings_of(address), 1, lambda _: None))
        peer = accept(server, launch, 20)
        assert peer is not None
        peer.receive(10)
        peer.send({"name": "node 1 (here)"})
        peer.close()
        error = other.result()
    assert isinstance(error, LostProcessError)
    assert f"the first node ({address}) was lost" in str(error)


def test_a_node_whose_shards_are_others_says_so(address: str, sample_shards: object) -> None:
    config = settings_of(address)
    shards = sample_shards.path  # type: ignore[attr-defined]
    request = {"shards": shards, "fingerprint": "other", "out_dir": "out", "config": {}}

    def start() -> None:
        node = current_first_node()
        assert node is not None
        node.start(request)

    ends = [InThread(lambda: lead(config, start)) for _ in range(2)]
    for each in ends:
        error = each.result()
        assert isinstance(error, GPTCoreError)
        assert "are not the token shards of the first node" in str(error)


def test_a_lost_node_is_hopeless_after_its_time() -> None:
    node = FirstNode(LaunchConfig(lost_seconds=0.05), [])
    assert not node.is_hopeless
    node.note_lost("node 1 (there)")
    time.sleep(0.1)
    assert node.is_hopeless
    own = RuntimeError("a process failed")
    assert "node 1 (there) was lost" in str(node.explain(own, is_cause=False))
    assert node.explain(own, is_cause=True) is own
