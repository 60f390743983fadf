"""Answers in the shapes of OpenAI's API: whole, or as the chunks of a stream."""

import secrets
import time
from collections.abc import AsyncIterator, Sequence

from gpt_core.serving.answers import Answer
from gpt_core.serving.continuation import Delta, LogprobWriter
from gpt_core.serving.shapes import ChatBody, CompletionBody, Sampling
from gpt_core.serving.streaming import encode, event

Json = dict[str, object]


class Writer:
    """Writes an answer.

    Args:
        answer: The answer.
        body: What was asked for.
    """

    prefix, whole, chunk = "", "", ""
    """The beginning of the ids, and the names of the objects."""

    def __init__(self, answer: Answer, body: Sampling) -> None:
        model = answer.model
        self._answer, self._body = answer, body
        self._logprobs = LogprobWriter(model)
        self._head: Json = {
            "id": f"{self.prefix}-{secrets.token_hex(12)}",
            "created": int(time.time()),
            "model": model.name,
            "system_fingerprint": model.fingerprint,
        }

    async def complete(self) -> Json:
        """The whole answer."""
        found = await self._answer.complete()
        choices = [self._choice(index, deltas) for index, deltas in enumerate(found)]
        usage = self._answer.usage.to_json()
        return {**self._head, "object": self.whole, "choices": choices, "usage": usage}

    async def events(self, first: tuple[int, Delta] | None, rest: AsyncIterator[tuple[int, Delta]]
                     ) -> AsyncIterator[str]:  # fmt: skip
        """The answer as events.

        Args:
            first: Its first delta, which was awaited before the response began.
            rest: The others.
        """
        before, after = self._around()
        for index in range(len(self._answer.choices)):
            opening = self._opening(index)
            if opening is not None:
                yield before + encode(opening) + after
        if first is not None:
            yield before + encode(self._part(*first)) + after
        async for index, delta in rest:
            yield before + encode(self._part(index, delta)) + after
        if self._body.wants_usage:
            usage = self._answer.usage.to_json()
            yield event({**self._head, "object": self.chunk, "choices": [], "usage": usage})

    def _around(self) -> tuple[str, str]:
        """The text before and after the choice of every event, which is encoded once."""
        usage: Json = {"usage": None} if self._body.wants_usage else {}
        whole = event({**self._head, "object": self.chunk, "choices": [], **usage})
        before, brackets, after = whole.rpartition("[]")
        return before + brackets[0], brackets[1] + after

    def _opening(self, index: int) -> Json | None:
        return None

    def _choice(self, index: int, deltas: Sequence[Delta]) -> Json:
        raise NotImplementedError

    def _part(self, index: int, delta: Delta) -> Json:
        raise NotImplementedError

    def _ids(self, index: int) -> Json:
        """The ids of prompt and answer, where they were asked for."""
        if not self._body.return_token_ids:
            return {}
        choice, prompt = self._answer.choices[index], self._answer.prompts[index]
        return {"token_ids": choice.token_ids, "prompt_token_ids": list(prompt.token_ids)}


class CompletionWriter(Writer):
    """Writes answers of ``/v1/completions``."""

    prefix, whole, chunk = "cmpl", "text_completion", "text_completion"

    def __init__(self, answer: Answer, body: CompletionBody) -> None:
        super().__init__(answer, body)
        self._wanted = body.logprobs is not None
        self._with_ids = bool(body.return_token_ids)

    def _choice(self, index: int, deltas: Sequence[Delta]) -> Json:
        merged = Delta(
            "".join(delta.text for delta in deltas),
            tuple(token for delta in deltas for token in delta.tokens),
            deltas[-1].finish,
        )
        return self._part(index, merged)

    def _part(self, index: int, delta: Delta) -> Json:
        logprobs = None
        if self._wanted:
            logprobs = self._logprobs.completions(delta.tokens, with_ids=self._with_ids)
        ids = self._ids(index) if delta.finish else {}
        part: Json = {"index": index, "text": delta.text, "logprobs": logprobs}
        return {**part, "finish_reason": delta.finish, **ids}


class ChatWriter(Writer):
    """Writes answers of ``/v1/chat/completions``."""

    prefix, whole, chunk = "chatcmpl", "chat.completion", "chat.completion.chunk"

    def __init__(self, answer: Answer, body: ChatBody) -> None:
        super().__init__(answer, body)
        self._wanted = bool(body.logprobs)

    def _choice(self, index: int, deltas: Sequence[Delta]) -> Json:
        content = "".join(delta.text for delta in deltas)
        tokens = tuple(token for delta in deltas for token in delta.tokens)
        return {
            "index": index,
            "message": {"role": "assistant", "content": content, "refusal": None},
            "logprobs": self._logprobs.chat(tokens) if self._wanted else None,
            "finish_reason": deltas[-1].finish,
            **self._ids(index),
        }

    def _opening(self, index: int) -> Json:
        return _chat_part(index, {"role": "assistant", "content": ""})

    def _part(self, index: int, delta: Delta) -> Json:
        logprobs = None
        if self._wanted and delta.tokens:
            logprobs = self._logprobs.chat(delta.tokens)
        content: Json = {"content": delta.text} if delta.text else {}
        return _chat_part(index, content, logprobs, delta.finish)


def _chat_part(
    index: int, delta: Json, logprobs: Json | None = None, finish: str | None = None
) -> Json:
    return {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
