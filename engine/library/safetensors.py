"""Read the header of a safetensors file without touching its weights.

Layout (huggingface/safetensors, README "Format"): 8 bytes little-endian header length, the
header as JSON, then the tensors' bytes without gaps.
"""

import json
import math
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import Damaged

MAX_HEADER_BYTES = 100_000_000
_LISTED_HEADER_BYTES = 4_000_000
_OFFSETS = re.compile(rb'"data_offsets"\s*:\s*\[\s*\d{1,18}\s*,\s*(\d{1,18})\s*\]')
_DTYPE_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "I16": 16, "U16": 16,
    "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32, "F64": 64, "I64": 64, "U64": 64,
    "C64": 64, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip
_HINT = "Delete it and download it again."
_BROKEN = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)


@dataclass(frozen=True)
class TensorInfo:
    """One tensor: ``dtype`` as safetensors names it, ``size_bytes`` in the file."""

    dtype: str
    shape: tuple[int, ...]
    size_bytes: int


def read_header(path: Path) -> dict[str, TensorInfo]:
    """Tensors of one file by name.

    Raises Damaged when the file is truncated, longer than its tensors, or not safetensors.
    """
    try:
        file_bytes = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 2 <= length <= min(MAX_HEADER_BYTES, file_bytes - 8):
                raise Damaged(f"{path.name} is not a whole safetensors file.", _HINT)
            raw = json.loads(file.read(length))
        tensors = {name: _tensor(entry) for name, entry in raw.items() if name != "__metadata__"}
        end_bytes = max((entry["data_offsets"][1] for name, entry in raw.items()
                         if name != "__metadata__"), default=0)  # fmt: skip
    except OSError as error:
        raise Damaged(f"{path.name} cannot be read.", _HINT) from error
    except _BROKEN as error:
        raise Damaged(f"{path.name} has a broken header.", _HINT) from error
    if 8 + length + end_bytes != file_bytes:
        raise _wrong_length(path, file_bytes, 8 + length + end_bytes)
    return tensors


def check_length(path: Path) -> None:
    """Whether a file is as long as its header says; quicker than reading the header's JSON.

    Raises Damaged as read_header does. A header that is too long to be looked at in a list passes.
    """
    try:
        with path.open("rb") as file:
            file_bytes = os.fstat(file.fileno()).st_size
            length = int.from_bytes(file.read(8), "little")
            if 2 <= length <= file_bytes - 8 and length > _LISTED_HEADER_BYTES:
                return
            header = file.read(length) if 2 <= length <= file_bytes - 8 else b""
    except OSError as error:
        raise Damaged(f"{path.name} cannot be read.", _HINT) from error
    if not header:
        raise Damaged(f"{path.name} is not a whole safetensors file.", _HINT)
    end_bytes = max(map(int, _OFFSETS.findall(header)), default=0)
    if 8 + length + end_bytes != file_bytes:
        raise _wrong_length(path, file_bytes, 8 + length + end_bytes)


def _wrong_length(path: Path, file_bytes: int, right_bytes: int) -> Damaged:
    return Damaged(f"{path.name} has {file_bytes:,} bytes instead of {right_bytes:,}.", _HINT)


def _tensor(entry: dict[str, Any]) -> TensorInfo:
    begin, end = entry["data_offsets"]
    shape = tuple(entry["shape"])
    if not all(type(n) is int and n >= 0 for n in (begin, end, *shape)):
        raise ValueError("a size is not a whole number")
    size_bytes = end - begin
    if size_bytes != -(-math.prod(shape) * _DTYPE_BITS[entry["dtype"]] // 8):
        raise ValueError("offsets do not match the shape")
    return TensorInfo(entry["dtype"], shape, size_bytes)
