"""The web application: routes, errors in OpenAI's shape, and the guard around both."""

from collections.abc import Sequence

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware

from gpt_core.serving import information, page, routes
from gpt_core.serving.errors import ApiError
from gpt_core.serving.guard import Guard
from gpt_core.serving.metrics import Metrics
from gpt_core.serving.models import Models
from gpt_core.serving.settings import ServingConfig
from gpt_core.serving.streaming import ClientGoneError

_GONE = 499  # as nginx's; nobody reads it
_STATUS = {
    404: "there is no such route",
    405: "this route has no such method",
}


def create_app(config: ServingConfig, models: Models, metrics: Metrics) -> FastAPI:
    """The routes, without their guard.

    Args:
        config: Their limits.
        models: What they serve.
        metrics: Where requests are counted.
    """
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    app.state.config, app.state.models, app.state.metrics = config, models, metrics
    app.state.stopping = False
    for each in (information, routes, page):
        each.add_routes(app.router)
    app.add_exception_handler(ApiError, _refuse)
    app.add_exception_handler(HTTPException, _refuse)
    app.add_exception_handler(ClientGoneError, _leave)
    if config.allowed_origins:
        app.add_middleware(
            CORSMiddleware, allow_origins=list(config.allowed_origins),
            allow_methods=["GET", "POST"], allow_headers=["Authorization", "Content-Type"],
        )  # fmt: skip
    return app


def guard_app(app: FastAPI, config: ServingConfig, key: str | None) -> Guard:
    """The routes behind their guard.

    Args:
        app: The routes.
        config: The hosts and origins that may ask.
        key: What clients must send; None needs none.
    """
    return Guard(app, _hosts(config), config.allowed_origins, key)


def _hosts(config: ServingConfig) -> Sequence[str]:
    """The names under which clients know the server."""
    own = f"[{config.host}]" if ":" in config.host else config.host
    return (*config.allowed_hosts, own)


async def _refuse(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException):
        message = _STATUS.get(error.status_code, str(error.detail))
        given = dict(error.headers or {})
        error = ApiError(error.status_code, message)
        error.headers |= given
    assert isinstance(error, ApiError)
    request.app.state.metrics.refused(error.status)
    return JSONResponse(error.body, error.status, error.headers)


async def _leave(request: Request, error: Exception) -> Response:
    return Response(status_code=_GONE)
