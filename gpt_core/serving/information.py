"""The routes that do not generate: health, metrics, models, tokens and classes."""

import asyncio
import secrets
import time

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from gpt_core.serving.errors import ApiError
from gpt_core.serving.json_body import read_body
from gpt_core.serving.metrics import CONTENT_TYPE
from gpt_core.serving.models import Classifier, LanguageModel, Model
from gpt_core.serving.prompts import document_start
from gpt_core.serving.shapes import ClassifyBody, DetokenizeBody, TokenizeBody
from gpt_core.serving.streaming import unless_gone
from gpt_core.serving.text import token_text


async def health(request: Request) -> Response:
    """Whether every model can answer: 503 while one is loading, stalled or dead."""
    state = request.app.state
    problems = state.models.problems()
    if state.stopping:
        problems = dict.fromkeys(state.models.names, "stopping")
    if problems:
        return JSONResponse(
            {"status": "unavailable", "models": problems}, 503, {"Retry-After": "1"}
        )
    return JSONResponse({"status": "ok"})


async def metrics(request: Request) -> Response:
    """Every metric for Prometheus."""
    return Response(request.app.state.metrics.render(), media_type=CONTENT_TYPE)


async def models(request: Request) -> Response:
    """The served models."""
    found = [_describe(model) for model in request.app.state.models.list()]
    return JSONResponse({"object": "list", "data": found})


async def model(request: Request) -> Response:
    """One served model."""
    return JSONResponse(
        _describe(request.app.state.models.find(request.path_params["name"], Model))
    )


async def classify(request: Request) -> Response:
    """The probabilities of a classifier's labels for each text, in the shape of vLLM's route."""
    body = await read_body(request, ClassifyBody)
    classifier = request.app.state.models.find(body.model, Classifier)
    found = await unless_gone(request, classifier.classify(body.texts))
    rows = zip(found.probabilities.tolist(), found.cut, strict=True)
    data = [_classified(classifier, index, row, cut) for index, (row, cut) in enumerate(rows)]
    n_tokens = sum(found.tokens) - sum(found.cut)
    usage = {"prompt_tokens": n_tokens, "completion_tokens": 0, "total_tokens": n_tokens}
    return JSONResponse({
        "id": f"classify-{secrets.token_hex(12)}", "object": "list", "created": int(time.time()),
        "model": classifier.name, "system_fingerprint": classifier.fingerprint, "data": data,
        "usage": usage,
    })  # fmt: skip


async def tokenize(request: Request) -> Response:
    """The ids of a text, as a completion of it begins."""
    body = await read_body(request, TokenizeBody)
    found = request.app.state.models.find(body.model, Model)
    ids = await asyncio.to_thread(found.tokenizer.encode, body.prompt)
    if isinstance(found, LanguageModel) and body.add_special_tokens is not False:
        ids = [*document_start(found), *ids]
    answer: dict[str, object] = {
        "count": len(ids), "max_model_len": found.context_length, "tokens": ids
    }  # fmt: skip
    if body.return_token_strs:
        answer["token_strs"] = [token_text(found.tokenizer, each) for each in ids]
    return JSONResponse(answer)


async def detokenize(request: Request) -> Response:
    """The text of some ids."""
    body = await read_body(request, DetokenizeBody)
    found = request.app.state.models.find(body.model, Model)
    size = found.tokenizer.vocab_size
    outside = next((each for each in body.tokens if each >= size), None)
    if outside is not None:
        message = f"tokens has the id {outside}, and the ids of {found.name} are 0 to {size - 1}"
        raise ApiError(400, message, param="tokens", code="invalid_value")
    return JSONResponse({"prompt": await asyncio.to_thread(found.tokenizer.decode, body.tokens)})


def add_routes(router: APIRouter) -> None:
    """Add the routes of this module."""
    for path, route in (("/health", health), ("/metrics", metrics), ("/v1/models", models)):
        router.add_api_route(path, route, methods=["GET"])
    router.add_api_route("/v1/models/{name:path}", model, methods=["GET"])
    for path, route in (
        ("/v1/classify", classify), ("/tokenize", tokenize), ("/detokenize", detokenize)
    ):  # fmt: skip
        router.add_api_route(path, route, methods=["POST"])


def _describe(model: Model) -> dict[str, object]:
    description = model.description
    return {
        "id": model.name,
        "object": "model",
        "created": model.loaded,
        "owned_by": "gptflow",
        "root": model.source,
        "max_model_len": model.context_length,
        "kind": description.kind,
        "template": description.template,
        "labels": None if description.labels is None else list(description.labels),
        "vocab_size": model.tokenizer.vocab_size,
        "system_fingerprint": model.fingerprint,
    }


def _classified(model: Classifier, index: int, row: list[float], cut: int) -> dict[str, object]:
    best = max(range(len(row)), key=row.__getitem__)
    return {
        "index": index,
        "label": model.labels[best],
        "probs": row,
        "num_classes": len(row),
        "scores": dict(zip(model.labels, row, strict=True)),
        "tokens_not_read": cut,
    }
