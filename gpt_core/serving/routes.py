"""The routes that generate: ``/v1/completions`` and ``/v1/chat/completions``."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from gpt_core.serving.answers import Answer
from gpt_core.serving.continuation import Delta
from gpt_core.serving.errors import ApiError
from gpt_core.serving.json_body import read_body
from gpt_core.serving.models import LanguageModel
from gpt_core.serving.prompts import (
    DEFAULT_TOKENS,
    PreparedPrompt,
    prepare_chat,
    prepare_prompts,
    to_requests,
)
from gpt_core.serving.shapes import ChatBody, CompletionBody, Sampling
from gpt_core.serving.streaming import EventStream, unless_gone
from gpt_core.serving.writing import ChatWriter, CompletionWriter, Writer


async def complete(request: Request) -> Response:
    """Continue prompts."""
    body = await read_body(request, CompletionBody)
    options = _Options(
        max_tokens=DEFAULT_TOKENS if body.max_tokens is None else body.max_tokens,
        logprobs=body.logprobs,
        echo=bool(body.echo),
    )
    answer = await _start(request, body, lambda model: prepare_prompts(model, body), options)
    return await _respond(request, answer, CompletionWriter(answer, body), body)


async def chat(request: Request) -> Response:
    """Answer the last message of a chat."""
    body = await read_body(request, ChatBody)
    options = _Options(
        max_tokens=body.max_completion_tokens or body.max_tokens,
        logprobs=(body.top_logprobs or 0) if body.logprobs else None,
    )
    answer = await _start(request, body, lambda model: [prepare_chat(model, body)], options)
    return await _respond(request, answer, ChatWriter(answer, body), body)


def add_routes(router: APIRouter) -> None:
    """Add the routes of this module."""
    router.add_api_route("/v1/completions", complete, methods=["POST"])
    router.add_api_route("/v1/chat/completions", chat, methods=["POST"])


@dataclass(frozen=True, kw_only=True, slots=True)
class _Options:
    """The fields whose names or meaning differ between the routes."""

    max_tokens: int | None
    logprobs: int | None
    echo: bool = False


async def _start(
    request: Request,
    body: Sampling,
    prepare: Callable[[LanguageModel], list[PreparedPrompt]],
    options: _Options,
) -> Answer:
    """Take a place in the queue of a model; of the next one if it is replaced meanwhile."""
    state = request.app.state
    while True:
        model = state.models.find(body.model, LanguageModel)
        prompts = await asyncio.to_thread(prepare, model)
        asked = to_requests(
            model, body, prompts, max_tokens=options.max_tokens, logprobs=options.logprobs,
            echo=options.echo,
        )  # fmt: skip
        try:
            return Answer(
                model, prompts, asked, body.stops, echo=options.echo, config=state.config,
                metrics=state.metrics,
            )  # fmt: skip
        except ApiError as error:
            is_present = state.models.find(body.model, LanguageModel) is model
            if error.code != "stopping" or is_present:
                raise


async def _respond(request: Request, answer: Answer, writer: Writer, body: Sampling) -> Response:
    """Await an answer, or its first token if it is a stream."""
    streaming = False
    try:
        if not body.stream:
            return JSONResponse(await unless_gone(request, writer.complete()))
        deltas = answer.deltas()
        first = await unless_gone(request, _first(deltas))
        streaming = True
    finally:
        if not streaming:
            _count(request, answer)
            answer.close()

    def close() -> None:
        _count(request, answer)
        answer.close()

    return EventStream(writer.events(first, deltas), close, request.app.state.config.send_seconds)


async def _first(deltas: AsyncIterator[tuple[int, Delta]]) -> tuple[int, Delta] | None:
    return await anext(deltas, None)


def _count(request: Request, answer: Answer) -> None:
    """Note the generated tokens for the log."""
    request.scope["tokens"] = answer.usage.completion_tokens
