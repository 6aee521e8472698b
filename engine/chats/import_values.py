"""Values of an imported file, one by one: of a type that the store takes, or refused. Pure."""

import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, get_args

from engine.chats.attached import attachment_details, read_attachments
from engine.chats.records import MessageState
from engine.errors import ImportFailed, InvalidRequest
from engine.foreign_json import writable
from engine.records import FinishReason, GenerationStats, Role
from engine.sampling_json import params_from_json, params_to_json

MAX_DETAILS_CHARS = 20_000
_MAX_NUMBER = 1e15
_STATS = tuple(field.name for field in fields(GenerationStats))


def read_text(value: object, name: str) -> str:
    """A text that can be written as UTF-8. Raises ImportFailed for anything else."""
    if not isinstance(value, str):
        raise ImportFailed(f"{name} is not text.", "Export the chat again.")
    return writable(value)


def read_role(value: object, where: str) -> Role:
    """Who said it. Raises ImportFailed for a role that a chat does not have."""
    for role in get_args(Role):
        if value == role:
            return role  # type: ignore[no-any-return]  # get_args gives Any
    raise ImportFailed(
        f"{where} has a role that Pomona does not know.", "There are system, user and assistant."
    )


def read_message_state(value: object) -> MessageState:
    """Whether an answer was ended; nobody writes on one that was being written elsewhere."""
    return "cut" if value in ("cut", "writing") else "done"


def read_number(value: object) -> float:
    """A number of a size that times and counts have, 0 for anything else."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < _MAX_NUMBER:
        return value
    return 0.0


def read_params(value: object) -> dict[str, Any]:
    """Settings that a request could carry, none for anything else."""
    if not isinstance(value, Mapping) or not value:
        return {}
    try:
        params = params_to_json(params_from_json(value))
    except InvalidRequest:
        return {}
    params["system_prompt"] = writable(params["system_prompt"])
    return {name: params[name] for name in value if name in params}


def read_details(value: object) -> dict[str, Any]:
    """An answer's figures: those we know of the right type, the others as long as they are few.

    A message's files are among them, as far as they are whole.
    """
    if not isinstance(value, Mapping):
        return {}
    files = attachment_details(read_attachments(value.get("attachments")))
    try:
        others = {name: one for name, one in value.items() if name != "attachments"}
        text = writable(json.dumps(others, ensure_ascii=False))
    except RecursionError:
        return files
    details: dict[str, Any] = json.loads(text) if len(text) <= MAX_DETAILS_CHARS else {}
    if not isinstance(details.get("error", ""), str):
        del details["error"]
    if details.get("reason") not in (*get_args(FinishReason), None):
        del details["reason"]
    if details.get("reasoning_s") is not None:
        details["reasoning_s"] = read_number(details["reasoning_s"])
    if "stats" in details:
        details["stats"] = _figures(details["stats"])
    return details | files


def _figures(value: object) -> dict[str, float]:
    """Stats that GenerationStats takes."""
    if not isinstance(value, Mapping):
        return {}
    return {name: read_number(value[name]) for name in _STATS if name in value}
