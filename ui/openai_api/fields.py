"""Fields of a request's JSON, one by one: of the type and in the range, or refused by name. Pure.

A field that is null counts as not given, as with OpenAI.
"""

import json
import math
from collections.abc import Mapping
from typing import Any, NoReturn

from engine.foreign_json import writable
from ui.openai_api.errors import ApiError


def parse_body(raw: bytes) -> "Fields":
    """The object in a request's body. Raises ApiError for anything else."""
    try:
        value = json.loads(raw, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise ApiError(
            400, f"The body is not JSON: {error.msg} in line {error.lineno}.", code="invalid_json"
        ) from error
    except (ValueError, RecursionError) as error:  # no UTF-8, endless numbers or lists, NaN
        raise ApiError(400, "The body is not readable JSON.", code="invalid_json") from error
    if not isinstance(value, dict):
        raise ApiError(400, "The body must be a JSON object.", code="invalid_json")
    return Fields(value)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


class Fields:
    """Reads one JSON object. ``path`` is where it is in the body, for what errors say."""

    def __init__(self, values: Mapping[str, Any], path: str = "") -> None:
        self._values = values
        self._path = path

    def name(self, name: str) -> str:
        """A field's name as the sender would write it."""
        return f"{self._path}.{name}" if self._path else name

    def has(self, name: str) -> bool:
        """Whether it is given, and not null."""
        return self._values.get(name) is not None

    def raw(self, name: str) -> Any:
        """A value as it came."""
        return self._values.get(name)

    def refuse(self, name: str, must: str) -> NoReturn:
        """Say what a field must be."""
        full = self.name(name)
        raise ApiError(400, f"{full} must be {must}.", full, "invalid_value")

    def text(self, name: str) -> str | None:
        """A text, its characters whole."""
        value = self.raw(name)
        if value is not None and not isinstance(value, str):
            self.refuse(name, "a text")
        return None if value is None else writable(value)

    def flag(self, name: str) -> bool:
        """True or false; false when not given."""
        value = self.raw(name)
        if value is not None and not isinstance(value, bool):
            self.refuse(name, "true or false")
        return bool(value)

    def whole(self, name: str, low: int, high: float = math.inf) -> int | None:
        """A whole number from ``low`` to ``high``."""
        value = self.raw(name)
        is_whole = isinstance(value, int) and not isinstance(value, bool)
        if value is not None and not (is_whole and low <= value <= high):
            self.refuse(name, f"a whole number {_between(low, high)}")
        return None if value is None else int(value)

    def number(self, name: str, low: float, high: float) -> float | None:
        """A number from ``low`` to ``high``."""
        value = self.raw(name)
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if value is not None and not (is_number and low <= value <= high):
            self.refuse(name, f"a number {_between(low, high)}")
        return None if value is None else float(value)

    def inner(self, name: str) -> "Fields":
        """An object within; an empty one when not given."""
        value = self.raw(name)
        if value is not None and not isinstance(value, dict):
            self.refuse(name, "an object")
        return Fields(value or {}, self.name(name))

    def items(self, name: str) -> list[Any]:
        """A list; an empty one when not given."""
        value = self.raw(name)
        if value is not None and not isinstance(value, list):
            self.refuse(name, "a list")
        return value or []


def _between(low: float, high: float) -> str:
    return f"of at least {low:g}" if high == math.inf else f"from {low:g} to {high:g}"
