"""The rules of the house hold, and each of them can be broken."""

from pathlib import PurePath

import pytest

from tests import house

SOURCES = dict(house.sources())


def _complaints(check: object, files: dict[str, str] = SOURCES) -> dict[str, object]:
    found = {path: check(path, text) for path, text in files.items()}  # type: ignore[operator]
    return {path: complaint for path, complaint in found.items() if complaint}


def _engine_looking_up(path: str, text: str) -> list[str]:
    return house.imports_of(path, text, ("ui", "app")) if path.startswith("engine/") else []


def _ui_looking_outside(path: str, text: str) -> list[str]:
    if path.startswith("ui/"):
        return house.imports_of(path, text, (*house.MLX, *house.HUB, "app"))
    return []


def _mlx_elsewhere(path: str, text: str) -> list[str]:
    if path.startswith("engine/inference/"):
        return []
    return house.imports_of(path, text, house.MLX)


def _hub_elsewhere(path: str, text: str) -> list[str]:
    return [] if path.startswith("engine/hub/") else house.imports_of(path, text, house.HUB)


def _gradio_elsewhere(path: str, text: str) -> list[str]:
    if path.startswith("ui/") or path == "app.py":
        return []
    return house.imports_of(path, text, house.GRADIO)


def _too_long(path: str, text: str) -> bool:
    return len(text.splitlines()) > house.MAX_FILE_LINES


def _wide_nets(path: str, text: str) -> list[int]:
    return [] if path in house.BOUNDARIES else house.wide_nets(text)


def _vague_name(path: str, text: str) -> bool:
    return bool(set(PurePath(path).with_suffix("").parts) & set(house.VAGUE_NAMES))


def _workplace(path: str, text: str) -> list[str]:
    return [word for word in house.WORKPLACE if word in text]


RULES = {
    "the_engine_never_imports_the_page": (
        _engine_looking_up, "engine/hub/x.py", "def f():\n    from ui import chat\n"),
    "the_page_knows_no_mlx_and_no_hub": (
        _ui_looking_outside, "ui/x.py", "import mlx_lm.utils\n"),
    "only_inference_imports_mlx": (
        _mlx_elsewhere, "engine/library/x.py", "import mlx.core as mx\n"),
    "only_the_hub_room_imports_huggingface_hub": (
        _hub_elsewhere, "engine/library/x.py", "from huggingface_hub import HfApi\n"),
    "only_the_page_and_the_command_line_import_gradio": (
        _gradio_elsewhere, "engine/x.py", "import importlib\nimportlib.import_module('gradio')\n"),
    "services_leave_one_another_alone": (
        house.foreign_service_imports, "engine/library/x.py", "from ..inference import turn\n"),
    "files_are_short": (_too_long, "ui/x.py", "x = 1\n" * 351),
    "functions_are_short": (
        lambda path, text: house.long_functions(text),
        "ui/x.py", "class A:\n    def f(self):\n" + "        x = 1\n" * 50),
    "everything_is_caught_at_the_boundaries_only": (
        _wide_nets, "engine/hub/x.py", "try:\n    pass\nexcept (OSError, Exception):\n    pass\n"),
    "no_module_has_a_vague_name": (_vague_name, "engine/utils/x.py", ""),
    "nothing_is_defined_inside_blocks": (
        lambda path, text: house.defined_in_blocks(text),
        "ui/x.py", "with gr.Blocks() as demo:\n    def f(): pass\n"),
    "public_names_have_docstrings": (
        lambda path, text: house.undocumented(text),
        "ui/x.py", '"""A module."""\n\n\nclass A:\n    """A."""\n\n    def f(self): pass\n'),
}  # fmt: skip


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_holds(rule: str) -> None:
    assert _complaints(RULES[rule][0]) == {}


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_can_be_broken(rule: str) -> None:
    check, path, bad = RULES[rule]
    assert _complaints(check, {path: bad})


def test_the_rules_look_at_every_room() -> None:
    rooms = {path.split("/")[0] for path in SOURCES}
    assert rooms == {"app.py", "engine", "ui"}
    assert {"engine/inference/worker.py", "engine/library/folder.py"} <= SOURCES.keys()


def test_no_file_mentions_the_place_where_it_was_written() -> None:
    assert _complaints(_workplace, dict(house.tracked_texts())) == {}


def test_a_mention_of_the_place_is_noticed() -> None:
    assert _complaints(_workplace, {"x.md": "see " + house.WORKPLACE[0]})


def test_test_files_are_short_too() -> None:
    tests = {
        path.relative_to(house.ROOT).as_posix(): path.read_text(encoding="utf-8")
        for path in (house.ROOT / "tests").rglob("*.py")
    }
    assert _complaints(_too_long, tests) == {}
    assert _complaints(_vague_name, tests) == {}


def test_the_readme_has_a_line_for_every_module() -> None:
    tree = (house.ROOT / "README.md").read_text(encoding="utf-8").partition("engine/  ")[2]
    names = {path.rpartition("/")[2] for path in SOURCES} - {"__init__.py", "app.py"}
    assert [name for name in sorted(names) if f"  {name} " not in tree] == []
