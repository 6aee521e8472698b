"""What a model keeps of a sequence, from its config alone: the KV cache and fixed states.

Follows what mlx-lm allots (``make_cache`` in mlx_lm/models/<architecture>.py), not what the papers
say: Gemma 2 and Qwen2 have sliding windows and keep everything, DeepSeek-V2 expands what V3 keeps
compressed. Which layers of an architecture keep what is in ``engine.library.layers``.

What it does not know: caches grow in steps of 256 tokens, so up to 255 tokens more are allotted.
"""

from collections import Counter

from engine.library.config_values import Config, element_bytes
from engine.library.layers import LayerCache, layer_caches
from engine.records import KVCacheSize

GROUP_SIZE = 64
_FLOAT32_BYTES = 4


def kv_cache_size(
    config: Config, *, kv_bits: int = 16, value_bytes: int | None = None
) -> KVCacheSize | None:
    """How large the cache of one sequence is at any length; None when the config does not say.

    ``value_bytes`` is the size of an activation, by default as the config names it. With
    ``kv_bits`` 8 or 4 the keys and values of full-length layers are packed, as
    ``mlx_lm.models.cache.QuantizedKVCache`` does; windows, compressed rows and states stay.
    """
    layers = layer_caches(config)
    if layers is None:
        return None
    size = element_bytes(config) if value_bytes is None else value_bytes
    bytes_per_token = state_bytes = 0
    windows: Counter[int] = Counter()
    for layer, count in Counter(layers).items():
        state_bytes += count * (layer.state_values * size + layer.state_floats * _FLOAT32_BYTES)
        if layer.window_tokens:
            windows[layer.window_tokens] += count * layer.token_values * size
        else:
            bytes_per_token += count * _token_bytes(layer, kv_bits, size)
    return KVCacheSize(state_bytes, bytes_per_token, tuple(sorted(windows.items())))


def _token_bytes(layer: LayerCache, kv_bits: int, value_bytes: int) -> int:
    """Packed: the bits, and a scale and an offset for every group of 64 values."""
    if kv_bits >= 16 or not layer.is_packable:
        return layer.token_values * value_bytes
    groups = layer.token_values // GROUP_SIZE
    return layer.token_values * kv_bits // 8 + 2 * groups * value_bytes
