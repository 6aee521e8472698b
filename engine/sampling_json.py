"""Sampling settings as JSON values and back, wherever they are kept or handed on. Pure."""

from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from typing import Any

from engine.errors import InvalidRequest
from engine.inference import check_params
from engine.records import SamplingParams

MAX_SYSTEM_PROMPT_CHARS = 100_000
_NAMES = tuple(field.name for field in fields(SamplingParams))


def params_to_json(params: SamplingParams) -> dict[str, Any]:
    """Every setting by its name."""
    return asdict(params)


def params_from_json(value: object) -> SamplingParams:
    """Settings from what a file holds: names we do not know are left out, missing ones are ours.

    Raises InvalidRequest for a value that no request could carry.
    """
    if not isinstance(value, Mapping):
        raise InvalidRequest("The settings must be an object with names and values.")
    params = SamplingParams(**{name: value[name] for name in _NAMES if name in value})
    check_params(params)
    params = replace(params, stop=tuple(params.stop))  # JSON knows lists alone
    if len(params.system_prompt) > MAX_SYSTEM_PROMPT_CHARS:
        raise InvalidRequest(
            f"A system prompt may have {MAX_SYSTEM_PROMPT_CHARS:,} characters;"
            f" this one has {len(params.system_prompt):,}.",
            "Shorten it.",
        )
    return params
