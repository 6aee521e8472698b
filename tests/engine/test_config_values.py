"""Whatever a config holds, checking the model ends in an EngineError or not at all."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from engine import Settings
from engine.errors import EngineError
from engine.inference import supported_architectures
from engine.library import Library
from tests.models import edit_json, write_model

CASES = 400
KEYS = [
    "model_type", "num_hidden_layers", "hidden_size", "num_attention_heads", "vocab_size",
    "num_key_value_heads", "max_position_embeddings", "quantization", "quantization_config",
    "text_config", "torch_dtype", "dtype", "head_dim", "kv_lora_rank", "intermediate_size",
    "architectures", "eos_token_id", "model_file", "n_layers",
]  # fmt: skip
TOKENIZER_KEYS = ["chat_template", "auto_map", "chat_template_type", "added_tokens_decoder"]


def _any_value(random_source: random.Random, depth: int = 0) -> Any:
    simple = [
        None, True, False, 0, -1, 1, 3.5, 1e308, float("nan"), float("inf"), 2**63, 10**400, "",
        "llama", "\0", "\ud800", "x" * 10_000, "{{ 1/0 }}", "../..", random_source.randrange(10**6),
    ]  # fmt: skip
    kind = random_source.randrange(10)
    if depth < 3 and kind == 0:
        return [_any_value(random_source, depth + 1) for _ in range(random_source.randrange(4))]
    if depth < 3 and kind in (1, 2):
        keys = [*KEYS, "bits", "mode", "name", "template", "default"]
        return {
            random_source.choice(keys): _any_value(random_source, depth + 1)
            for _ in range(random_source.randrange(4))
        }
    return random_source.choice(simple)


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json", "generation_config.json"])
def test_no_value_escapes_as_anything_but_an_engine_error(settings: Settings, file: str) -> None:
    folder = write_model(settings.models_dir / "org" / "name")
    library = Library(settings, supported_architectures, lambda: 10**9)
    path = folder / file
    good = path.read_text(encoding="utf-8") if path.is_file() else "{}"
    draw = random.Random(file)
    refused = 0
    for _ in range(CASES):
        path.write_text(good, encoding="utf-8")
        keys = TOKENIZER_KEYS if file.startswith("tokenizer") else KEYS
        changes = {draw.choice(keys): _any_value(draw) for _ in range(draw.randint(1, 3))}
        edit_json(path, **changes)
        try:
            library.check("org/name")
        except EngineError as error:
            refused += 1
            assert error.hint, changes
            assert len(error.text) < 500, changes
            error.text.encode("utf-8")
        for model in library.list():
            " ".join((model.architecture, model.quantization, *model.blockers)).encode("utf-8")
    assert refused < CASES
    assert refused > 0 or file != "config.json"


@pytest.mark.parametrize(
    "entry",
    [[{"name": [], "template": "x"}], [[]], [None], [{"name": "default"}], {"default": 3}, 3.5],
)
def test_a_template_entry_of_the_wrong_kind_is_no_template(
    settings: Settings, entry: object
) -> None:
    folder = write_model(settings.models_dir / "org" / "name")
    edit_json(folder / "tokenizer_config.json", chat_template=entry)
    library = Library(settings, supported_architectures, lambda: 10**9)
    assert library.check("org/name").template is None
    assert "no chat template" in " ".join(library.find("org/name").blockers)


def test_a_deep_value_anywhere_is_survived(settings: Settings) -> None:
    folder: Path = write_model(settings.models_dir / "org" / "name")
    library = Library(settings, supported_architectures, lambda: 10**9)
    deep = "[" * 100_000 + "]" * 100_000
    for name in ("generation_config.json", "tokenizer_config.json", "special_tokens_map.json",
                 "model.safetensors.index.json", "config.json"):  # fmt: skip
        (folder / name).write_text(json.dumps({"model_type": 0}).replace("0", deep))
        library.list()
    with pytest.raises(EngineError, match="not valid JSON"):
        library.check("org/name")
