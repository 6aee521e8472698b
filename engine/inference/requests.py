"""Checks on what a visitor asks for, before any of it reaches the inference thread."""

from collections.abc import Sequence
from typing import get_args

from engine.errors import InvalidRequest
from engine.records import Message, Overflow, Role, SamplingParams
from engine.settings import Limits

PARAM_RANGES: dict[str, tuple[float, float]] = {
    "temperature": (0.0, 2.0),
    "top_p": (0.01, 1.0),
    "top_k": (0, 1000),
    "min_p": (0.0, 1.0),
    "repetition_penalty": (1.0, 2.0),
    "max_tokens": (1, 1_000_000),
}
MAX_STOPS = 16
MAX_STOP_CHARS = 256
MAX_LOGPROBS = 20
_WHOLE = ("top_k", "max_tokens")
_ROLES = (*get_args(Role), "tool")


def check_params(params: SamplingParams) -> None:
    """Raise InvalidRequest for a setting of the wrong type or out of its range."""
    for name, (low, high) in PARAM_RANGES.items():
        value = getattr(params, name)
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if name in _WHOLE:
            is_number = is_number and isinstance(value, int)
        if not is_number or not low <= value <= high:
            kind = "a whole number" if name in _WHOLE else "a number"
            raise InvalidRequest(f"{name} must be {kind} from {low:g} to {high:g}.")
    seed = params.seed
    if seed is not None and (
        not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**32
    ):
        raise InvalidRequest("seed must be a whole number from 0 to 4294967295, or empty.")
    if not isinstance(params.system_prompt, str):
        raise InvalidRequest("system_prompt must be text.")
    if params.overflow not in get_args(Overflow):
        raise InvalidRequest(f"overflow must be one of {', '.join(get_args(Overflow))}.")
    _check_stop(params.stop)
    count = params.logprobs
    if count is not None and (type(count) is not int or not 0 <= count <= MAX_LOGPROBS):
        raise InvalidRequest(f"logprobs must be a whole number from 0 to {MAX_LOGPROBS}, or empty.")


def _check_stop(stop: Sequence[str]) -> None:
    is_list = isinstance(stop, (tuple, list)) and len(stop) <= MAX_STOPS
    if not is_list or not all(
        isinstance(one, str) and 0 < len(one) <= MAX_STOP_CHARS for one in stop
    ):
        raise InvalidRequest(
            f"stop must be a list of at most {MAX_STOPS} texts"
            f" with 1 to {MAX_STOP_CHARS} characters each."
        )


def check_messages(messages: Sequence[Message], limits: Limits) -> None:
    """Raise InvalidRequest unless this is a conversation that a model can answer.

    An answer at the end is one to be written on.
    """
    if len(messages) > limits.messages:
        raise InvalidRequest(
            f"A conversation may have {limits.messages:,} messages.", "Start a new chat."
        )
    chars = 0
    for message in messages:
        if message.role not in _ROLES or not isinstance(message.text, str):
            raise InvalidRequest("Every message needs a role (system, user, assistant) and text.")
        if (message.role == "tool") != bool(message.tool_call_id):
            raise InvalidRequest("A message of the role tool needs the tool_call_id of its call.")
        chars += len(message.text) + sum(len(call.arguments) for call in message.tool_calls)
    if chars > limits.message_chars:
        raise InvalidRequest(
            f"The conversation has {chars:,} characters; {limits.message_chars:,} are the most.",
            "Shorten the message, or start a new chat.",
        )
    last = messages[-1] if messages else None
    is_said = last is not None and bool(last.role == "tool" or last.text.strip())
    if last is None or last.role == "system" or last.tool_calls or not is_said:
        raise InvalidRequest("There is no message to answer.", "Write something first.")


def check_text(text: str, limits: Limits) -> None:
    """Raise InvalidRequest unless this is a text that a model can write on."""
    if not isinstance(text, str) or not 0 < len(text) <= limits.message_chars:
        raise InvalidRequest(
            f"The prompt must be a text with 1 to {limits.message_chars:,} characters."
        )
