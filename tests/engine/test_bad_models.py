"""Every way for a model to be bad is a named error with a hint, and the others go on answering."""

import itertools
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from engine import Engine
from engine.errors import Damaged, LoadFailed, ModelError, NotInstalled, Unsupported
from engine.settings import GUIDE_ID
from tests.engine.answers import ask
from tests.models import edit_json, write_json, write_model, write_safetensors

DEEP = "[" * 100_000 + "]" * 100_000
WEIGHTS = "model.safetensors"
LOAD_TIMEOUT_S = 60
_numbers = itertools.count()

Break = Callable[[Path], object]


def _load(engine: Engine, break_it: Break, shards: int = 1) -> ModelError:
    """The error of loading a model that was broken in one way."""
    name = f"bad/{next(_numbers)}"
    folder = write_model(engine.settings.models_dir / name, shards=shards)
    break_it(folder)
    error = engine.inference.load(name).exception(LOAD_TIMEOUT_S)
    assert isinstance(error, ModelError), repr(error)
    assert error.hint
    assert name not in engine.inference.loading()
    assert name not in {model.repo_id for model in engine.inference.loaded()}
    return error


@pytest.fixture(autouse=True)
def guide_goes_on(engine: Engine) -> object:
    yield
    assert ask(engine, "hello", GUIDE_ID, max_tokens=3).stats.output_tokens > 0


def _config(**changes: object) -> Break:
    return lambda folder: edit_json(folder / "config.json", **changes)


def _config_text(text: str) -> Break:
    return lambda folder: (folder / "config.json").write_text(text)


def _weights(change: Callable[[bytes], bytes]) -> Break:
    def break_it(folder: Path) -> None:
        file = folder / WEIGHTS
        file.write_bytes(change(file.read_bytes()))

    return break_it


def test_a_folder_that_is_no_model_is_not_installed(engine: Engine) -> None:
    error = _load(engine, lambda folder: (folder / "config.json").unlink())
    assert isinstance(error, NotInstalled)


def test_no_weights_at_all_are_named(engine: Engine) -> None:
    error = _load(engine, lambda folder: (folder / WEIGHTS).unlink())
    assert isinstance(error, Damaged) and "no weights" in error.message


def test_an_unknown_model_type_is_unsupported_by_name(engine: Engine) -> None:
    error = _load(engine, _config(model_type="gopher9"))
    assert isinstance(error, Unsupported) and "gopher9" in error.message


@pytest.mark.parametrize("model_type", ["cache", "../llama", "__init__", "os", "", "llama.Model"])
def test_a_model_type_that_is_a_module_of_another_kind_is_unsupported(
    engine: Engine, model_type: str
) -> None:
    assert isinstance(_load(engine, _config(model_type=model_type)), Unsupported)


@pytest.mark.parametrize("value", [None, 3, ["llama"], {"a": 1}, True])
def test_a_model_type_that_is_no_text_is_damaged(engine: Engine, value: object) -> None:
    assert isinstance(_load(engine, _config(model_type=value)), Damaged)


@pytest.mark.parametrize("text", ["[]", "3", "null", '"llama"', "", "{", "\0\0", DEEP,
                                  '{"model_type": "llama", "x": ' + DEEP + "}"])  # fmt: skip
def test_a_config_that_is_no_object_is_damaged(engine: Engine, text: str) -> None:
    error = _load(engine, _config_text(text))
    assert isinstance(error, Damaged) and "config.json" in error.message


@pytest.mark.parametrize("gone", [1, 2, 3])
def test_a_missing_shard_is_named(engine: Engine, gone: int) -> None:
    name = f"model-{gone:05}-of-00003.safetensors"
    error = _load(engine, lambda folder: (folder / name).unlink(), shards=3)
    assert isinstance(error, Damaged) and name in error.message


def test_a_missing_shard_is_named_without_an_index(engine: Engine) -> None:
    def break_it(folder: Path) -> None:
        (folder / "model.safetensors.index.json").unlink()
        (folder / "model-00002-of-00003.safetensors").unlink()

    error = _load(engine, break_it, shards=3)
    assert "model-00002-of-00003.safetensors" in error.message


def test_a_missing_shard_of_very_many_is_named(engine: Engine) -> None:
    def break_it(folder: Path) -> None:
        (folder / WEIGHTS).rename(folder / "model-00001-of-99999.safetensors")

    error = _load(engine, break_it)
    assert "model-00002-of-99999.safetensors" in error.message


def test_a_missing_file_that_only_the_index_knows_is_named(engine: Engine) -> None:
    index = {"weight_map": {"lm_head.weight": "model-head.safetensors"}}
    error = _load(engine, lambda folder: write_json(folder / "model.safetensors.index.json", index))
    assert isinstance(error, Damaged) and "model-head.safetensors" in error.message


@pytest.mark.parametrize(
    "change",
    [
        lambda raw: raw[:-1],
        lambda raw: raw[: len(raw) // 2],
        lambda raw: raw[:4],
        lambda raw: b"",
        lambda raw: raw + b"\0",
        lambda raw: raw[:8] + b"\xff" * 40 + raw[48:],
        lambda raw: b"PK\3\4" * 400,
        lambda raw: (10**15).to_bytes(8, "little") + raw[8:],
    ],
    ids=["one byte", "half", "head", "empty", "longer", "header", "garbage", "length"],
)
def test_weights_that_are_not_whole_are_damaged(
    engine: Engine, change: Callable[[bytes], bytes]
) -> None:
    error = _load(engine, _weights(change))
    assert isinstance(error, Damaged) and WEIGHTS in error.message


@pytest.mark.parametrize(
    "changes",
    [
        {"num_hidden_layers": 100_000},
        {"num_hidden_layers": 3},
        {"num_hidden_layers": -1},
        {"num_hidden_layers": "2"},
        {"num_hidden_layers": 100_000, "text_config": {"num_hidden_layers": 2}},
        {"n_layers": 100_000},
        {"num_attention_heads": 10**8},
        {"model_type": "dbrx", "ffn_config": {}, "num_local_experts": 10**9},
    ],
    ids=str,
)
def test_a_config_that_promises_more_than_the_weights_hold_is_damaged(
    engine: Engine, changes: dict[str, object]
) -> None:
    assert isinstance(_load(engine, _config(**changes)), Damaged)


def test_layers_are_counted_though_their_names_are_strange(engine: Engine) -> None:
    def break_it(folder: Path) -> None:
        write_safetensors(folder / WEIGHTS, {"strange": np.zeros(4, np.float32)})
        edit_json(folder / "config.json", num_hidden_layers=100_000)

    assert isinstance(_load(engine, break_it), Damaged)


@pytest.mark.parametrize(
    "changes",
    [
        {"hidden_size": 64},
        {"vocab_size": 10},
        {"hidden_size": "wide"},
        {"num_attention_heads": 0},
        {"num_key_value_heads": 10**4},
        {"rope_scaling": {"type": 3}},
        {"quantization": [1]},
    ],
    ids=str,
)
def test_shapes_that_do_not_match_fail_to_load(engine: Engine, changes: dict[str, object]) -> None:
    assert isinstance(_load(engine, _config(**changes)), LoadFailed)


@pytest.mark.parametrize("name", ["num_key_value_heads", "hidden_size", "vocab_size", "head_dim"])
@pytest.mark.parametrize("value", [10**12, 10**400], ids=["trillion", "googols"])
def test_a_number_beyond_every_computer_is_an_error_like_others(
    engine: Engine, name: str, value: int
) -> None:
    _load(engine, _config(**{name: value}))


def test_code_of_the_models_own_is_never_run(engine: Engine) -> None:
    def break_it(folder: Path) -> None:
        (folder / "evil.py").write_text(f"open({str(folder / 'ran')!r}, 'w')\n")
        edit_json(folder / "config.json", model_file="evil.py")

    assert isinstance(_load(engine, break_it), Unsupported)
    assert not list(engine.settings.models_dir.glob("bad/*/ran"))


def test_a_tokenizer_that_needs_code_is_unsupported(engine: Engine) -> None:
    def break_it(folder: Path) -> None:
        (folder / "tokenizer.json").unlink()
        (folder / "evil.py").write_text(f"open({str(folder / 'ran')!r}, 'w')\n")
        edit_json(
            folder / "tokenizer_config.json",
            tokenizer_class="Evil",
            auto_map={"AutoTokenizer": ["evil.Evil", None]},
        )

    assert isinstance(_load(engine, break_it), Unsupported)
    assert not list(engine.settings.models_dir.glob("bad/*/ran"))


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"model": {}}', DEEP, "\0"])
def test_a_broken_tokenizer_fails_to_load(engine: Engine, text: str) -> None:
    error = _load(engine, lambda folder: (folder / "tokenizer.json").write_text(text))
    assert isinstance(error, LoadFailed)


@pytest.mark.parametrize("text", ["{", "[]", DEEP])
def test_a_broken_tokenizer_config_fails_to_load(engine: Engine, text: str) -> None:
    error = _load(engine, lambda folder: (folder / "tokenizer_config.json").write_text(text))
    assert isinstance(error, LoadFailed)


@pytest.mark.parametrize("name", ["nobody/nothing", "../../etc", "a\0b", "a\nb", "x" * 400, ""])
def test_a_name_that_is_not_there_is_not_installed(engine: Engine, name: str) -> None:
    error = engine.inference.load(name).exception(LOAD_TIMEOUT_S)
    assert isinstance(error, NotInstalled) and error.hint
    with pytest.raises(NotInstalled):
        ask(engine, "hello", name)


def test_a_model_mended_on_disk_loads_without_a_restart(engine: Engine) -> None:
    folder = write_model(engine.settings.models_dir / "bad" / "mended")
    good = json.loads((folder / "config.json").read_text())
    edit_json(folder / "config.json", num_hidden_layers=9)
    with pytest.raises(Damaged):
        ask(engine, "hello", "bad/mended")
    write_json(folder / "config.json", good)
    assert ask(engine, "hello", "bad/mended").text
