"""What goes wrong under /v1, in the words and the form of OpenAI's API. Pure.

The form: https://platform.openai.com/docs/guides/error-codes
"""

from typing import Any

from engine.errors import (
    AccessError,
    Busy,
    ContextOverflow,
    EngineError,
    GenerationError,
    InsufficientMemory,
    InUse,
    InvalidRequest,
    ModelError,
    NotInstalled,
    QuotaExceeded,
    RemoteError,
    ToolsUnsupported,
)

RETRY_AFTER_S = 1
_Errors = tuple[type[EngineError], ...]
_KINDS: tuple[tuple[_Errors, tuple[int, str | None, str | None]], ...] = (  # the first that fits
    ((NotInstalled,), (404, "model", "model_not_found")),
    ((InsufficientMemory, InUse), (503, "model", "model_not_available")),
    ((ModelError,), (400, "model", "model_not_usable")),
    ((ContextOverflow,), (400, "messages", "context_length_exceeded")),
    ((ToolsUnsupported,), (400, "tools", "tools_not_supported")),
    ((InvalidRequest,), (400, "messages", "invalid_value")),
    ((Busy,), (429, None, "server_busy")),
    ((QuotaExceeded,), (429, None, "rate_limit_exceeded")),
    ((AccessError,), (403, None, "not_allowed")),
    ((RemoteError,), (502, "model", "remote_failed")),
    ((GenerationError,), (400, None, None)),
)


class ApiError(EngineError):
    """A refusal with its HTTP status, the field that it is about, and OpenAI's code for it."""

    def __init__(
        self, status: int, message: str, param: str | None = None, code: str | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.param = param
        self.code = code


def api_error(error: EngineError, prompt_field: str = "messages") -> ApiError:
    """An error of the engine with the status that a program expects for it.

    ``prompt_field`` is where a request has what is to be answered.
    """
    if isinstance(error, ApiError):
        return error
    status, param, code = _kind(error)
    param = prompt_field if param == "messages" else param
    failure = ApiError(status, error.text, param, code)
    failure.__cause__ = error
    return failure


def _kind(error: EngineError) -> tuple[int, str | None, str | None]:
    """Status, field and code."""
    return next((kind for types, kind in _KINDS if isinstance(error, types)), (500, None, None))


def error_body(error: ApiError) -> dict[str, Any]:
    """The JSON of an error."""
    kinds = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
    kind = "server_error" if error.status >= 500 else "invalid_request_error"
    return {
        "error": {
            "message": error.text,
            "type": kinds.get(error.status, kind),
            "param": error.param,
            "code": error.code,
        }
    }
