"""A memory budget that a test sets."""

from collections.abc import Callable, Iterator

import pytest

from engine import Engine
from tests.engine.inference_thread import on_thread

SetBudget = Callable[[int], None]


@pytest.fixture
def set_budget(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[SetBudget]:
    """Says how much models may take, beside what is in memory already; nothing is loaded."""
    unload_all(engine)
    held_bytes = on_thread(engine, engine.inference._thread._backend.active_memory_bytes)

    def set_bytes(budget_bytes: int) -> None:
        total = held_bytes + budget_bytes
        monkeypatch.setattr(engine.inference._thread, "_compute_budget_bytes", lambda _: total)

    yield set_bytes
    unload_all(engine)


def unload_all(engine: Engine) -> None:
    """Unload what is loaded."""
    for model in engine.inference.loaded():
        engine.inference.unload(model.repo_id)
