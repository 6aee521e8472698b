"""The models that figures are taken with, made in a temporary folder.

Both have the Guide's tokenizer, a plain chat template, and no end token:
every answer is exactly as long as asked for, whatever the weights say.
"""

import json
import random
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.settings import GUIDE_DIR
from tests.app_process import ROOT
from tests.benchmarks.children import module_command, quiet_environment

CONTEXT_TOKENS = 8192
_TEMPLATE = (
    "{%- for message in messages -%}<|{{ message['role'] }}|> {{ message['content'] }}\n"
    "{%- endfor -%}{%- if add_generation_prompt -%}<|assistant|>{%- endif -%}"
)
_WORDS = (
    "answer chat choose computer context delete disk download find folder large list load memory"
    " message model name open page prompt quick read search setting share size small speed start"
    " stop text time token use weight word write"
).split()


@dataclass(frozen=True)
class BenchModel:
    """A model folder, and what its figures are called. The library lists it as ``repo_id``."""

    label: str
    path: Path

    @property
    def repo_id(self) -> str:
        """The name under which the library finds it."""
        return self.path.name


def make_endless_guide(folder: Path) -> BenchModel:
    """A copy of the built-in Guide that never ends an answer by itself."""
    path = folder / "endless-guide"
    path.mkdir(parents=True)
    for weights in GUIDE_DIR.glob("model*.safetensors"):
        shutil.copyfile(weights, path / weights.name)
    config = _endless(json.loads((GUIDE_DIR / "config.json").read_text(encoding="utf-8")))
    _write_json(path / "config.json", config)
    _write_tokenizer(path)
    return BenchModel("Guide", path)


def make_random_model(folder: Path) -> BenchModel:
    """A llama of random 4-bit weights with float32 scales, several times as large as the Guide."""
    config = {
        "model_type": "llama", "hidden_size": 512, "intermediate_size": 1408,
        "num_hidden_layers": 10, "num_attention_heads": 8, "num_key_value_heads": 4,
        "rope_theta": 10000.0, "tie_word_embeddings": True,
    }  # fmt: skip
    return BenchModel("random 32M", _write_random(folder / "random-llama", config))


def make_broad_model(folder: Path) -> BenchModel:
    """A random llama of two broad layers, which a long context makes hardly slower."""
    config = {
        "model_type": "llama", "hidden_size": 1024, "intermediate_size": 1408,
        "num_hidden_layers": 2, "num_attention_heads": 16, "num_key_value_heads": 1,
        "rope_theta": 10000.0, "tie_word_embeddings": True,
    }  # fmt: skip
    return BenchModel("random, broad", _write_random(folder / "broad-llama", config))


def make_speed_model(folder: Path) -> BenchModel:
    """A Qwen3 of 85M random weights in 4 bits, its scales in bfloat16, as the Hub has them."""
    config = {
        "model_type": "qwen3", "hidden_size": 768, "intermediate_size": 2304,
        "num_hidden_layers": 12, "num_attention_heads": 12, "num_key_value_heads": 4,
        "head_dim": 64, "rope_theta": 1000000.0, "tie_word_embeddings": True,
        "torch_dtype": "bfloat16",
    }  # fmt: skip
    return BenchModel("random 85M", _write_random(folder / "random-qwen3", config))


def _write_random(path: Path, config: dict[str, Any]) -> Path:
    path.mkdir(parents=True)
    guide = json.loads((GUIDE_DIR / "config.json").read_text(encoding="utf-8"))
    more = {
        "rms_norm_eps": 1e-5, "vocab_size": guide["vocab_size"],
        "quantization": {"group_size": 64, "bits": 4},
    }  # fmt: skip
    _write_json(path / "config.json", _endless({**config, **more}))
    _write_tokenizer(path)
    subprocess.run(
        module_command("random_weights", str(path)), cwd=ROOT, env=quiet_environment(), check=True
    )
    return path


def random_text(seed: int, words: int) -> str:
    """Plain words, most of them a token each; every seed gives another text."""
    return " ".join(random.Random(seed).choices(_WORDS, k=words))


def _endless(config: dict[str, Any]) -> dict[str, Any]:
    return {**config, "max_position_embeddings": CONTEXT_TOKENS, "eos_token_id": None}


def _write_tokenizer(path: Path) -> None:
    shutil.copyfile(GUIDE_DIR / "tokenizer.json", path / "tokenizer.json")
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "chat_template": _TEMPLATE}
    _write_json(path / "tokenizer_config.json", settings)


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1), encoding="utf-8")
