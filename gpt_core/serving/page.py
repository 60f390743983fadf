"""The web page: three files of this package, which ask nothing of any other server."""

from collections.abc import Awaitable, Callable
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse, Response

from gpt_core.serving.errors import ApiError

_FOLDER = Path(__file__).parent / "page"
_FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
}
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-cache",
}


def add_routes(router: APIRouter) -> None:
    """Add a route for each file."""
    for path in _FILES:
        router.add_api_route(path, _route(path), methods=["GET"])


def _route(path: str) -> Callable[[], Awaitable[Response]]:
    name, kind = _FILES[path]

    async def file() -> Response:
        if not (_FOLDER / name).is_file():
            raise ApiError(404, f"this installation has no page: {name} is missing")
        return FileResponse(_FOLDER / name, media_type=kind, headers=_HEADERS)

    return file
