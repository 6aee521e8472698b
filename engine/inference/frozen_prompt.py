"""What a model has read of one sequence, as the bytes of a file and back. Inference thread only.

The file is what ``mlx_lm.models.cache.load_prompt_cache`` reads. It is put together here and not by
``save_prompt_cache``, so that another thread can write it: an array that is still to be computed
means something on its own thread alone, its bytes mean the same everywhere.
"""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlx.core as mx
from mlx.utils import tree_flatten
from mlx_lm.models.cache import load_prompt_cache

from engine.inference.sequence_cache import is_whole_cache

_DTYPES = {
    mx.bool_: "BOOL", mx.uint8: "U8", mx.uint16: "U16", mx.uint32: "U32", mx.uint64: "U64",
    mx.int8: "I8", mx.int16: "I16", mx.int32: "I32", mx.int64: "I64", mx.float16: "F16",
    mx.bfloat16: "BF16", mx.float32: "F32",
}  # fmt: skip
_ALIGNMENT = 8


@dataclass(frozen=True)
class FrozenPrompt:
    """The bytes of a file, in pieces. Nothing in it belongs to a thread."""

    pieces: tuple[bytes | memoryview, ...]
    size_bytes: int


def freeze_prompt(tokens: Sequence[int], cache: Sequence[Any]) -> FrozenPrompt:
    """A cache and the tokens that it holds. Raises KeyError for what no file can hold."""
    arrays: dict[str, Any] = {}
    scalars: list[Any] = [""]
    for name, value in tree_flatten([layer.state for layer in cache]):
        kind = _scalar_kind(value)
        if kind:
            scalars.append((name, kind))
        arrays[name] = mx.contiguous(_as_array(value, kind))
    mx.eval(arrays)
    said = {"tokens": base64.b64encode(_bytes_of(mx.array(list(tokens), mx.uint32))).decode()}
    kinds = [type(layer).__name__ for layer in cache]
    header: dict[str, Any] = {"__metadata__": dict(tree_flatten([said, kinds, scalars]))}
    pieces, offset = [], 0
    for name, array in arrays.items():
        end = offset + array.nbytes
        header[name] = {
            "dtype": _DTYPES[array.dtype], "shape": array.shape, "data_offsets": [offset, end],
        }  # fmt: skip
        pieces.append(_bytes_of(array))
        offset = end
    raw = json.dumps(header).encode()
    raw += b" " * (-len(raw) % _ALIGNMENT)
    start = len(raw).to_bytes(8, "little") + raw
    return FrozenPrompt((start, *pieces), len(start) + offset)


def thaw_prompt(path: Path, like: Sequence[Any]) -> tuple[list[int], list[Any]]:
    """The tokens and the cache of a file. Raises ValueError unless it is one such as ``like``.

    Reads all of it now, so that nothing refers to the file afterwards.
    """
    cache, said = load_prompt_cache(str(path), return_metadata=True)
    raw = base64.b64decode(said["tokens"])
    tokens = [int.from_bytes(raw[at : at + 4], "little") for at in range(0, len(raw), 4)]
    if [type(layer) for layer in cache] != [type(layer) for layer in like]:
        raise ValueError("another kind of cache")
    if not tokens or not is_whole_cache(cache, len(tokens)):
        raise ValueError("not all of the tokens")
    mx.eval([value for _, value in tree_flatten([c.state for c in cache]) if _is_array(value)])
    return tokens, list(cache)


def _scalar_kind(value: Any) -> str:
    """What ``load_prompt_cache`` makes of an array again; empty for one that stays an array."""
    if _is_array(value):
        return ""
    return "none" if value is None else "string" if isinstance(value, str) else "scalar"


def _as_array(value: Any, kind: str) -> Any:
    if kind == "none":
        return mx.array([])
    if kind == "string":
        return mx.array([ord(char) for char in value])
    return mx.array(value) if kind else value


def _is_array(value: Any) -> bool:
    return isinstance(value, mx.array)


def _bytes_of(array: Any) -> bytes | memoryview:
    """The bytes of an evaluated, contiguous array, which they keep alive."""
    if not array.size:
        return b""
    if array.dtype == mx.bfloat16:  # no type of Python's
        array = array.view(mx.uint16)
        mx.eval(array)
    view = memoryview(array)
    return view.cast("B") if view.ndim and view.c_contiguous else view.tobytes()
