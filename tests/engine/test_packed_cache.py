"""What a model has read, kept in 8 or 4 bits: chosen for a model, with its effect on memory."""

import asyncio
import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine import Engine
from engine.errors import InUse, LoadFailed
from engine.library.memory import kv_choices
from engine.preferences import Preferences
from tests.engine.answers import ask, start
from tests.engine.inference_thread import loaded_model, on_thread
from tests.models import edit_json, write_model
from ui.cache_choice import CacheChoice
from ui.conversation import Conversation
from ui.model_picker import ModelHandlers

WIDE = "tiny/wide"
ALLOTTED_TOKENS = 256
QUESTION = "what is the best way to keep what was read? " * 4


@pytest.fixture
def wide(engine: Engine) -> Iterator[str]:
    """A model with heads of 64 values."""
    write_model(engine.settings.models_dir / WIDE, hidden=128, heads=2, kv_heads=1, seed=5)
    yield WIDE
    engine.inference.unload(WIDE)
    engine.preferences.choose_kv_bits(WIDE, 16)


def _held_bytes(engine: Engine) -> int:
    """What the kept prompts of the model take."""
    return int(engine.inference._thread._residents[WIDE].lane.memory.size_bytes)


@pytest.mark.parametrize("bits", [8, 4])
def test_a_packed_cache_takes_what_was_announced(engine: Engine, wide: str, bits: int) -> None:
    plain = engine.inference.load(wide).result(60)
    said = ask(engine, QUESTION, wide)
    plain_bytes = _held_bytes(engine)
    packed = engine.choose_kv_bits(wide, bits).result(60)
    assert plain.is_batched and not packed.is_batched
    answer = ask(engine, QUESTION, wide)
    assert answer.stats.output_tokens == 24
    if bits == 8:  # a value off by a two-hundredth changes few words
        same = sum(one == other for one, other in zip(answer.text, said.text, strict=True))
        assert same >= 18
    announced = engine.library.kv_choices(wide)  # for a context of 4,096
    assert _held_bytes(engine) == announced[bits] * ALLOTTED_TOKENS / 4096
    assert plain_bytes > 2 * _held_bytes(engine)
    again = ask(engine, QUESTION, wide)
    assert again.text == answer.text and again.stats.reused_tokens > 0


def test_the_choice_holds_until_it_is_taken_back(engine: Engine, wide: str) -> None:
    engine.choose_kv_bits(wide, 8).result(60)
    engine.inference.unload(wide)
    assert not engine.inference.load(wide).result(60).is_batched
    assert engine.choose_kv_bits(wide, 16).result(60).is_batched


def test_a_model_that_answers_keeps_its_cache(engine: Engine, wide: str) -> None:
    engine.inference.load(wide).result(60)
    ticket = start(engine, QUESTION, wide, max_tokens=2000)
    ticket.drain(30)
    with pytest.raises(InUse):
        engine.choose_kv_bits(wide, 8)
    assert engine.preferences.kv_bits(wide) == 16
    ticket.cancel()
    list(ticket.events())


def test_an_attention_that_cannot_read_packed_keys_is_found_out_at_the_load(
    engine: Engine, wide: str
) -> None:
    gemma = "tiny/capped"
    folder = write_model(engine.settings.models_dir / gemma, hidden=128, heads=2, kv_heads=1)
    _as_gemma(engine, folder)
    assert engine.inference.load(gemma).result(60)
    with pytest.raises(LoadFailed, match="packed memory"):
        engine.choose_kv_bits(gemma, 8).result(60)
    assert engine.choose_kv_bits(gemma, 16).result(60)
    engine.inference.unload(gemma)


def _as_gemma(engine: Engine, folder: Path) -> None:
    """Random weights of an architecture that works out its scores by itself."""
    config = {
        "model_type": "gemma2", "hidden_size": 128, "num_hidden_layers": 2,
        "intermediate_size": 128, "num_attention_heads": 2, "num_key_value_heads": 1,
        "head_dim": 64, "rms_norm_eps": 1e-5, "vocab_size": 262, "rope_theta": 10000.0,
        "attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0,
        "query_pre_attn_scalar": 64, "max_position_embeddings": 512, "torch_dtype": "float32",
    }  # fmt: skip
    edit_json(folder / "config.json", **config)

    def write() -> None:
        mx = importlib.import_module("mlx.core")
        module = importlib.import_module("mlx_lm.models.gemma2")
        flatten = importlib.import_module("mlx.utils").tree_flatten
        model = module.Model(module.ModelArgs.from_dict(config))
        mx.save_safetensors(
            str(folder / "model.safetensors"), dict(flatten(model.parameters())), {"format": "mlx"}
        )

    on_thread(engine, write)


def test_the_page_offers_what_there_is_and_goes_back_when_it_fails(
    engine: Engine, wide: str
) -> None:
    models = ModelHandlers(engine, wide)
    handlers = CacheChoice(engine, models.follow_load)
    assert handlers.show(wide).choices == [
        ("Full: 4 MB", 16), ("8 bits: 1 MB", 8), ("4 bits: 655 KB", 4),
    ]  # fmt: skip
    assert not handlers.show("tiny/llama").visible and not handlers.show("no/model").visible

    async def choose(bits: int, page: Conversation) -> list[Any]:
        return [update async for update in handlers.choose(bits, page.model_id, page)]

    assert "ready" in asyncio.run(choose(8, Conversation(wide)))[-1][0]
    assert engine.preferences.kv_bits(wide) == 8 == handlers.show(wide).value
    capped = "tiny/capped"
    _as_gemma(engine, write_model(engine.settings.models_dir / capped, hidden=128, heads=2))
    with pytest.warns(UserWarning, match="packed memory"):  # a toast, where there is a page
        updates = asyncio.run(choose(4, Conversation(capped)))
    assert "ready" in updates[-2][0] and updates[-1][1].value == 16
    engine.inference.unload(capped)


def test_only_models_with_a_window_get_one(engine: Engine) -> None:
    model = loaded_model(engine, "tiny/llama")
    kinds = on_thread(engine, lambda: {type(layer).__name__ for layer in model.new_cache()})
    assert kinds == {"KVCache"}


@pytest.mark.parametrize(
    ("config", "choices"),
    [
        ({}, [16, 8, 4]),
        ({"head_dim": 80}, [16]),
        ({"model_type": "mamba2", "mamba_num_heads": 2, "mamba_d_head": 64,
          "mamba_d_state": 4}, [16]),
        ({"num_hidden_layers": 0}, []),
    ],
)  # fmt: skip
def test_packing_is_offered_where_there_is_something_to_pack(
    config: dict[str, Any], choices: list[int]
) -> None:
    whole = {
        "model_type": "llama", "hidden_size": 128, "num_hidden_layers": 2,
        "num_attention_heads": 2, "max_position_embeddings": 1024, **config,
    }  # fmt: skip
    sizes = kv_choices(whole)
    assert list(sizes) == choices
    assert list(sizes.values()) == sorted(sizes.values(), reverse=True)


def test_choices_for_models_outlive_a_restart_and_nonsense_does_not(tmp_path: Path) -> None:
    path = tmp_path / "preferences.json"
    Preferences(path).choose_kv_bits("org/model", 8)
    assert Preferences(path).kv_bits("org/model") == 8
    assert Preferences(path).kv_bits("org/other") == 16
    path.write_text('{"kv_bits": {"a": 3, "b": "8", "c": [4]}}')
    assert [Preferences(path).kv_bits(name) for name in "abc"] == [16, 16, 16]
