"""The models that the browser tests install beside the Guide."""

import math
from pathlib import Path

from engine.machine import memory_budget_bytes
from tests.models import TEMPLATE, write_json, write_model, write_tokenizer

ENDLESS = "tiny/endless"
SMALL_CONTEXT = "tiny/small-context"
BROKEN = "tiny/broken"
THINKER = "tiny/thinker"
WIDE, WIDE_TOO = "tiny/wide", "tiny/wide-too"
SMALL_CONTEXT_TOKENS = 128
ENDLESS_TOKENS = 24_000
WIDE_TOKENS, WIDE_HEADS, WIDE_HEAD_SIZE = 8_192, 8, 1_024


def install_models(models: Path) -> None:
    """Write them: without an end, with a short context, cut off, thinking aloud for ever, and two
    whose caches do not fit into memory together.
    """
    endless = write_model(
        models / ENDLESS, layers=6, hidden=512, kv_heads=1, context=ENDLESS_TOKENS, is_plain=True
    )
    # The page takes these as its own: a slow browser shall not find the answer at its end.
    recommended = {"max_new_tokens": ENDLESS_TOKENS - 1000, "do_sample": False}
    write_json(endless / "generation_config.json", recommended)
    write_model(models / SMALL_CONTEXT, context=SMALL_CONTEXT_TOKENS, seed=1, ends=True)
    broken = write_model(models / BROKEN)
    weights = broken / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    thinker = write_model(models / THINKER)
    write_tokenizer(thinker, TEMPLATE.replace("'<|assistant|>'", "'<|assistant|><think>'"))
    # Three fifths of the budget each, once a usual chat's context is full.
    layer_bytes = WIDE_TOKENS * 2 * WIDE_HEADS * WIDE_HEAD_SIZE * 4
    layers = math.ceil(0.6 * memory_budget_bytes(None) / layer_bytes)
    for seed, name in enumerate((WIDE, WIDE_TOO)):
        write_model(
            models / name, layers=layers, hidden=8, heads=WIDE_HEADS, kv_heads=WIDE_HEADS,
            head_size=WIDE_HEAD_SIZE, context=WIDE_TOKENS, seed=seed, ends=True, is_plain=True,
        )  # fmt: skip
