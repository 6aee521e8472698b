"""Which architectures the installed mlx-lm knows, found without importing it.

Importing mlx-lm takes over a second and belongs to the inference thread, so its folder is read
instead: a module per architecture in ``mlx_lm/models``, and the aliases in ``mlx_lm/utils.py``.
"""

import ast
import functools
import importlib.util
from pathlib import Path

_NOT_ARCHITECTURES = {
    "__init__", "activations", "base", "bitlinear_layers", "cache", "gated_delta", "mla",
    "pipeline", "rope_utils", "ssm", "switch_layers",
}  # fmt: skip


@functools.cache
def supported_architectures() -> frozenset[str]:
    """Values of ``model_type`` that mlx-lm can build; empty when mlx-lm is not installed."""
    spec = importlib.util.find_spec("mlx_lm")
    if spec is None or not spec.submodule_search_locations:
        return frozenset()
    root = Path(spec.submodule_search_locations[0])
    modules = {path.stem for path in (root / "models").glob("*.py")} - _NOT_ARCHITECTURES
    packages = {path.parent.name for path in (root / "models").glob("*/__init__.py")}
    return frozenset(modules | packages | _aliases(root / "utils.py"))


def _aliases(path: Path) -> set[str]:
    """Keys of MODEL_REMAPPING."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            if node.targets[0].id == "MODEL_REMAPPING" and isinstance(node.value, ast.Dict):
                keys = (key.value for key in node.value.keys if isinstance(key, ast.Constant))
                return {key for key in keys if isinstance(key, str)}
    return set()
