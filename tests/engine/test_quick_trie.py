"""Prompts that were read are found as mlx-lm finds them, however many and long they are."""

import importlib
import random
from typing import Any

from engine import Engine
from tests.engine.inference_thread import on_thread

MODEL = "model"


def _tries() -> tuple[Any, Any]:
    """Ours, and mlx-lm's own."""
    ours = importlib.import_module("engine.inference.quick_trie").QuickTrie()
    return ours, importlib.import_module("mlx_lm.models.cache").PromptTrie()


def test_the_same_prefixes_are_found(engine: Engine) -> None:
    def compare() -> None:
        draw = random.Random(3)
        ours, theirs = _tries()
        kept: list[list[int]] = []
        for _ in range(400):
            tokens = [draw.randrange(3) for _ in range(draw.randrange(2, 9))]
            for trie in (ours, theirs):
                trie.add(MODEL, tokens, tuple(tokens))
            kept.append(tokens)
            asked = [draw.randrange(3) for _ in range(draw.randrange(2, 9))]
            found, expected = ours.search(MODEL, asked), theirs.search(MODEL, asked)
            assert found.exact == expected.exact
            assert found.common_prefix == expected.common_prefix
            assert found.shorter == expected.shorter
            assert (found.longer is None) == (expected.longer is None)
            if found.longer is not None:
                assert found.longer in kept
                assert found.longer[: found.common_prefix] == asked[: found.common_prefix]

    on_thread(engine, compare)


def test_nothing_is_found_where_nothing_is(engine: Engine) -> None:
    def look() -> None:
        ours, _ = _tries()
        assert ours.search(MODEL, [1, 2]).common_prefix == 0
        ours.add(MODEL, [1, 2], "kept")
        ours.pop(MODEL, [1, 2])
        found = ours.search(MODEL, [1, 2])
        assert (found.exact, found.shorter, found.longer, found.common_prefix) == (
            None, None, None, 0,
        )  # fmt: skip

    on_thread(engine, look)


def test_a_search_among_long_prompts_looks_at_one_of_them_alone(engine: Engine) -> None:
    class Counted(dict[Any, Any]):
        looks = 0

        def items(self) -> Any:
            Counted.looks += 1
            return super().items()

    def look() -> None:
        ours, _ = _tries()
        for first in range(64):
            node: dict[Any, Any] = ours._trie.setdefault(MODEL, {}).setdefault(0, {})
            for token in [first, *range(500)]:
                node = node.setdefault(token, Counted())
            node["__value__"] = "kept"
        assert len(ours.search(MODEL, [0, 64]).longer) == 502
        assert 0 < Counted.looks <= 502

    on_thread(engine, look)
