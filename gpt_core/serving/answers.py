"""Follow the requests of one answer from the queue to their last tokens."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from gpt_core.generation.requests import Request
from gpt_core.serving.continuation import Continuation, Delta
from gpt_core.serving.errors import ApiError, busy
from gpt_core.serving.metrics import Metrics
from gpt_core.serving.models import LanguageModel
from gpt_core.serving.prompts import PreparedPrompt
from gpt_core.serving.scheduler import Submission
from gpt_core.serving.settings import ServingConfig


@dataclass(frozen=True, slots=True)
class Usage:
    """The tokens of an answer."""

    prompt_tokens: int
    completion_tokens: int

    def to_json(self) -> dict[str, int]:
        """As OpenAI's clients read it."""
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": self.prompt_tokens + self.completion_tokens,
        }


class Answer:
    """The choices of one request; its place in the queue is taken when it is made.

    Args:
        model: The model that answers.
        prompts: The prompts.
        requests: ``n`` for each prompt.
        stops: Strings before which each choice ends.
        echo: Whether each choice begins with its prompt.
        config: How long an answer may take.
        metrics: Where it is counted.

    Raises:
        ApiError: If the queue is full or the engine has failed.
    """

    def __init__(
        self,
        model: LanguageModel,
        prompts: Sequence[PreparedPrompt],
        requests: Sequence[Request],
        stops: list[str],
        *,
        echo: bool,
        config: ServingConfig,
        metrics: Metrics,
    ) -> None:
        n = len(requests) // len(prompts)
        self.model, self._config = model, config
        self.prompts = [prompt for prompt in prompts for _ in range(n)]
        self.choices = [Continuation(model, each, stops, echo=echo) for each in self.prompts]
        self._prompt_tokens = sum(len(prompt.token_ids) for prompt in prompts)
        self._submission: Submission = model.scheduler.submit(requests)
        self._clock = metrics.clock(model.name, self._prompt_tokens)
        self._open = set(range(len(requests)))
        loop = asyncio.get_running_loop()  # one timer of each limit: not one of each token
        self._timers = (
            loop.call_later(config.queue_seconds, self._end_waiting),
            loop.call_later(config.request_seconds, self._end_late),
        )

    async def deltas(self) -> AsyncIterator[tuple[int, Delta]]:
        """Yield what each step adds to a choice, with the choice's index, until all have ended.

        Raises:
            ApiError: If the engine failed or the time is over.
        """
        while self._open:
            index, update = await self._submission.next()
            if index not in self._open:
                continue
            delta = self.choices[index].add(update)
            self._clock.tokens(index, len(update.tokens))
            if delta.finish is not None:
                self._open.discard(index)
                self._clock.finish(delta.finish)
                if update.finish is None:
                    self._submission.cancel(index)
            if delta:
                yield index, delta
        started = self._submission.started
        self._clock.end(None if started is None else started - self._submission.submitted)

    async def complete(self) -> list[list[Delta]]:
        """Every delta of every choice."""
        found: list[list[Delta]] = [[] for _ in self.choices]
        async for index, delta in self.deltas():
            found[index].append(delta)
        return found

    def close(self) -> None:
        """Free the slots and the places in the queue, if there are any left."""
        for timer in self._timers:
            timer.cancel()
        if self._open:
            self._open.clear()
            self._submission.cancel()

    @property
    def usage(self) -> Usage:
        """The tokens so far."""
        return Usage(self._prompt_tokens, sum(choice.n_tokens for choice in self.choices))

    def _end_waiting(self) -> None:
        """End an answer that still waits for a slot."""
        if self._submission.started is None:
            seconds = self._config.queue_seconds
            message = f"no slot became free within {seconds:g} seconds"
            self._submission.put(0, busy(message, "queue_timeout"))

    def _end_late(self) -> None:
        """End an answer that takes too long."""
        message = f"the answer took more than {self._config.request_seconds:g} seconds"
        self._submission.put(0, ApiError(504, message, code="timeout"))
