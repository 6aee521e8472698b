"""A lane of one serves in order, and says what the batch says."""

import time
from typing import Any

import pytest

from engine import Engine
from engine.inference.turn import Turn
from engine.records import (
    ChatEvent,
    Finished,
    LoadedModel,
    Message,
    SamplingParams,
    TextDelta,
)
from tests.engine.answers import LLAMA, ask, read, start
from tests.engine.inference_thread import loaded_model, on_thread

QUESTIONS = ["hello", "what is it? " * 20, "hello there"]


def _loaded(engine: Engine, name: str) -> LoadedModel:
    return engine.inference.load(name).result(timeout=60)


def _turn(question: str, **params: Any) -> Turn:
    chosen = SamplingParams(**{"temperature": 0.0, "max_tokens": 24, **params})
    return Turn(LLAMA, [Message("user", question)], chosen, lambda: None)


def _text(turn: Turn) -> str:
    return "".join(e.text for e in turn.ticket.events() if isinstance(e, TextDelta))


def _lane_of_one(engine: Engine, prefill_step_tokens: int = 16) -> Any:
    """On the inference thread only."""
    thread = engine.inference._thread
    return thread._lanes.SoloLane(thread._residents[LLAMA].lane.model, prefill_step_tokens, 8, 64)


def test_caches_that_no_batch_can_hold_get_a_lane_of_one(engine: Engine) -> None:
    assert _loaded(engine, LLAMA).is_batched
    assert _loaded(engine, "tiny/recurrent").is_batched
    assert not _loaded(engine, "tiny/chunked").is_batched


def test_a_lane_of_one_serves_in_the_order_of_coming(engine: Engine) -> None:
    alone = [ask(engine, question, "tiny/chunked").text for question in QUESTIONS]
    tickets = [start(engine, question, "tiny/chunked", max_tokens=24) for question in QUESTIONS]
    begun: list[int] = []
    events: dict[int, list[ChatEvent]] = {n: [] for n in range(3)}
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and len(begun) < 3:
        for n, ticket in enumerate(tickets):
            if any(isinstance(event, Finished) for event in events[n]):
                continue
            events[n] += ticket.drain(0.001)
            if n not in begun and any(isinstance(event, TextDelta) for event in events[n]):
                begun.append(n)
    assert begun == [0, 1, 2]
    rest = [
        "" if isinstance(events[n][-1], Finished) else read(ticket).text
        for n, ticket in enumerate(tickets)
    ]
    said = [
        "".join(e.text for e in events[n] if isinstance(e, TextDelta)) + rest[n] for n in range(3)
    ]
    assert said == alone


@pytest.mark.parametrize(
    "params", [{}, {"temperature": 1.0, "seed": 9}, {"repetition_penalty": 1.5}], ids=str
)
def test_a_lane_of_one_says_what_the_batch_says(engine: Engine, params: dict[str, Any]) -> None:
    batched = [ask(engine, question, **params).text for question in QUESTIONS]
    loaded_model(engine, LLAMA)

    def serve() -> list[Turn]:
        lane = _lane_of_one(engine)
        turns = [_turn(question, **params) for question in QUESTIONS]
        for turn in turns:
            lane.submit(turn)
        while lane.turns:
            lane.step()
        return turns

    assert [_text(turn) for turn in on_thread(engine, serve)] == batched


@pytest.mark.parametrize("steps", range(9))
def test_stopping_at_any_step_leaves_the_prompt_cache_true(engine: Engine, steps: int) -> None:
    question = "a question of forty letters, in three steps"
    expected = ask(engine, question).text
    loaded_model(engine, LLAMA)

    def serve() -> Turn:
        lane = _lane_of_one(engine)
        stopped, again = _turn(question), _turn(question)
        lane.submit(stopped)
        for _ in range(steps):
            lane.step()
        stopped.ticket.cancel()
        lane.submit(again)
        while lane.turns:
            lane.step()
        return again

    assert _text(on_thread(engine, serve)) == expected
