"""Memory after loading and unloading the Guide again and again. Runs as a child process.

On a GPU MLX's arrays are not part of the resident set, so what it holds is added there.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from engine import Engine, Settings
from engine.settings import GUIDE_ID
from tests.benchmarks.children import ask_module

LOAD_TIMEOUT_S = 120.0


def ask_memory_bytes(times: int) -> tuple[float, float]:
    """(after ``times`` loads and unloads, after the first), in a fresh process."""
    first, last = ask_module("memory", str(times))
    return last, first


def ask_given_back_bytes(path: Path) -> tuple[float, float]:
    """(given back by an unload, taken by the load) of the model in ``path``, in a fresh process.

    The Guide is loaded and unloaded first, so that what a first load imports is there already.
    """
    before, loaded, after = ask_module("memory", str(path))
    return loaded - after, loaded - before


def _load_once(path: Path, folder: Path) -> tuple[int, int, int]:
    """Bytes before a load, after it, and after the unload."""
    engine = _open_engine(folder, path)
    for repo_id in (GUIDE_ID, path.name):
        before = _memory_bytes(engine)
        engine.inference.load(repo_id).result(LOAD_TIMEOUT_S)
        loaded = _memory_bytes(engine)
        engine.inference.unload(repo_id)
    found = before, loaded, _memory_bytes(engine)
    engine.close()
    return found


def _open_engine(folder: Path, *models: Path) -> Engine:
    engine = Engine.open(
        Settings.from_environment(
            {"HOME": str(folder)}, models_dir=folder / "models", data_dir=folder / "data",
            extra_models=models,
        )
    )  # fmt: skip
    engine.inference.start()
    engine.inference.device_facts()
    return engine


def _cycle(times: int, folder: Path) -> tuple[int, int]:
    """Load and unload ``times`` times: bytes after the first time and after the last."""
    engine = _open_engine(folder)
    after_bytes = []
    for _ in range(times):
        engine.inference.load(GUIDE_ID).result(LOAD_TIMEOUT_S)
        engine.inference.unload(GUIDE_ID)
        after_bytes.append(_memory_bytes(engine))
    engine.close()
    return after_bytes[0], after_bytes[-1]


def _memory_bytes(engine: Engine) -> int:
    if engine.inference.device_facts().backend == "cpu":
        return resident_bytes()
    backend = sys.modules["engine.inference.backend"]
    return resident_bytes() + int(backend.active_memory_bytes())


def resident_bytes() -> int:
    """The resident set of this process now, from /proc or, where there is none, from ps."""
    statm = Path("/proc/self/statm")
    if statm.is_file():
        return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    asked = ["ps", "-o", "rss=", "-p", str(os.getpid())]
    return int(subprocess.run(asked, capture_output=True, text=True, check=True).stdout) * 1024


if __name__ == "__main__":
    with TemporaryDirectory() as name:
        asked = sys.argv[1]
        print(
            json.dumps(
                _cycle(int(asked), Path(name))
                if asked.isdecimal()
                else _load_once(Path(asked), Path(name))
            )
        )
