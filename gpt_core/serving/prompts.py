"""Turn the prompts and messages of a request into ids, and its fields into engine requests."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from gpt_core.generation.requests import Request
from gpt_core.serving.errors import ApiError, invalid
from gpt_core.serving.models import LanguageModel
from gpt_core.serving.shapes import ChatBody, CompletionBody, Sampling

DEFAULT_TOKENS = 16
"""Default of ``max_tokens`` in completions, as OpenAI's; a chat may fill the context."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PreparedPrompt:
    """A prompt as the model reads it."""

    token_ids: tuple[int, ...]
    n_hidden: int = 0
    """Ids at its beginning that are no text of the client's: the mark of a new document."""

    text: str | None = None
    """The text that was given; None for ids."""


def prepare_prompts(model: LanguageModel, body: CompletionBody) -> list[PreparedPrompt]:
    """Encode the prompts of a completion.

    A text begins with the mark of a new document, as in pretraining, unless the model was tuned on
    instructions. Ids are taken as they are.

    Raises:
        ApiError: If one is longer than the context, or an id is not of the vocabulary.
    """
    prepared = []
    for index, prompt in enumerate(body.prompts):
        param = "prompt" if len(body.prompts) == 1 else f"prompt.{index}"
        if isinstance(prompt, str):
            start = document_start(model)
            ids = [*start, *model.tokenizer.encode(prompt)]
            one = PreparedPrompt(token_ids=tuple(ids), n_hidden=len(start), text=prompt)
            if not ids:
                one = PreparedPrompt(token_ids=(model.tokenizer.eos_id,), n_hidden=1, text="")
        else:
            require_ids(model, prompt, param)
            one = PreparedPrompt(token_ids=tuple(prompt))
        _require_fits(model, one.token_ids, param)
        prepared.append(one)
    return prepared


def document_start(model: LanguageModel) -> list[int]:
    """The ids that a text of its own begins with."""
    return [model.tokenizer.eos_id] if model.template is None else []


def prepare_chat(model: LanguageModel, body: ChatBody) -> PreparedPrompt:
    """Encode the messages of a chat in the template that the model was tuned with.

    The last message is the instruction, and ``input`` what it is about. Earlier turns come before
    it in the same template, each answer followed by the mark that ends a document; messages of the
    system precede the instruction after them.

    Raises:
        ApiError: If the model has no template, or the messages are longer than its context.
    """
    if model.template is None:
        raise ApiError(
            400, f"{model.name} was not tuned on instructions: ask /v1/completions",
            param="model", code="no_template",
        )  # fmt: skip
    ids: list[int] = []
    before: list[str] = []
    last = len(body.messages) - 1
    for index, message in enumerate(body.messages):
        if message.role == "assistant":
            ids += [*model.tokenizer.encode(message.text), model.tokenizer.eos_id]
        elif message.role == "user":
            instruction = "\n\n".join([*before, message.text])
            before = []
            context = (body.input or "") if index == last else ""
            ids += model.tokenizer.encode(model.template.format(instruction, context))
        else:
            before.append(message.text)
    _require_fits(model, ids, "messages")
    return PreparedPrompt(token_ids=tuple(ids), n_hidden=len(ids))


def to_requests(
    model: LanguageModel,
    body: Sampling,
    prompts: Sequence[PreparedPrompt],
    *,
    max_tokens: int | None,
    logprobs: int | None,
    echo: bool = False,
) -> list[Request]:
    """The requests of the engine: ``n`` for each prompt, in the order of the choices' indices.

    Raises:
        ApiError: If a number is out of the model's range.
    """
    if max_tokens is not None and max_tokens > model.context_length:
        raise invalid(
            f"max_tokens must be at most {model.context_length}, the context of {model.name}, "
            f"got {max_tokens}", "max_tokens",
        )  # fmt: skip
    if max_tokens == 0 and not echo:
        raise invalid("max_tokens must be at least 1 without echo", "max_tokens")
    bias = {int(key): value for key, value in (body.logit_bias or {}).items()}
    require_ids(model, list(bias), "logit_bias")
    seed = secrets.randbits(48) if body.seed is None else body.seed
    top_k = body.top_k if body.top_k is not None and body.top_k > 0 else None
    return [
        Request(
            prompt=prompt.token_ids,
            max_new_tokens=model.context_length if max_tokens is None else max_tokens,
            temperature=1.0 if body.temperature is None else float(body.temperature),
            top_k=None if top_k is None else min(top_k, model.tokenizer.vocab_size),
            top_p=None if body.top_p in (None, 1) else body.top_p,
            repetition_penalty=body.repetition_penalty or 1.0,
            logit_bias=bias,
            seed=(seed + index * (body.n or 1) + choice) % (1 << 63),
            stop_ids=frozenset({model.tokenizer.eos_id}),
            logprobs=logprobs,
            score_prompt=echo and (logprobs is not None or max_tokens == 0),
        )
        for index, prompt in enumerate(prompts)
        for choice in range(body.n or 1)
    ]


def require_ids(model: LanguageModel, token_ids: Sequence[int], param: str) -> None:
    """Check that ids are of the model's vocabulary.

    Raises:
        ApiError: Naming the first that is not.
    """
    size = min(model.tokenizer.vocab_size, model.description.model.vocab_size or 0)
    outside = next((each for each in token_ids if not 0 <= each < size), None)
    if outside is not None:
        raise invalid(
            f"{param} has the id {outside}, and the ids of {model.name} are 0 to {size - 1}", param
        )


def _require_fits(model: LanguageModel, token_ids: Sequence[int], param: str) -> None:
    if len(token_ids) > model.context_length:
        raise ApiError(
            400,
            f"{param} has {len(token_ids)} tokens, and {model.name} reads {model.context_length} "
            "at most: shorten it",
            param=param, code="context_length_exceeded",
        )  # fmt: skip
