"""Child: write a model again with its weights unpacked and in float32, as Pomona computes on a CPU.

Arguments: the model's folder, and the folder to write.
"""

import json
import shutil
import sys
from pathlib import Path

import mlx.core as mx
from mlx.utils import tree_flatten
from mlx_lm.utils import dequantize_model, load_model

from engine.inference.cpu_weights import widen


def write_dense_copy(source: Path, target: Path) -> None:
    """Write the weights, the config without its packing, and the tokenizer."""
    target.mkdir(parents=True)
    model, config = load_model(source, lazy=True)
    widen(model)
    model = dequantize_model(model)
    weights = dict(tree_flatten(model.parameters()))
    mx.save_safetensors(str(target / "model.safetensors"), weights, {"format": "mlx"})
    kept = {name: value for name, value in config.items() if not name.startswith("quantization")}
    text = json.dumps({**kept, "torch_dtype": "float32"})
    (target / "config.json").write_text(text, encoding="utf-8")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(source / name, target / name)


if __name__ == "__main__":
    write_dense_copy(Path(sys.argv[1]), Path(sys.argv[2]))
