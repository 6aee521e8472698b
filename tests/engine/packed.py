"""A tiny packed model as the Hub has them: four bits, 16-bit scales, made by mlx-lm itself."""

import importlib
import shutil
from pathlib import Path

from engine import Engine
from tests.engine.inference_thread import on_thread
from tests.models import write_model


def write_packed_model(engine: Engine, repo_id: str, **shape: int) -> Path:
    """Write a model into the engine's models folder; ``shape`` as tests.models.write_model."""
    folder = engine.settings.models_dir / repo_id
    if folder.exists():
        return folder
    plain = write_model(folder.with_name(f".{folder.name}-plain"), **shape)

    def pack() -> None:
        mx, utils = importlib.import_module("mlx.core"), importlib.import_module("mlx_lm.utils")
        model, config = utils.load_model(plain, lazy=True, trust_remote_code=False)
        model.set_dtype(mx.bfloat16)
        model, config = utils.quantize_model(model, config, group_size=32, bits=4)
        utils.save_model(folder, model)
        utils.save_config(config | {"torch_dtype": "bfloat16"}, folder / "config.json")

    on_thread(engine, pack)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(plain / name, folder / name)
    shutil.rmtree(plain)
    return folder
