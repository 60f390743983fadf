"""Nodes meet, or say in one sentence why they do not; the first one leads the run."""

import time
from pathlib import Path

import pytest
from meeting import InThread, lead, settings_of

from gpt_core.errors import ConfigError, DataError, LostProcessError
from tasks import rendezvous
from tasks.joining import _follow, join
from tasks.nodes import FirstNode, current_first_node
from tasks.rendezvous import accept, listen


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


def test_nodes_that_do_not_come_are_counted(address: str) -> None:
    with pytest.raises(ConfigError, match=r"1 of 2 nodes are at .* or set launch\.nodes=1"):
        lead(settings_of(address, join_seconds=0.3))


@pytest.mark.parametrize("wrong", ["192.0.2.1:29500", "nowhere.invalid:29500"])
def test_a_wrong_rendezvous_is_said_in_time(address: str, wrong: str) -> None:
    started = time.monotonic()
    with pytest.raises(ConfigError, match=r"no first node answers at launch\.rendezvous="):
        lead(settings_of(wrong, join_seconds=0.5))
    assert time.monotonic() - started < 10
    leading = join(settings_of(wrong), lambda _: None, must_lead=True)
    with pytest.raises(ConfigError, match="no free address of the machine"), leading:
        pass


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
