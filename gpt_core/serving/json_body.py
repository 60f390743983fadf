"""Read the JSON body of a request, strictly and within limits."""

import asyncio
import json
import math
from typing import NoReturn, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect, Request

from gpt_core.serving.errors import ApiError, invalid
from gpt_core.serving.shapes import SEVERAL_TYPES

Shape = TypeVar("Shape", bound=BaseModel)
_MAX_SHOWN = 80  # characters of a value in a message


async def read_body(request: Request, shape: type[Shape]) -> Shape:
    """Read and check the body of a request.

    Raises:
        ApiError: If it is too large or too slow, no JSON object, or a field is wrong.
    """
    config = request.app.state.config
    try:
        async with asyncio.timeout(config.body_seconds):
            content = await _read(request, config.max_body_bytes)
    except TimeoutError as error:
        message = f"the body did not arrive within {config.body_seconds:g} seconds"
        raise _unread(ApiError(408, message, code="timeout")) from error
    except ClientDisconnect as error:
        raise ApiError(400, "the body is incomplete") from error
    return check(parse(content), shape)


async def _read(request: Request, limit: int) -> bytes:
    declared = request.headers.get("content-length", "")
    parts, size = [], int(declared) if declared.isdecimal() else 0
    if size <= limit:
        size = 0
        async for part in request.stream():
            size += len(part)
            if size > limit:
                break
            parts.append(part)
    if size > limit:
        raise _unread(
            ApiError(413, f"the body is larger than {limit} bytes", code="body_too_large")
        )
    return b"".join(parts)


def _unread(error: ApiError) -> ApiError:
    """An error after which the connection is closed: the rest of the body is not read."""
    error.headers["Connection"] = "close"
    return error


def parse(content: bytes) -> dict[str, object]:
    """Parse a JSON object; no NaN, no key twice, no half of a character.

    Raises:
        ApiError: If it is anything else.
    """
    try:
        text = content.decode("utf-8")
        value = json.loads(
            text, parse_constant=_refuse, parse_float=_finite, object_pairs_hook=_unique
        )
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except RecursionError as error:
        raise invalid("the body is nested too deeply") from error
    except UnicodeDecodeError as error:
        raise invalid(f"the body is not UTF-8: {error.reason} at byte {error.start}") from error
    except UnicodeEncodeError as error:
        raise invalid("the body has a lone surrogate, which is half of a character") from error
    except ValueError as error:
        raise invalid(f"the body is not valid JSON: {error!s:.200}") from error
    if not isinstance(value, dict):
        raise invalid("the body must be a JSON object")
    return value


def check(value: dict[str, object], shape: type[Shape]) -> Shape:
    """Check the fields of a request.

    Raises:
        ApiError: Naming the first field that is wrong.
    """
    try:
        return shape.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
    path, expected = _place(first["loc"])
    message = first["msg"].removeprefix("Value error, ")
    given = (
        "" if isinstance(first["input"], dict | list) else f", got {first['input']!r:.{_MAX_SHOWN}}"
    )
    if first["type"] == "missing":
        message, given = "this field is needed", ""
    elif expected is not None:
        message, given = expected, ""
    elif first["type"] == "extra_forbidden":
        message, given = "there is no such field", ""
    elif first["type"] == "value_error":
        given = ""
    raise invalid(f"{path}: {message}{given}" if path else message, path)


def _place(location: tuple[int | str, ...]) -> tuple[str | None, str | None]:
    """The field of an error, and what it takes if it takes several types."""
    for index, part in enumerate(location):
        if part in SEVERAL_TYPES:
            return ".".join(map(str, location[: index + 1])), SEVERAL_TYPES[str(part)]
    return ".".join(map(str, location)) or None, None


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text:.40} is too large a number")
    return number


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("an object has the same key twice")
    return found
