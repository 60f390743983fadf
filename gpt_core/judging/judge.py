"""The judge: asks a question until there is a valid verdict, a reason, or no time left.

A question goes down a ladder. The form is a JSON schema, a JSON object or plain text, a step lower
when the server refuses it. A call without a reply is made again after a wait; a reply that cannot
be read is answered with what is wrong with it. What has no verdict in the end has a reason.
"""

import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from gpt_core.config import JudgeConfig
from gpt_core.judging.cache import ReplyCache, reply_key
from gpt_core.judging.client import ChatClient, NoReplyError, RefusedError, Reply
from gpt_core.judging.parsing import UnreadableError, Verdict
from gpt_core.judging.prompts import Message, Question

Mode = Literal["json_schema", "json_object", "plain"]
"""The form in which a reply is asked for."""

_MODES: tuple[Mode, ...] = ("json_schema", "json_object", "plain")
_ENOUGH_REFUSALS = 3  # of a form, without a single reply in it, before it is not tried any more
_FIRST_WAIT, _MAX_WAIT = 0.5, 8.0  # seconds between tries
_QUOTED = 2000  # characters of an unreadable reply that the judge gets back


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """The result of a question: a verdict, or the reason why there is none."""

    verdict: Verdict | None = None
    reason: str = ""
    replied: bool = True
    """False if the judge gave no reply, so that asking again later may help."""

    mode: str = ""
    calls: int = 0
    """Replies and failed tries that led to it, those of earlier runs included."""

    prompt_tokens: int = 0
    completion_tokens: int = 0


@dataclass(slots=True)
class Totals:
    """The calls of a run, and their cost."""

    calls: int = 0
    """Calls made now."""

    cached: int = 0
    """Replies that were there from before."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    call_seconds: float = 0.0


@dataclass(slots=True)
class _Asking:
    """One question in progress."""

    sample: int
    deadline: float
    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    mode: str = ""

    def add(self, reply: Reply, mode: str) -> Reply:
        self.calls += 1
        self.prompt_tokens += reply.prompt_tokens
        self.completion_tokens += reply.completion_tokens
        self.mode = mode
        return reply


@dataclass(slots=True)
class Judge:
    """A model that answers questions; several threads may ask.

    Args:
        config: The model and the limits.
        cache: Its replies so far.
        key: The key of its address.
        clock: Seconds, for deadlines.
    """

    config: JudgeConfig
    cache: ReplyCache
    key: str | None = None
    clock: Callable[[], float] = time.monotonic
    totals: Totals = field(default_factory=Totals)
    stopped: str = ""
    """Why the judge is not asked any more; empty while it is."""

    _client: ChatClient = field(init=False)
    _ends: float = field(init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _halt: threading.Event = field(default_factory=threading.Event)
    _silent: int = 0  # answers in a row without a reply
    _refusals: dict[str, int] = field(default_factory=dict)
    _random: random.Random = field(default_factory=random.Random)  # spreads waits, nothing else

    def __post_init__(self) -> None:
        self._client = ChatClient(self.config, self.key)
        self._ends = self.clock() + self.config.run_seconds

    def ask(self, question: Question, sample: int = 0) -> Outcome:
        """Ask a question.

        Args:
            question: The question.
            sample: Tells apart several samples of the same question.
        """
        limit = self.clock() + self.config.answer_seconds
        asking = _Asking(sample, min(limit, self._ends))
        try:
            outcome = self._converse(question, asking)
        except NoReplyError as error:
            outcome = self._without_reply(error, asking)
        else:
            with self._lock:
                self._silent = 0
        return outcome

    def close(self) -> None:
        """End the calls and the waits under way."""
        self._halt.set()
        self.stopped = self.stopped or "the run was stopped"
        self._client.close()

    def _converse(self, question: Question, asking: _Asking) -> Outcome:
        """Ask, and ask again with what was wrong with the reply.

        Raises:
            NoReplyError: If a call has no reply.
        """
        messages, problem = question.messages, ""
        for _ in range(1 + self.config.reasks):
            try:
                reply = self._reply(messages, question.schema, asking)
            except RefusedError as error:  # in every form
                return self._outcome(asking, reason=str(error))
            try:
                return self._outcome(asking, question.parse(reply.text))
            except UnreadableError as error:
                problem = str(error)
                messages = [*messages, *_correction(reply.text, problem)]
        return self._outcome(asking, reason=f"no usable reply: {problem}")

    def _outcome(
        self,
        asking: _Asking,
        verdict: Verdict | None = None,
        *,
        reason: str = "",
        replied: bool = True,
    ) -> Outcome:
        return Outcome(
            verdict=verdict,
            reason=reason,
            replied=replied,
            mode=asking.mode,
            calls=asking.calls,
            prompt_tokens=asking.prompt_tokens,
            completion_tokens=asking.completion_tokens,
        )

    def _without_reply(self, error: NoReplyError, asking: _Asking) -> Outcome:
        """Count an answer without a reply, and stop after several in a row."""
        reason = str(error)
        with self._lock:
            if not self.stopped:
                self._silent += 1
                if error.lasting:
                    self.stopped = reason
                elif self._silent >= self.config.breaker:
                    self.stopped = (
                        f"the judge gave no reply to {self._silent} answers in a row ({reason})"
                    )
                elif self.clock() >= self._ends:
                    seconds = self.config.run_seconds
                    self.stopped = f"the limit judge.run_seconds={seconds:g} is reached"
        return self._outcome(asking, reason=reason, replied=False)

    def _reply(
        self, messages: Sequence[Message], schema: dict[str, object] | None, asking: _Asking
    ) -> Reply:
        """A reply in the highest form that the server takes, from the cache if it is there.

        Raises:
            NoReplyError: If there is none.
            RefusedError: If the server refuses every form.
        """
        modes = _MODES if schema is not None else _MODES[-1:]
        bodies = {mode: self._body(messages, schema, mode, asking.sample) for mode in modes}
        keys = {mode: reply_key(self.config.url, body) for mode, body in bodies.items()}
        for mode in modes:
            found = self.cache.find(keys[mode])
            if found is not None:
                with self._lock:
                    self.totals.cached += 1
                return asking.add(found, mode)
        for mode in modes[:-1]:
            refused = self._refusals.get(mode, 0) >= _ENOUGH_REFUSALS
            if refused or self.cache.was_refused(keys[mode]):
                continue
            try:
                return self._call(bodies[mode], keys[mode], mode, asking)
            except RefusedError:
                self._note_refusal(mode, keys[mode])
        return self._call(bodies[modes[-1]], keys[modes[-1]], modes[-1], asking)

    def _note_refusal(self, mode: Mode, key: str) -> None:
        """Keep that the server does not take a request; a form it never took is left out later."""
        self.cache.store(key, None)
        with self._lock:
            self._refusals.setdefault(mode, 0)
            if self._refusals[mode] >= 0:
                self._refusals[mode] += 1

    def _call(self, body: dict[str, object], key: str, mode: Mode, asking: _Asking) -> Reply:
        """Call the server until there is a reply, and keep it.

        Raises:
            NoReplyError: If no try has one.
            RefusedError: If the server refuses the request.
        """
        for attempt in range(1, self.config.tries + 1):
            self._require_going()
            try:
                reply = self._call_once(body, asking)
            except NoReplyError as error:
                if error.lasting or attempt == self.config.tries:
                    raise
                self._wait(error, attempt, asking.deadline)
            else:
                self.cache.store(key, reply)
                with self._lock:
                    self._refusals[mode] = -1  # one that it takes; a refusal is of one request
                return asking.add(reply, mode)
        raise AssertionError("tries is at least 1")

    def _call_once(self, body: dict[str, object], asking: _Asking) -> Reply:
        started = self.clock()
        try:
            reply = self._client.call(body, asking.deadline)
        except (NoReplyError, RefusedError):
            asking.calls += 1
            self._count(self.clock() - started)
            raise
        self._count(self.clock() - started, reply)
        return reply

    def _count(self, seconds: float, reply: Reply | None = None) -> None:
        with self._lock:
            self.totals.calls += 1
            self.totals.call_seconds += seconds
            if reply is not None:
                self.totals.prompt_tokens += reply.prompt_tokens
                self.totals.completion_tokens += reply.completion_tokens

    def _require_going(self) -> None:
        """Raise if the judge is not asked any more.

        Raises:
            NoReplyError: With the reason.
        """
        if self.stopped:
            raise NoReplyError(f"not asked: {self.stopped}")

    def _wait(self, error: NoReplyError, attempt: int, deadline: float) -> None:
        """Wait before another try, as long as the server asks for, within the limits.

        Raises:
            NoReplyError: If the time that is left is shorter.
        """
        wait = min(_MAX_WAIT, _FIRST_WAIT * 2 ** (attempt - 1))
        wait *= self._random.uniform(0.5, 1.0)
        if error.retry_after is not None:
            wait = max(wait, min(error.retry_after, self.config.retry_after_seconds))
        if self.clock() + wait >= deadline:
            raise error
        self._halt.wait(wait)

    def _body(
        self,
        messages: Sequence[Message],
        schema: dict[str, object] | None,
        mode: Mode,
        sample: int,
    ) -> dict[str, object]:
        config = self.config
        body: dict[str, object] = {
            "model": config.model,
            "messages": list(messages),
            "temperature": config.temperature,
            "max_tokens": config.max_tokens,
            "seed": config.seed + sample,
        }
        if mode == "json_schema":
            form = {"name": "judgement", "strict": True, "schema": schema}
            body["response_format"] = {"type": mode, mode: form}
        elif mode == "json_object":
            body["response_format"] = {"type": mode}
        return body


def _correction(text: str, problem: str) -> list[Message]:
    """The unreadable reply, and what is wrong with it."""
    quoted = text if len(text) <= _QUOTED else f"{text[:_QUOTED]} ..."
    again = f"That cannot be used: {problem}. Reply again in the form that was asked for."
    return [{"role": "assistant", "content": quoted}, {"role": "user", "content": again}]
