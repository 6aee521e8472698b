"""The models that the browser tests install beside the Guide."""

from pathlib import Path

from tests.models import TEMPLATE, write_model, write_tokenizer

ENDLESS = "tiny/endless"
SMALL_CONTEXT = "tiny/small-context"
BROKEN = "tiny/broken"
THINKER = "tiny/thinker"
SMALL_CONTEXT_TOKENS = 128


def install_models(models: Path) -> None:
    """Write them: without an end, with a short context, cut off, thinking aloud for ever."""
    write_model(models / ENDLESS, layers=6, hidden=512)
    write_model(models / SMALL_CONTEXT, context=SMALL_CONTEXT_TOKENS, seed=1, ends=True)
    broken = write_model(models / BROKEN)
    weights = broken / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    thinker = write_model(models / THINKER)
    write_tokenizer(thinker, TEMPLATE.replace("'<|assistant|>'", "'<|assistant|><think>'"))
