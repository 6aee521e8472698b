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
)

RETRY_AFTER_S = 1


class ApiError(EngineError):
    """A refusal with its HTTP status, the field that it is about, and OpenAI's code for it."""

    def __init__(
        self, status: int, message: str, param: str | None = None, code: str | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.param = param
        self.code = code


def api_error(error: EngineError) -> ApiError:
    """An error of the engine with the status that a program expects for it."""
    if isinstance(error, ApiError):
        return error
    status, param, code = _kind(error)
    failure = ApiError(status, error.text, param, code)
    failure.__cause__ = error
    return failure


def _kind(error: EngineError) -> tuple[int, str | None, str | None]:
    """Status, field and code."""
    match error:
        case NotInstalled():
            return 404, "model", "model_not_found"
        case InsufficientMemory() | InUse():
            return 503, "model", "model_not_available"
        case ModelError():
            return 400, "model", "model_not_usable"
        case ContextOverflow():
            return 400, "messages", "context_length_exceeded"
        case InvalidRequest():
            return 400, "messages", "invalid_value"
        case Busy():
            return 429, None, "server_busy"
        case QuotaExceeded():
            return 429, None, "rate_limit_exceeded"
        case AccessError():
            return 403, None, "not_allowed"
        case GenerationError():
            return 400, None, None
    return 500, None, None


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
