"""Child: the device that MLX computes on, as the engine describes it, as JSON."""

import dataclasses
import importlib
import json
import tempfile
from pathlib import Path

from engine.inference.blas import open_fast_blas

if __name__ == "__main__":
    has_fast_blas = open_fast_blas(Path(tempfile.gettempdir()))
    backend = importlib.import_module("engine.inference.backend")
    print(json.dumps(dataclasses.asdict(backend.device_facts(has_fast_blas))))
