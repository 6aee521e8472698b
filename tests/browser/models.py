"""The models that the browser tests install beside the Guide."""

from pathlib import Path

from tests.models import TEMPLATE, write_json, write_model, write_tokenizer

ENDLESS = "tiny/endless"
SMALL_CONTEXT = "tiny/small-context"
BROKEN = "tiny/broken"
THINKER = "tiny/thinker"
SMALL_CONTEXT_TOKENS = 128
ENDLESS_TOKENS = 24_000


def install_models(models: Path) -> None:
    """Write them: without an end, with a short context, cut off, thinking aloud for ever."""
    endless = write_model(
        models / ENDLESS, layers=6, hidden=512, kv_heads=1, context=ENDLESS_TOKENS, is_plain=True
    )
    # The page takes these as its own: a slow browser shall not find the answer at its end.
    write_json(endless / "generation_config.json", {"max_new_tokens": ENDLESS_TOKENS - 1000})
    write_model(models / SMALL_CONTEXT, context=SMALL_CONTEXT_TOKENS, seed=1, ends=True)
    broken = write_model(models / BROKEN)
    weights = broken / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    thinker = write_model(models / THINKER)
    write_tokenizer(thinker, TEMPLATE.replace("'<|assistant|>'", "'<|assistant|><think>'"))
