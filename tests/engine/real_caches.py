"""Child process: what mlx-lm's own caches hold after so many tokens of a tiny random model.

Reads a JSON list of configs from standard input, prints a list of numbers of bytes, and for one
that mlx-lm refuses the reason.
"""

import importlib
import json
import sys
from typing import Any

TOKENS = 512
STEPS = (256, 255, 1)  # a cache with a window drops what it need not keep at a step of one token


def cache_bytes(config: dict[str, Any], kv_bits: int) -> int:
    """Bytes in the caches of a model with this config after ``TOKENS`` tokens."""
    mx = importlib.import_module("mlx.core")
    caches = importlib.import_module("mlx_lm.models.cache")
    model_class, args_class = importlib.import_module("mlx_lm.utils")._get_classes(config)
    model = model_class(args_class.from_dict(json.loads(json.dumps(config))))
    model.set_dtype(getattr(mx, config.get("torch_dtype", "bfloat16")))
    model.eval()
    cache = caches.make_prompt_cache(model)
    for step in STEPS:
        model(mx.zeros((1, step), mx.int32), cache=cache)
        mx.eval([layer.state for layer in cache])
    if kv_bits < 16:
        cache = [layer.to_quantized(64, kv_bits) if type(layer) is caches.KVCache else layer
                 for layer in cache]  # fmt: skip
        mx.eval([layer.state for layer in cache])
    return sum(int(layer.nbytes) for layer in cache)


def _answer(config: dict[str, Any]) -> int | str:
    try:
        return cache_bytes(config, config.pop("kv_bits", 16))
    except Exception as error:
        return f"{type(error).__name__}: {error}"


if __name__ == "__main__":
    print(json.dumps([_answer(config) for config in json.load(sys.stdin)]))
