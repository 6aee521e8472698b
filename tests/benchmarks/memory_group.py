"""Estimated memory beside what others measured on Apple silicon (``measured.json``).

The weights are counted from the shapes, as the estimate in the app has them from the files. Each
source's own workload goes into the estimate: its prompt and answer as the context, and its prefill
step, bounded by its prompt.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from engine.library.memory import estimate_memory
from tests.benchmarks.figures import Figure, Target

MEASURED: dict[str, Any] = json.loads(
    Path(__file__).with_name("measured.json").read_text(encoding="utf-8")
)
MEDIAN_PERCENT = 5.0
WORST_PERCENT = 15.0


def weights_bytes(config: dict[str, Any], packing: list[int] | None) -> int:
    """Bytes of a dense model's weights as mlx-lm packs them, norms and biases in bfloat16.

    A packed matrix takes its bits, and a scale and an offset of two bytes for every group.
    """
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    heads, kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
    head = config.get("head_dim", hidden // heads)
    attention = 2 * hidden * heads * head + 2 * hidden * kv_heads * head
    tables = 1 if config["tie_word_embeddings"] else 2
    layers = config["num_hidden_layers"]
    matrices = tables * hidden * config["vocab_size"] + layers * (attention + 3 * hidden * inner)
    extras = {"qwen3": 2 * head, "qwen2": (heads + 2 * kv_heads) * head, "llama": 0}
    vectors = hidden + layers * (2 * hidden + extras[config["model_type"]])
    if packing is None:
        return 2 * (matrices + vectors)
    bits, group = packing
    return matrices * bits // 8 + 4 * matrices // group + 2 * vectors


def memory_figures() -> Iterator[Figure]:
    """A figure per measured model, then the errors over all of them."""
    errors = []
    for source in MEASURED["sources"]:
        for model in source["models"]:
            estimate = _estimate(source, model)
            measured = model["measured"] * source["unit_bytes"]
            errors.append(abs(estimate / measured - 1) * 100)
            target = Target(1 + WORST_PERCENT / 100, is_upper=True)
            yield Figure(model["name"], "GB", ((estimate / 1e9, measured / 1e9),), target)
    for name, error, aim in (
        ("median error, beside the aim", median(errors), MEDIAN_PERCENT),
        ("worst error, beside the aim", max(errors), WORST_PERCENT),
    ):
        yield Figure(name, "%", ((error, aim),), Target(1.0, is_upper=True), best=min)


def _estimate(source: dict[str, Any], model: dict[str, Any]) -> int:
    config = MEASURED["configs"][model["config"]]
    total = estimate_memory(
        config,
        weights_bytes(config, model["packing"]),
        None,
        source["prompt_tokens"] + source["output_tokens"],
        step_tokens=min(source["step_tokens"], source["prompt_tokens"]),
    ).total_bytes
    assert total is not None
    return total
