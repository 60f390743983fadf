"""Several nodes that train together: the first one runs the flow, the others only its training.

Every node runs the same command. The one at ``launch.rendezvous`` does every stage and keeps the
records in Prefect and MLflow; the others wait until it trains, and run their processes of it.
"""

import platform
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import fields

from typing_extensions import override

from gpt_core import errors
from gpt_core.artifact import to_json_value
from gpt_core.config import LaunchConfig, PretrainConfig, RunConfig, find_difference, split_address
from gpt_core.errors import ConfigError, GPTCoreError, LostProcessError
from tasks.rendezvous import Message, Peer, accept

_FIRST: ContextVar["FirstNode | None"] = ContextVar("first_node", default=None)
_SHARED = ("source", "reading", "cleaning", "tokenizer", "shards", "launch")
_REPLY_SECONDS = 5.0  # for the error of another node, which may be the cause of one's own
_RESUMES = (
    "the same command on every node, or with launch.nodes=1 on one, resumes from the newest "
    "checkpoint"
)


class Node:
    """This node's view of the others during a training."""

    def __init__(self, launch: LaunchConfig) -> None:
        self.launch = launch
        self.lost: list[str] = []
        """The names of nodes that are gone."""

        self._lost_since: float | None = None

    def check(self) -> None:
        """Look for messages of the other nodes, and for those that are gone."""
        raise NotImplementedError

    @property
    def is_hopeless(self) -> bool:
        """Whether a node has been gone for so long that the own processes will not end well."""
        since = self._lost_since
        return since is not None and time.monotonic() - since > self.launch.lost_seconds

    def explain(self, error: BaseException, *, is_cause: bool) -> BaseException:
        """The error to raise for a failed training: another node's, if that is the cause."""
        if not is_cause and self.lost:
            return lost_node(self.lost[0])
        return error

    def note_lost(self, name: str) -> None:
        """Record that a node is gone."""
        self.lost.append(name)
        self._lost_since = self._lost_since or time.monotonic()


class FirstNode(Node):
    """The node that runs the flow, with a connection to each of the others.

    Args:
        launch: The settings of the run.
        peers: The other nodes, in the order of their numbers.
    """

    def __init__(self, launch: LaunchConfig, peers: Sequence[Peer]) -> None:
        super().__init__(launch)
        self._peers = [*peers]
        self._failures: list[GPTCoreError] = []

    def start(self, request: Message) -> Message:
        """Let every node start its processes of a training.

        Args:
            request: As ``tasks.worker`` reads it, and what else the nodes need.

        Returns:
            The request of this node.

        Raises:
            GPTCoreError: If a node cannot train, or is gone.
        """
        master = f"{self._own_address()}:{_free_port()}"
        places = [{"rank": n, "master": master} for n in range(len(self._peers) + 1)]
        for peer, place in zip(self._peers, places[1:], strict=True):
            peer.send({"train": {**request, "node": place}})
        until = time.monotonic() + self.launch.join_seconds
        for peer in self._peers:
            try:
                answer = peer.receive(max(0.0, until - time.monotonic()))
            except EOFError:
                raise lost_node(peer.name) from None
            if answer is None:
                raise LostProcessError(
                    f"{peer.name} did not start to train within launch.join_seconds="
                    f"{self.launch.join_seconds:g}: look at what its command prints"
                )
            if "failed" in answer:
                raise _rebuild(answer["failed"], peer.name)
        return {**request, "node": places[0]}

    @override
    def check(self) -> None:
        for peer in [each for each in self._peers if each.name not in self.lost]:
            self._read(peer, 0.0)

    @override
    def explain(self, error: BaseException, *, is_cause: bool) -> BaseException:
        if is_cause:
            return error
        until = time.monotonic() + _REPLY_SECONDS
        for peer in [each for each in self._peers if each.name not in self.lost]:
            self._read(peer, max(0.0, until - time.monotonic()))
        causes = [each for each in self._failures if not isinstance(each, LostProcessError)]
        return causes[0] if causes else super().explain(error, is_cause=False)

    def finish(self, error: BaseException | None) -> None:
        """Report to every node how the flow has ended."""
        stopped = isinstance(error, KeyboardInterrupt | SystemExit)
        message = None if error is None or stopped else str(error) or type(error).__name__
        for peer in self._peers:
            peer.send({"end": message, "stopped": stopped})
            peer.close()

    def _read(self, peer: Peer, seconds: float) -> None:
        try:
            message = peer.receive(seconds)
        except EOFError:
            self.note_lost(peer.name)
            return
        if message is not None and "failed" in message:
            self._failures.append(_rebuild(message["failed"], peer.name))

    def _own_address(self) -> str:
        return split_address(str(self.launch.rendezvous))[0]


def gather(server: socket.socket, config: RunConfig, n_processes: int) -> list[Peer]:
    """Wait for the other nodes of a run, on the first one.

    Args:
        server: Where it listens.
        config: Its settings, which must be those of all.
        n_processes: How many processes it starts.

    Raises:
        ConfigError: If they do not come in time, or a node has other settings.
    """
    launch, mine = config.launch, describe(config, n_processes)
    peers: list[Peer] = []
    until = time.monotonic() + launch.join_seconds
    while len(peers) < launch.nodes - 1:
        if time.monotonic() > until:
            raise ConfigError(
                f"{len(peers) + 1} of {launch.nodes} nodes are at launch.rendezvous="
                f"{launch.rendezvous} after {launch.join_seconds:g} s: start the same command on "
                f"the others, or set launch.nodes={len(peers) + 1}"
            )
        peer = accept(server, launch, until - time.monotonic())
        hello = None if peer is None else _hello(peer, launch)
        if peer is None or hello is None:
            continue
        peer.name = f"node {len(peers) + 1} ({hello['host']})"
        difference = find_difference(mine["same"], hello["same"])
        if difference is not None:
            sentence = _describe_difference(difference, peer.name)
            for each in [*peers, peer]:
                each.send({"end": sentence, "stopped": False})
            raise ConfigError(sentence)
        peer.send({"name": peer.name})
        peers.append(peer)
    return peers


def _hello(peer: Peer, launch: LaunchConfig) -> Message | None:
    try:
        return peer.receive(launch.lost_seconds)
    except EOFError:
        return None


def describe(config: RunConfig, n_processes: int) -> Message:
    """The message with which a node joins: its name, settings and versions."""
    import torch  # slow to import

    tree = to_json_value(config)
    names = (*_SHARED, *(section.name for section in fields(PretrainConfig)))
    return {
        "host": platform.node(),
        "same": {
            **{name: tree[name] for name in names},  # type: ignore[index]
            "the number of processes": n_processes,
            "the version of torch": torch.__version__,
        },
    }


def _describe_difference(difference: tuple[str, object, object], node: str) -> str:
    name, first, other = difference
    return (
        f"{name} is {other} on {node} and {first} on the first node: start every node with the "
        "same command and the same version"
    )


@contextmanager
def leading(node: FirstNode | None) -> Iterator[None]:
    """Be the first node during the block, and tell the others how it ended."""
    token = _FIRST.set(node)
    error: BaseException | None = None
    try:
        yield
    except BaseException as raised:
        error = raised
        raise
    finally:
        _FIRST.reset(token)
        if node is not None:
            node.finish(error)


def current_first_node() -> FirstNode | None:
    """The first node that this process is, if it leads a run of several."""
    return _FIRST.get()


def lost_node(name: str) -> LostProcessError:
    """The error for a node that is gone."""
    return LostProcessError(
        f"{name} was lost: its command has ended or its machine does not answer; {_RESUMES}"
    )


def _rebuild(failed: Message, node: str) -> GPTCoreError:
    """The error that another node has sent."""
    kind = getattr(errors, str(failed["kind"]), None)
    if not (isinstance(kind, type) and issubclass(kind, GPTCoreError)):
        kind = GPTCoreError
    return kind(f"{node}: {failed['message']}")


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("", 0))
        port: int = free.getsockname()[1]
    return port
