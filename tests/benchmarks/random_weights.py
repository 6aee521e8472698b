"""Child: write random weights for the config.json in a folder, quantised as the config says.

The scales are float32 unless the config says bfloat16, as models on the Hub have them: mlx's CPU
kernels are many times slower with 16-bit ones, and a figure about our own overhead should not wait
for them.
"""

import importlib
import json
import sys
from pathlib import Path

import mlx.core as mx
from mlx import nn
from mlx.utils import tree_flatten


def write_random_weights(folder: Path, seed: int = 0) -> None:
    """Write model.safetensors."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    mx.random.seed(seed)
    module = importlib.import_module(f"mlx_lm.models.{config['model_type']}")
    model = module.Model(module.ModelArgs.from_dict(config))
    if config.get("torch_dtype") == "bfloat16":
        model.set_dtype(mx.bfloat16)
    nn.quantize(model, **config["quantization"])
    weights = dict(tree_flatten(model.parameters()))
    mx.save_safetensors(str(folder / "model.safetensors"), weights, {"format": "mlx"})


if __name__ == "__main__":
    write_random_weights(Path(sys.argv[1]))
