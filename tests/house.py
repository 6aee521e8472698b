"""The rules of the house, as functions from a source's text to complaints."""

import ast
import subprocess
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MAX_FILE_LINES = 350
MAX_FUNCTION_LINES = 50
MLX = ("mlx", "mlx_lm")
HUB = ("huggingface_hub",)
GRADIO = ("gradio", "gradio_client")
SERVICES = ("engine.inference", "engine.library", "engine.hub")
BOUNDARIES = ("engine/inference/backend.py", "engine/inference/worker.py", "ui/errors.py")
VAGUE_NAMES = ("utils", "helpers", "misc")
# Spelled in two halves, so that this file does not break its own rule.
WORKPLACE = ("/work" + "/main", "/work" + "/shared", "../" + "shared", "." + "library/")


def sources() -> Iterator[tuple[str, str]]:
    """(path from the root, text) of the app's own Python files."""
    for path in [ROOT / "app.py", *sorted((ROOT / "engine").rglob("*.py")),
                 *sorted((ROOT / "ui").rglob("*.py"))]:  # fmt: skip
        yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")


def tracked_texts() -> Iterator[tuple[str, str]]:
    """(path, text) of every text file that git tracks or would track."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT, capture_output=True, text=True, timeout=30, check=True,
    ).stdout  # fmt: skip
    for name in filter(None, listed.split("\0")):
        path = ROOT / name
        raw = path.read_bytes() if path.is_file() else b""
        if b"\0" not in raw[:4096]:
            yield name, raw.decode("utf-8", "replace")


def imported_modules(path: str, text: str) -> set[str]:
    """Every module that a file imports, anywhere in it; also by a literal import_module call."""
    package = path.removesuffix(".py").replace("/", ".").split(".")[:-1]
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            found |= {module} | {f"{module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
            name = node.func.id if isinstance(node.func, ast.Name) else name
            if name in ("import_module", "__import__"):
                found.add(str(node.args[0].value))
    return found


def imports_of(path: str, text: str, packages: tuple[str, ...]) -> list[str]:
    """Imports of any of ``packages`` or of what is in them."""
    return sorted(
        module
        for module in imported_modules(path, text)
        if any(module == package or module.startswith(package + ".") for package in packages)
    )


def foreign_service_imports(path: str, text: str) -> list[str]:
    """Imports by a service of another service's modules."""
    own = next((s for s in SERVICES if path.startswith(s.replace(".", "/") + "/")), None)
    return [] if own is None else imports_of(path, text, tuple(s for s in SERVICES if s != own))


def long_functions(text: str) -> list[str]:
    """Functions longer than the house allows, decorators not counted."""
    return [
        f"{node.name}: {node.end_lineno - node.lineno + 1} lines"
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno + 1 > MAX_FUNCTION_LINES
    ]


def wide_nets(text: str) -> list[int]:
    """Lines that catch everything."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or {"Exception", "BaseException"} & _names(node.type))
    ]


def _names(node: ast.AST) -> set[str]:
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name)} | {
        n.attr for n in ast.walk(node) if isinstance(n, ast.Attribute)
    }


def defined_in_blocks(text: str) -> list[str]:
    """Functions and classes defined inside a ``with gr.Blocks()``."""
    return [
        inner.name
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.With)
        and any("Blocks" in _names(item.context_expr) for item in node.items)
        for inner in ast.walk(node)
        if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    ]


def undocumented(text: str) -> list[str]:
    """Public modules, classes, functions and methods without a docstring."""
    tree = ast.parse(text)
    missing = [] if ast.get_docstring(tree) else ["the module"]
    return missing + _undocumented_in(tree)


def _undocumented_in(scope: ast.Module | ast.ClassDef) -> list[str]:
    missing = []
    for node in scope.body:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        if node.name.startswith("_"):
            continue
        if not ast.get_docstring(node):
            missing.append(node.name)
        if isinstance(node, ast.ClassDef):
            missing += _undocumented_in(node)
    return missing
