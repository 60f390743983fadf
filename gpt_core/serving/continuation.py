"""One choice of an answer, from the updates of the engine: text, log-probabilities and its end."""

from dataclasses import dataclass
from typing import Literal

from gpt_core.generation.requests import Choice, Update
from gpt_core.serving.models import LanguageModel
from gpt_core.serving.prompts import PreparedPrompt
from gpt_core.serving.text import TextStream, token_text

Reason = Literal["stop", "length"]
_SMALLEST = -9999.0  # of a logarithm: JSON has no infinity

Token = tuple[int, Choice]
"""A token after the position of its first character in prompt and continuation."""


@dataclass(frozen=True, slots=True)
class Delta:
    """Text and tokens that an update adds to a choice."""

    text: str = ""
    tokens: tuple[Token, ...] = ()
    finish: Reason | None = None

    def __bool__(self) -> bool:
        """Whether there is anything to send."""
        return bool(self.text or self.tokens or self.finish)


class Continuation:
    """Collects the updates of one request.

    Args:
        model: The model that answers.
        prompt: The prompt.
        stops: Strings before which the text ends.
        echo: Begin with the prompt.
    """

    def __init__(
        self,
        model: LanguageModel,
        prompt: PreparedPrompt,
        stops: list[str],
        *,
        echo: bool = False,
    ) -> None:
        self._tokenizer, self._prompt, self._echo = model.tokenizer, prompt, echo
        self._stream = TextStream[Choice](model.tokenizer, stops)
        shown = prompt.token_ids[prompt.n_hidden :]
        given = prompt.text
        self._prompt_text = self._tokenizer.decode(shown) if given is None else given
        self.n_tokens = 0
        """Tokens that were generated, those of a stop string included."""

        self.token_ids: list[int] = []
        self.finish: Reason | None = None

    def add(self, update: Update) -> Delta:
        """Take an update; what follows the end of the choice is ignored."""
        if self.finish is not None:
            return Delta()
        text, tokens = self._begin(update)
        for choice in update.tokens:
            self.n_tokens += 1
            piece = self._stream.push(choice.token_id, choice)
            text += piece.text
            tokens += piece.items
            self.token_ids.append(choice.token_id)
            if self._stream.stopped:
                self.finish = "stop"
                break
        if self.finish is None and update.finish is not None:
            piece = self._stream.flush()
            text, tokens = text + piece.text, tokens + piece.items
            stopped = self._stream.stopped or update.finish == "stop"
            self.finish = "stop" if stopped else "length"
        start = len(self._prompt_text)
        placed = tuple((start + position, choice) for position, choice in tokens)
        return Delta(text, placed, self.finish)

    def _begin(self, update: Update) -> tuple[str, tuple[Token, ...]]:
        """The prompt, with the first update of a choice that echoes it."""
        if not self._echo:
            return "", ()
        self._echo = False
        start = len(self._prompt_text)
        stream = TextStream[Choice](self._tokenizer)
        items: list[Token] = []
        for choice in (update.prompt or ())[self._prompt.n_hidden :]:
            items += stream.push(choice.token_id, choice).items
        items += stream.flush().items
        return self._prompt_text, tuple((position - start, choice) for position, choice in items)


class LogprobWriter:
    """Writes tokens with their log-probabilities in the shapes of OpenAI's two routes.

    Args:
        model: The model of the ids.
    """

    def __init__(self, model: LanguageModel) -> None:
        self._tokenizer = model.tokenizer

    def completions(
        self, tokens: tuple[Token, ...], *, with_ids: bool = False
    ) -> dict[str, object]:
        """The shape of ``/v1/completions``: four lists of the same length."""
        found: dict[str, object] = {
            "tokens": [self._text(choice.token_id) for _, choice in tokens],
            "token_logprobs": [_number(choice.logprob) for _, choice in tokens],
            "top_logprobs": [self._best(choice) for _, choice in tokens],
            "text_offset": [position for position, _ in tokens],
        }
        if with_ids:
            found["token_ids"] = [choice.token_id for _, choice in tokens]
            found["top_token_ids"] = [[each for each, _ in choice.top] for _, choice in tokens]
            found["top_token_logprobs"] = [
                [_number(value) for _, value in choice.top] for _, choice in tokens
            ]
            found["top_tokens"] = [
                [self._text(each) for each, _ in choice.top] for _, choice in tokens
            ]
        return found

    def chat(self, tokens: tuple[Token, ...]) -> dict[str, object]:
        """The shape of ``/v1/chat/completions``: an object for each token."""
        content = []
        for _, choice in tokens:
            top = [self._token(each, value) for each, value in choice.top]
            content.append({**self._token(choice.token_id, choice.logprob), "top_logprobs": top})
        return {"content": content, "refusal": None}

    def _best(self, choice: Choice) -> dict[str, float | None] | None:
        """The most likely tokens and the chosen one; of two with the same text the likelier."""
        if choice.logprob is None:
            return None
        found: dict[str, float | None] = {}
        for token_id, value in (*choice.top, (choice.token_id, choice.logprob)):
            found.setdefault(self._text(token_id), _number(value))
        return found

    def _token(self, token_id: int, logprob: float | None) -> dict[str, object]:
        content = self._tokenizer.token_bytes(token_id)
        return {
            "token": self._text(token_id),
            "logprob": _number(logprob),
            "bytes": list(content) or None,
        }

    def _text(self, token_id: int) -> str:
        return token_text(self._tokenizer, token_id)


def _number(logprob: float | None) -> float | None:
    return None if logprob is None else max(logprob, _SMALLEST)
