"""Reading a config.json that may hold anything: numbers that make sense, or none."""

from collections.abc import Mapping
from typing import Any

Config = Mapping[str, Any]
MAX_NUMBER = 2**40
_ELEMENT_BYTES = {"float32": 4, "torch.float32": 4, "float": 4}


def text_config(config: Config) -> Config:
    """The part of a config that describes the language model."""
    nested = config.get("text_config")
    return nested if isinstance(nested, dict) else config


def number(config: Config, *names: str, default: int = 0) -> int:
    """The first of ``names`` that is a positive whole number, and not an absurd one."""
    for name in names:
        value = config.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= MAX_NUMBER:
            return value
    return default


def element_bytes(config: Config) -> int:
    """Bytes of one activation: 4 for float32 models, 2 for bfloat16, float16 and the silent.

    mlx-lm computes in the type of the unpacked weights, or of the scales of packed ones; both are
    what ``torch_dtype`` (``dtype`` in newer files) names.
    """
    for part in (config, text_config(config)):
        for name in ("torch_dtype", "dtype"):
            value = part.get(name)
            if isinstance(value, str):
                return _ELEMENT_BYTES.get(value, 2)
    return 2


def part(config: Config, name: str) -> Config:
    """A nested object, empty where there is none."""
    value = config.get(name)
    return value if isinstance(value, dict) else {}
