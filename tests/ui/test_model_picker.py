"""A load that takes its time, scripted at the inference service, as the picker tells it."""

import asyncio
import re
from collections.abc import Iterator
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any, cast

import pytest

from engine import Engine
from engine.errors import LoadFailed
from engine.records import LoadedModel, Loading
from ui.conversation import Conversation
from ui.model_picker import ModelHandlers

SLOW = "org/slow"
LOADED = LoadedModel(
    SLOW, memory_bytes=1, context_tokens=1, is_batched=True, active_requests=0,
    has_chat_template=True,
)  # fmt: skip


class ScriptedInference:
    """Tells one script of progress; the load ends behind its last line."""

    def __init__(self, script: list[Loading], end: LoadedModel | LoadFailed) -> None:
        self._script: Iterator[Loading] = iter(script)
        self._end = end
        self._future: Future[LoadedModel] = Future()

    def load(self, repo_id: str) -> "Future[LoadedModel]":
        assert repo_id == SLOW
        return self._future

    def loading(self) -> dict[str, Loading]:
        told = next(self._script, None)
        if told is not None:
            return {SLOW: told}
        if isinstance(self._end, LoadFailed):
            self._future.set_exception(self._end)
        else:
            self._future.set_result(self._end)
        return {}


def pills(script: list[Loading], end: LoadedModel | LoadFailed) -> Iterator[str]:
    engine: Any = SimpleNamespace(
        inference=ScriptedInference(script, end), remote=SimpleNamespace(knows=lambda _: False)
    )
    handlers = ModelHandlers(cast(Engine, engine), SLOW)
    stream = handlers.follow_load(SLOW, Conversation(SLOW))
    with asyncio.Runner() as runner:
        while True:
            try:
                yield runner.run(anext(stream))  # type: ignore[arg-type]
            except StopAsyncIteration:
                return


def test_the_bar_grows_with_what_is_loaded_and_ends_as_ready() -> None:
    script = [Loading(0, 0), Loading(0, 4_600_000_000), Loading(1_150_000_000, 4_600_000_000),
              Loading(4_600_000_000, 4_600_000_000)]  # fmt: skip
    *told, last = pills(script, LOADED)
    assert [re.findall(r"width:(\d+)%", pill) for pill in told] == [["0"], ["25"], ["100"]]
    assert all("loading 4.6 GB" in pill for pill in told)
    assert "ready" in last


def test_a_load_that_fails_after_a_while_says_so_in_the_place_of_the_bar() -> None:
    told = []
    with pytest.raises(LoadFailed):
        for pill in pills([Loading(1, 4)], LoadFailed("It broke.", "Try again.")):
            told.append(pill)
    assert "width:25%" in told[0] and "slow could not be loaded" in told[-1]
