"""A thousand installed models listed, beside a second: for the first time, and again.

The folders hold texts as long as those of real models (a tokenizer's settings, an index of four
shards) and shards with real headers, whose tensors are holes: a scan reads no weights. What is
measured has no cold disk in it: the system has just written those files.
"""

import json
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from engine import Settings
from engine.inference import supported_architectures
from engine.library import Library
from engine.library.metadata import Metadata, write_metadata
from engine.records import RepoFile
from tests.benchmarks.figures import Figure, Target
from tests.conftest import settings_in

MODELS = 1_000
ROUNDS = 3
AIM_S = 1.0
_LAYERS, _SHARDS, _SPECIAL_TOKENS = 36, 4, 256
_SHARD_BYTES = 600_000_000


def library_figures(count: int = MODELS) -> Iterator[Figure]:
    """First and later listings, and finding one model by name."""
    with tempfile.TemporaryDirectory() as folder:
        settings = settings_in(Path(folder))
        _write_models(settings, count)
        supported_architectures()
        firsts, agains, finds = [], [], []
        for _ in range(ROUNDS):
            library = Library(settings, supported_architectures, lambda: 10**10)
            firsts.append((_list_s(library, count), AIM_S))
            agains.append((_list_s(library, count), AIM_S))
            finds.append((_find_s(library, count), AIM_S))
    target = Target(1.0, is_upper=True)
    name = f"{count:,} installed models"
    yield Figure(f"{name} listed / 1 s", "s", tuple(firsts), target, best=min)
    yield Figure(f"{name} listed again / 1 s", "s", tuple(agains), target, best=min)
    yield Figure(f"one of {name} found / 1 s", "s", tuple(finds), target, best=min)


def _list_s(library: Library, count: int) -> float:
    start = time.perf_counter()
    found = len(library.list())
    elapsed_s = time.perf_counter() - start
    assert found == count + 1, found  # and the Guide
    return elapsed_s


def _find_s(library: Library, count: int) -> float:
    start = time.perf_counter()
    library.find(f"org/model-{count - 1}")
    return time.perf_counter() - start


def _write_models(settings: Settings, count: int) -> None:
    """Six in ten of Pomona's own, two in the Hub's cache, two of LM Studio's."""
    texts, shards = _texts(), _shards()
    for n in range(count):
        name = f"org/model-{n}"
        if n % 10 < 6:
            folder = settings.models_dir / name
        elif n % 10 < 8:
            folder = settings.hf_cache_dir / f"models--org--model-{n}" / "snapshots" / ("a" * 40)
        else:
            folder = settings.lmstudio_dirs[0] / name
        folder.mkdir(parents=True)
        for path, text in texts.items():
            (folder / path).write_text(text, encoding="utf-8")
        for path, header in shards.items():
            (folder / path).write_bytes(header)
            os.truncate(folder / path, len(header) + _SHARD_BYTES)
        if n % 10 < 6:
            sizes = {path: len(text.encode()) for path, text in texts.items()}
            sizes |= {path: len(header) + _SHARD_BYTES for path, header in shards.items()}
            files = tuple(RepoFile(path, n, "b" * 40, "c" * 64) for path, n in sizes.items())
            write_metadata(folder, Metadata(name, "d" * 40, files, 1.0))


def _texts() -> dict[str, str]:
    """What a model's folder holds, by file name."""
    config = {
        "model_type": "qwen3", "hidden_size": 2560, "intermediate_size": 9728,
        "num_hidden_layers": _LAYERS, "num_attention_heads": 32, "num_key_value_heads": 8,
        "head_dim": 128, "vocab_size": 151_936, "max_position_embeddings": 40_960,
        "torch_dtype": "bfloat16", "quantization": {"group_size": 64, "bits": 4},
    }  # fmt: skip
    token = {"content": "<|special|>", "lstrip": False, "rstrip": False, "special": True}
    tokenizer = {
        "chat_template": "{{ messages }} " * 300,
        "added_tokens_decoder": {str(n): token for n in range(_SPECIAL_TOKENS)},
    }
    return {
        "config.json": json.dumps(config, indent=2),
        "tokenizer_config.json": json.dumps(tokenizer, indent=2),
        "tokenizer.json": "{}",
        "generation_config.json": json.dumps({"temperature": 0.6, "top_k": 20}),
        "model.safetensors.index.json": json.dumps({"weight_map": _weight_map()}, indent=2),
    }


def _weight_map() -> dict[str, str]:
    """Each tensor's shard."""
    parts = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
    return {
        f"model.layers.{layer}.{part}.{kind}": _shard(layer % _SHARDS)
        for layer in range(_LAYERS) for part in parts for kind in ("weight", "scales", "biases")
    }  # fmt: skip


def _shards() -> dict[str, bytes]:
    """Each shard's header; together its tensors take _SHARD_BYTES."""
    headers = {}
    for shard in map(_shard, range(_SHARDS)):
        names = [name for name, where in _weight_map().items() if where == shard]
        ends = [_SHARD_BYTES * (n + 1) // len(names) for n in range(len(names))]
        entries = {
            name: {"dtype": "U8", "shape": [end - start], "data_offsets": [start, end]}
            for name, start, end in zip(names, [0, *ends], ends, strict=False)
        }
        raw = json.dumps(entries).encode()
        headers[shard] = len(raw).to_bytes(8, "little") + raw
    return headers


def _shard(number: int) -> str:
    return f"model-{number + 1:05}-of-{_SHARDS:05}.safetensors"
