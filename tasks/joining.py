"""Join a run of several nodes: become its first node, or train for the one that is."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from typing_extensions import override

from gpt_core.artifact import read_artifact
from gpt_core.config import PretrainConfig, RunConfig, build_config
from gpt_core.errors import ConfigError, DataError, GPTCoreError, LostProcessError
from tasks.devices import devices_of, hold_devices
from tasks.launch import count_processes, run_processes
from tasks.nodes import FirstNode, Node, describe, gather, leading, lost_node
from tasks.paths import from_home
from tasks.rendezvous import Message, Peer, connect, listen

_ENDING_SECONDS = 180.0  # in which the first node reports the end of a training that failed


@contextmanager
def join(
    config: RunConfig, say: Callable[[str], None], *, must_lead: bool = False
) -> Iterator[bool]:
    """Meet the other nodes of a run, if there are several.

    Args:
        config: The settings of the run.
        say: Gets a sentence on what this node does.
        must_lead: Refuse to be another node than the first.

    Yields:
        Whether this node runs the flow. If not, its part of the training is done already.

    Raises:
        ConfigError: If the nodes do not meet in time, or differ.
        GPTCoreError: If the run fails on another node.
        SystemExit: If the run is stopped on the first node.
    """
    launch = config.launch
    if launch.nodes == 1:
        yield True
        return
    n_processes = count_processes(launch, config.compute)
    with listen(launch) as server:
        if server is None and must_lead:
            raise ConfigError(
                f"launch.rendezvous={launch.rendezvous} is no free address of the machine that "
                "runs the deployment: name one of its own"
            )
        if server is None:
            _follow(config, n_processes, say)
            yield False
            return
        say(f"the first of {launch.nodes} nodes: waiting for the others at {launch.rendezvous}")
        with leading(FirstNode(launch, gather(server, config, n_processes))):
            yield True


class OtherNode(Node):
    """A node that trains for the first one.

    Args:
        config: The settings of the run.
        first: The first node.
    """

    def __init__(self, config: RunConfig, first: Peer) -> None:
        super().__init__(config.launch)
        self._first, self._config = first, config
        self._end: Message | None = None

    def follow(self) -> None:
        """Train whenever the first node does, until it ends.

        Raises:
            GPTCoreError: If the run fails.
            SystemExit: If it is stopped.
        """
        while self._end is None:
            message = self._receive(None)
            if "train" in message:
                self._train(message["train"])
            elif "end" in message:
                self._end = message
        if self._end["stopped"]:
            raise SystemExit(143)
        if self._end["end"] is not None:
            raise GPTCoreError(f"the first node: {self._end['end']}")

    @override
    def check(self) -> None:
        if self.lost or self._end is not None:
            return
        try:
            message = self._first.receive(0.0)
        except EOFError:
            self.note_lost(self._first.name)
            return
        if message is not None and "end" in message:
            self._end = message
            self.note_lost(self._first.name)

    def _train(self, request: Message) -> None:
        """Run this node's processes, and report to the first node what goes wrong."""
        try:
            launch, compute = self._config.launch, self._config.compute
            held = {"config": build_config(PretrainConfig, request["config"])}
            devices = devices_of({**held, "launch_config": launch})
            with hold_devices([d for d in devices if d != "cpu"], self._config.name):
                request = _localize(request)
                self._first.send({"ready": True})
                run_processes(request, count_processes(launch, compute), [], self)
        except (GPTCoreError, RuntimeError, SystemExit) as error:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        """Report an error to the first node, and wait for what that says about the run.

        Raises:
            GPTCoreError: If it says nothing.
        """
        kind = type(error).__name__ if isinstance(error, GPTCoreError) else "LostProcessError"
        self._first.send({"failed": {"kind": kind, "message": str(error)}})
        while self._end is None:
            try:
                message = self._first.receive(_ENDING_SECONDS)
            except EOFError:
                raise lost_node(self._first.name) from error
            if message is None:
                raise error
            if "end" in message:
                self._end = message

    def _receive(self, seconds: float | None) -> Message:
        try:
            return self._first.receive(seconds) or {}
        except EOFError:
            raise lost_node(self._first.name) from None


def _follow(config: RunConfig, n_processes: int, say: Callable[[str], None]) -> None:
    """Train for the first node until the run ends."""
    first = connect(config.launch)
    first.name = f"the first node ({config.launch.rendezvous})"
    first.send(describe(config, n_processes))
    try:
        answer = first.receive(config.launch.join_seconds)
    except EOFError:
        raise lost_node(first.name) from None
    if answer is None:
        raise LostProcessError(f"{first.name} does not answer: start the command there again")
    if "end" in answer:
        raise ConfigError(answer["end"])
    say(
        f"{answer['name']} of {config.launch.nodes}: it trains when the first one does, which "
        "keeps the records"
    )
    OtherNode(config, first).follow()
    say("the run has ended: the first node has its results and records")


def _localize(request: Message) -> Message:
    """The request with this node's paths.

    Raises:
        DataError: If the shards are not there, or are others.
    """
    path = Path(from_home(request["shards"]))
    advice = "GPTFLOW_HOME must be a folder that all nodes share"
    try:
        shards = read_artifact(path, "shards")
    except DataError as error:
        raise DataError(f"the shards cannot be read ({error}): {advice}") from error
    if shards.fingerprint != request["fingerprint"]:
        raise DataError(f"{path} are not the token shards of the first node: {advice}")
    return {**request, "shards": str(path), "out_dir": from_home(request["out_dir"])}
