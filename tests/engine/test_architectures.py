"""The list of architectures is mlx-lm's own, read without importing it."""

import ast
import importlib.util
from pathlib import Path

from engine.inference import supported_architectures


def _defines_model(path: Path) -> bool:
    names = {
        getattr(node, "name", "") or alias.asname or alias.name
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        for alias in getattr(node, "names", [ast.alias("")])
        if isinstance(node, ast.ClassDef | ast.Import | ast.ImportFrom)
    }
    return {"Model", "ModelArgs"} <= names


def test_the_list_is_every_module_that_defines_a_model() -> None:
    spec = importlib.util.find_spec("mlx_lm")
    assert spec and spec.origin
    folder = Path(spec.origin).parent / "models"
    files = {path.stem: path for path in folder.glob("*.py")}
    known = supported_architectures()
    assert {name for name, path in files.items() if _defines_model(path)} == known & files.keys()


def test_other_names_of_an_architecture_are_known() -> None:
    assert {"llama", "mistral", "qwen3"} <= supported_architectures()


def test_what_is_no_architecture_is_not_listed() -> None:
    assert not {"cache", "base", "__init__", "switch_layers"} & supported_architectures()
