"""The bodies that the routes accept, checked strictly: no number as text, no truth value as number.

Fields of OpenAI's that change nothing here are ignored. Those that would change the answer in a way
that the server does not offer are refused by name, unless they have the value that changes nothing.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

MAX_CHOICES = 128
MAX_PROMPTS = 256
MAX_LOGPROBS = 20

_IGNORED = frozenset({
    "user", "metadata", "store", "service_tier", "prompt_cache_key", "safety_identifier",
    "skip_special_tokens", "spaces_between_special_tokens",
})  # fmt: skip
_NEUTRAL: dict[str, tuple[object, ...]] = {
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "suffix": ("",),
    "best_of": (1,),
    "response_format": ({"type": "text"},),
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "parallel_tool_calls": (True, False),
    "functions": ([],),
    "function_call": ("none", "auto"),
    "modalities": (["text"],),
    "audio": (),
    "prediction": (),
    "reasoning_effort": (),
    "web_search_options": (),
    "min_tokens": (0,),
    "min_p": (0,),
    "use_beam_search": (False,),
}
"""Fields that are refused, with the values that change nothing; null is one of each."""

SEVERAL_TYPES = {
    "prompt": "must be a text, a list of ids, or a list of texts or of lists of ids; none is empty",
    "stop": "must be up to 4 texts of 1 to 64 characters",
    "content": 'must be a text or a list of {"type": "text", "text": ...}',
    "input": f"must be a text or a list of up to {MAX_PROMPTS} texts",
}
"""Fields of several types, with what they take."""

Id = Annotated[int, Field(ge=0, le=(1 << 31) - 1)]
Ids = Annotated[
    list[Id], Field(min_length=1, fail_fast=True)
]  # a million errors would take seconds
Stop = Annotated[str, Field(min_length=1, max_length=64)]


class Body(BaseModel):
    """A JSON object whose fields are all known and of the right type."""

    model_config = ConfigDict(
        strict=True, allow_inf_nan=False, extra="forbid", use_attribute_docstrings=True
    )

    @model_validator(mode="before")
    @classmethod
    def _leave_out_what_changes_nothing(cls, value: object) -> object:
        if not isinstance(value, dict):
            return value
        kept = {}
        for name, given in value.items():
            if name in _IGNORED:
                continue
            if name in _NEUTRAL and name not in cls.model_fields:
                if not _is_neutral(given, _NEUTRAL[name]):
                    raise ValueError(f"{name} is not supported: leave it out")
                continue
            kept[name] = given
        return kept


def _is_neutral(value: object, neutral: tuple[object, ...]) -> bool:
    if value is None:
        return True
    return any(value == each and isinstance(value, bool) == isinstance(each, bool)
               for each in neutral)  # fmt: skip


class StreamOptions(Body):
    """Options of a stream."""

    include_usage: bool = False
    """End the stream with the number of tokens."""

    include_obfuscation: bool | None = None
    """Ignored: nothing is padded."""


class Sampling(Body):
    """The fields that completions and chats have in common."""

    model: str | None = None
    """The name of a served model; the first one if none is named."""

    max_tokens: Annotated[int, Field(ge=0)] | None = None
    """Most tokens of an answer."""

    temperature: Annotated[float, Field(ge=0, le=100)] | None = None
    """Divisor of the logits; 0 is greedy decoding, 1 by default."""

    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    """Sample from the smallest set of tokens whose probability reaches p."""

    top_k: Annotated[int, Field(ge=-1, le=(1 << 31) - 1)] | None = None
    """Sample from the k most likely tokens; 0 or -1 from all. Not of OpenAI."""

    repetition_penalty: Annotated[float, Field(gt=0, le=100)] | None = None
    """Divides the logits of tokens that there are already. Not of OpenAI."""

    logit_bias: dict[str, Annotated[float, Field(ge=-100, le=100)]] | None = None
    """Added to the logits of some ids, which are its keys."""

    n: Annotated[int, Field(ge=1, le=MAX_CHOICES)] | None = None
    """Answers of each prompt; answer i has the seed ``seed + i``."""

    seed: Annotated[int, Field(ge=0, le=(1 << 63) - 1)] | None = None
    """The same seed gives the same answer; without one it is random."""

    stop: Stop | Annotated[list[Stop], Field(max_length=4)] | None = None
    """Up to four strings before which an answer ends."""

    stream: bool | None = None
    """Send the answer as it is written, as server-sent events."""

    stream_options: StreamOptions | None = None

    return_token_ids: bool | None = None
    """Also give the ids of prompt and answer. Not of OpenAI, as vLLM."""

    @field_validator("stop")
    @classmethod
    def _stop_is_a_list(cls, value: str | list[str] | None) -> list[str] | None:
        return [value] if isinstance(value, str) else value

    @field_validator("logit_bias")
    @classmethod
    def _bias_is_by_id(cls, value: dict[str, float] | None) -> dict[str, float] | None:
        wrong = [key for key in value or {} if not (key.isascii() and key.isdigit())]
        if wrong:
            raise ValueError(f"the keys of logit_bias are token ids, got {wrong[0]!r:.40}")
        if value and len(value) > 1024:
            raise ValueError(f"logit_bias has at most 1024 ids, got {len(value)}")
        return value

    @model_validator(mode="after")
    def _options_belong_to_a_stream(self) -> "Sampling":
        if self.stream_options is not None and not self.stream:
            raise ValueError("stream_options belongs to a stream: set stream to true")
        return self

    @property
    def stops(self) -> list[str]:
        """The stop strings."""
        return list(self.stop or [])

    @property
    def wants_usage(self) -> bool:
        """Whether a stream ends with the number of tokens."""
        return self.stream_options is not None and self.stream_options.include_usage


Prompt = (
    str
    | Ids
    | Annotated[list[str], Field(min_length=1, max_length=MAX_PROMPTS, fail_fast=True)]
    | Annotated[list[Ids], Field(min_length=1, max_length=MAX_PROMPTS, fail_fast=True)]
)


class CompletionBody(Sampling):
    """The body of ``/v1/completions``."""

    prompt: Prompt
    """A text, ids, or several of one kind."""

    logprobs: Annotated[int, Field(ge=0, le=MAX_LOGPROBS)] | None = None
    """Also the log-probabilities, and those of so many of the most likely tokens."""

    echo: bool | None = None
    """Also the prompt; with ``max_tokens`` 0 only the prompt, for its log-probabilities."""

    @property
    def prompts(self) -> list[str | list[int]]:
        """Each prompt, as text or ids."""
        if isinstance(self.prompt, str):
            return [self.prompt]
        if isinstance(self.prompt[0], int):
            return [[each for each in self.prompt if isinstance(each, int)]]
        return [each for each in self.prompt if not isinstance(each, int)]


class TextPart(Body):
    """A part of a message; only text is read."""

    type: Literal["text"]
    text: str


class Message(Body):
    """A message of a chat."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | Annotated[list[TextPart], Field(max_length=64)]
    name: str | None = None

    @property
    def text(self) -> str:
        """The content as one text."""
        if isinstance(self.content, str):
            return self.content
        return "".join(part.text for part in self.content)


class ChatBody(Sampling):
    """The body of ``/v1/chat/completions``."""

    messages: Annotated[list[Message], Field(min_length=1, max_length=512)]
    """The turns of the chat; the last message is the instruction that is answered."""

    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    """The newer name of ``max_tokens``."""

    input: str | None = None
    """The text that the last instruction is about. Not of OpenAI."""

    logprobs: bool | None = None
    """Also the log-probability of each token."""

    top_logprobs: Annotated[int, Field(ge=0, le=MAX_LOGPROBS)] | None = None
    """And those of so many of the most likely tokens."""

    @model_validator(mode="after")
    def _belong_together(self) -> "ChatBody":
        if self.top_logprobs is not None and not self.logprobs:
            raise ValueError("top_logprobs needs logprobs to be true")
        if self.max_tokens == 0:
            raise ValueError("max_tokens must be at least 1")
        if self.messages[-1].role != "user":
            raise ValueError("the last of the messages must have the role user")
        return self


class ClassifyBody(Body):
    """The body of ``/v1/classify``."""

    model: str | None = None
    """The name of a served classifier; the first one if none is named."""

    input: str | Annotated[list[str], Field(min_length=1, max_length=MAX_PROMPTS)]
    """A text or several."""

    @property
    def texts(self) -> list[str]:
        """The texts."""
        return [self.input] if isinstance(self.input, str) else self.input


class TokenizeBody(Body):
    """The body of ``/tokenize``."""

    model: str | None = None
    prompt: str
    """The text."""

    add_special_tokens: bool | None = None
    """Begin with the special ids that a completion of this text begins with; true by default."""

    return_token_strs: bool | None = None
    """Also the text of each token."""


class DetokenizeBody(Body):
    """The body of ``/detokenize``."""

    model: str | None = None
    tokens: Annotated[list[Id], Field(fail_fast=True)]
    """The ids."""
