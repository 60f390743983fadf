"""The web page: files of this package, which ask nothing of any other server."""

from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, Response

from gpt_core.serving.errors import ApiError

_FOLDER = Path(__file__).parent / "page"
_KINDS = {".css": "text/css", ".html": "text/html", ".js": "text/javascript"}
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-cache",
}


async def index(request: Request) -> Response:
    """Send the HTML of the page."""
    return _file("index.html")


async def part(request: Request) -> Response:
    """Send a style sheet or a script of the page."""
    return _file(request.path_params["name"])


def add_routes(router: APIRouter) -> None:
    """Add the routes of this module."""
    router.add_api_route("/", index, methods=["GET"])
    router.add_api_route("/page/{name}", part, methods=["GET"])


def _file(name: str) -> Response:
    kind = _KINDS.get(Path(name).suffix)
    if kind is None or name not in _names():
        raise ApiError(404, "there is no such file of the page")
    media_type = f"{kind}; charset=utf-8"
    return FileResponse(_FOLDER / name, media_type=media_type, headers=_HEADERS)


def _names() -> set[str]:
    return {path.name for path in _FOLDER.iterdir()} if _FOLDER.is_dir() else set()
