"""JSON that somebody hands to us: bounded, and refused with a sentence that says what is wrong."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from engine.errors import EngineError

MAX_IMPORT_BYTES = 50_000_000
_LITERAL_CHARS = 8  # a file may end within a word as long as -Infinity, or within \uXXXX

Failing = Callable[[str, str], EngineError]
"""Makes the error of whoever asks, from a sentence and a hint."""


def read_json_file(path: Path, failing: Failing, max_bytes: int = MAX_IMPORT_BYTES) -> str:
    """The text of a file. Raises what ``failing`` makes when it is too large or none."""
    try:
        with path.open("rb") as file:
            raw = file.read(max_bytes + 1)
        size_bytes = path.stat().st_size
    except OSError as error:
        raise failing("The file could not be read.", "Choose it again.") from error
    if len(raw) > max_bytes:
        size, most = size_bytes / 1e6, max_bytes / 1e6
        raise failing(
            f"The file has {size:,.0f} MB; an import may have {most:,.0f} MB.",
            "Split it into smaller files.",
        )
    try:
        return raw.decode(json.detect_encoding(raw))
    except UnicodeDecodeError as error:
        raise failing("The file holds no text.", "Choose a JSON file.") from error


def parse_json(text: str, failing: Failing) -> object:
    """The value of a JSON text, every number in it finite.

    Raises what ``failing`` makes for a text that is cut off, or is no JSON.
    """
    try:
        return json.loads(text, parse_constant=_refuse, parse_float=_finite)
    except json.JSONDecodeError as error:
        if is_cut_off(text, error):
            raise failing(
                "The file ends in the middle: a part of it is missing.", "Fetch or export it again."
            ) from error
        raise failing(
            f"The file is not JSON: {error.msg} in line {error.lineno:,}.", "Choose another file."
        ) from error
    except (ValueError, RecursionError) as error:
        raise failing(
            "The file holds values that no chat has: numbers without end, or endless lists.",
            "Choose another file.",
        ) from error


def is_cut_off(text: str, error: json.JSONDecodeError) -> bool:
    """Whether a text is no JSON only because its end is missing."""
    is_begun = text.lstrip()[:1] in ("{", "[")
    is_at_end = error.pos >= len(text.rstrip()) - _LITERAL_CHARS
    return is_begun and (is_at_end or error.msg.startswith("Unterminated string"))


def writable(text: str) -> str:
    """A text whose halves of characters are joined, or replaced where the other half is missing."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        raise ValueError("a number too large")
    return number
