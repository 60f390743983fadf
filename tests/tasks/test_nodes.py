"""Nodes have the same settings, processes and shards, and a lost one is named."""

import time

from meeting import InThread, lead, settings_of

from gpt_core.config import LaunchConfig
from gpt_core.errors import ConfigError, GPTCoreError
from tasks.nodes import FirstNode, current_first_node


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
