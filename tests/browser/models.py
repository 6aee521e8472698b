"""The models that the browser tests install beside the Guide."""

from pathlib import Path

from tests.models import write_model

ENDLESS = "tiny/endless"
SMALL_CONTEXT = "tiny/small-context"
BROKEN = "tiny/broken"
SMALL_CONTEXT_TOKENS = 128


def install_models(models: Path) -> None:
    """Write one that never ends and takes its time, one with a short context, one cut off."""
    write_model(models / ENDLESS, layers=6, hidden=512)
    write_model(models / SMALL_CONTEXT, context=SMALL_CONTEXT_TOKENS, seed=1, ends=True)
    broken = write_model(models / BROKEN)
    weights = broken / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
