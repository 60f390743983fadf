"""Errors of requests, in the shape that OpenAI's clients read."""

_KINDS = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}


class ApiError(Exception):
    """A request that is refused or has failed.

    Args:
        status: The HTTP status.
        message: One sentence: what was expected, what came, what to do.
        param: The field that it is about.
        code: A word for programs.
        retry_after: Seconds after which trying again may help.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.param, self.code = status, message, param, code
        self.headers = {} if retry_after is None else {"Retry-After": str(retry_after)}

    @property
    def body(self) -> dict[str, object]:
        """The JSON value of the response."""
        kind = "server_error" if self.status >= 500 else "invalid_request_error"
        error = {
            "message": self.message,
            "type": _KINDS.get(self.status, kind),
            "param": self.param,
            "code": self.code,
        }
        return {"error": error}


def invalid(message: str, param: str | None = None) -> ApiError:
    """A value that cannot be used: status 400."""
    return ApiError(400, message, param=param, code="invalid_value")


def busy(message: str, code: str, status: int = 503) -> ApiError:
    """The server cannot take the request now; the client may try again."""
    return ApiError(status, message, code=code, retry_after=1)
