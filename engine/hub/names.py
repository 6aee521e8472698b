"""What a repo's name says of its model: the last resort, where the Hub itself is silent.

Only the part after the slash is read. What it does not know: whether the name tells the truth,
so every fact from here is marked as guessed by whoever uses it.
"""

import re
from dataclasses import dataclass

_SIZE = re.compile(r"(?<![a-z0-9.])(?:(\d+)x)?(\d+(?:\.\d+)?)([mbt])(?![a-z0-9])")
_BITS = re.compile(r"(?<![a-z0-9.])(\d(?:\.\d+)?)-?bits?(?![a-z0-9])")
_SHORT_BITS = re.compile(r"(?<![a-z0-9])(?:int|q)([2-8])(?![a-z0-9])")
_FORMAT = re.compile(r"(?<![a-z0-9])(mxfp4|nvfp4|mxfp8)(?![a-z0-9])")
_FLOAT = re.compile(r"(?<![a-z0-9])(bf16|fp16|fp32)(?![a-z0-9])")
_MIXED = re.compile(r"(?<![a-z0-9])(?:dq\d|q\d-k)")  # several widths under one name
_PART = re.compile(
    r"(?<![a-z0-9])(?:q?lora|dora|adapters?|mtp|eagle\d?|draft|assistant)(?![a-z0-9])"
)
_METHODS = {"DWQ": "dwq", "QAT": "qat"}
_UNITS = {"m": 1e6, "b": 1e9, "t": 1e12}
_FORMAT_BITS = {"mxfp4": 4.0, "nvfp4": 4.0, "mxfp8": 8.0, "bf16": 16.0, "fp16": 16.0, "fp32": 32.0}
LABELLED_BITS = (2, 3, 4, 5, 6, 8)


@dataclass(frozen=True)
class NameFacts:
    """Facts read from a name. ``quantization`` is "unknown", the others None where it is silent."""

    parameters: int | None = None
    quantization: str = "unknown"
    bits: float | None = None


def facts_from_name(repo_id: str) -> NameFacts:
    """Parameters (a count), quantisation and bits per weight, as the repo's own name states them.

    "30B-A3B" counts 30e9: A3B are the active ones. "8x7B" counts 56e9, which is too many, as
    experts share their attention. "E4B" is an effective size and tells no count; nor does a name
    with two different sizes, nor that of an adapter or of a helper for another model.
    """
    name = _plain(repo_id)
    if _PART.search(name):
        return NameFacts()
    quantization, bits = _quantization(name)
    return NameFacts(_parameters(name), quantization, bits)


def methods_from(repo_id: str, tags: tuple[str, ...]) -> tuple[str, ...]:
    """The methods "DWQ" and "QAT" that a repo's tags or its own name mention."""
    words = set(re.split(r"[^a-z0-9]+", _plain(repo_id))) | {tag.lower() for tag in tags}
    return tuple(method for method, word in _METHODS.items() if word in words)


def bits_label(bits: float | None) -> str:
    """``4-bit`` and its like for whole widths that MLX packs, otherwise "unknown"."""
    return f"{int(bits)}-bit" if bits is not None and bits in LABELLED_BITS else "unknown"


def format_bits(label: str) -> float | None:
    """Bits per weight that a format such as ``mxfp4`` or ``bf16`` stands for, without scales."""
    return _FORMAT_BITS.get(label)


def _plain(repo_id: str) -> str:
    """The last part in lower case; underscores are dashes, but a point in names such as 1_6b."""
    name = repo_id.rsplit("/", 1)[-1].lower()
    if "-" in name:
        name = re.sub(r"(?<=-)(\d)_(\d+[mb])(?![a-z0-9])", r"\1.\2", name)
    return name.replace("_", "-")


def _parameters(name: str) -> int | None:
    found = {
        unit: {float(experts or 1) * float(size) * _UNITS[unit]
               for experts, size, its_unit in _SIZE.findall(name) if its_unit == unit}
        for unit in _UNITS
    }  # fmt: skip
    # "7B-1M" is seven billion parameters with a context of a million tokens.
    sizes = found["t"] | found["b"] or found["m"]
    count = round(sizes.pop()) if len(sizes) == 1 else 0
    return count if 0 < count <= 10**14 else None


def _quantization(name: str) -> tuple[str, float | None]:
    if packed := _FORMAT.findall(name):
        return packed[0], _FORMAT_BITS[packed[0]]
    stated = _BITS.findall(name)
    if not stated and not _MIXED.search(name):
        stated = _SHORT_BITS.findall(name)
    if stated:
        bits = float(stated[-1])
        return (bits_label(bits), bits) if 1 <= bits <= 8 else ("unknown", None)
    if plain := _FLOAT.findall(name):
        return plain[-1], _FORMAT_BITS[plain[-1]]
    return "unknown", None
