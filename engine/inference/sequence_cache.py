"""What a model keeps of one sequence: made, tried, and looked at. On the inference thread alone."""

from collections.abc import Sequence
from typing import Any

import mlx.core as mx
from mlx_lm.models.cache import KVCache, QuantizedKVCache, make_prompt_cache

from engine.preferences import PLAIN_KV_BITS

_GROUP_SIZE = 64


def new_cache(model: Any, kv_bits: int = PLAIN_KV_BITS) -> list[Any]:
    """An empty cache: what the model itself asks for, its growing layers packed where chosen.

    Windows and states stay as they are: they do not grow. A model that has no window gets none.
    """
    cache = make_prompt_cache(model)
    if kv_bits >= PLAIN_KV_BITS:
        return list(cache)
    return [
        QuantizedKVCache(_GROUP_SIZE, kv_bits) if type(layer) is KVCache else layer
        for layer in cache
    ]


def try_cache(cache: Sequence[Any], model: Any) -> None:
    """Read two tokens and say one; raises whatever the model's attention raises."""
    for tokens in ([0, 0], [0]):
        mx.eval(model(mx.array([tokens]), cache=cache))


def is_whole_cache(cache: Sequence[Any], held_tokens: int) -> bool:
    """Whether a cache that was cut back still holds all that goes on from ``held_tokens`` needs.

    Chunked caches (Llama 4) forget what lies before the last chunk, are cut back only as far as
    they remember, and say nothing (mlx_lm.models.cache.ChunkedKVCache.trim).
    """
    for layer in cache:
        if int(getattr(layer, "offset", held_tokens)) != held_tokens:
            return False
        chunk_tokens = getattr(layer, "chunk_size", None)
        if chunk_tokens and layer.start_position > held_tokens // chunk_tokens * chunk_tokens:
            return False
    return True
