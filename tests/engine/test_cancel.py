"""Stopping keeps what was said, at every stage, and disturbs nobody."""

import contextlib
import threading
import time

import pytest

from engine import ChatTicket, Engine
from engine.errors import NotInstalled
from engine.records import Finished, Message, Prefill, Queued, SamplingParams, TextDelta
from tests.conftest import LIMITS
from tests.engine.answers import DEADLINE_S, LLAMA, ask, read, start
from tests.models import write_model

KINDS = [LLAMA, "tiny/chunked", "tiny/recurrent"]


def _until(ticket: ChatTicket, kind: type) -> list[object]:
    """Read events until one of a kind came."""
    seen: list[object] = []
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        seen += ticket.drain(0.5)
        if any(isinstance(event, kind) for event in seen):
            return seen
    raise AssertionError(f"no {kind.__name__}; saw {seen[-3:]}")


def _text(events: list[object]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


@pytest.mark.parametrize("model", KINDS)
def test_stopping_keeps_the_text(engine: Engine, model: str) -> None:
    whole = ask(engine, "hello", model, max_tokens=1500).text
    ticket = start(engine, "hello", model, max_tokens=1500)
    begun = _text(_until(ticket, TextDelta))
    ticket.cancel()
    answer = read(ticket)
    assert answer.reason == "cancelled"
    kept = begun + answer.text
    assert 0 < len(kept) < 1500
    assert whole.startswith(kept)
    assert answer.stats.output_tokens == len(kept)


@pytest.mark.parametrize("model", KINDS)
def test_an_answer_after_a_stopped_one_is_as_if_nothing_was(engine: Engine, model: str) -> None:
    fresh = ask(engine, "hello again", model, max_tokens=40).text
    ticket = start(engine, "hello again", model, max_tokens=1500)
    _until(ticket, TextDelta)
    ticket.cancel()
    read(ticket)
    assert ask(engine, "hello again", model, max_tokens=40).text == fresh


@pytest.mark.parametrize("model", KINDS)
def test_stopping_while_the_prompt_is_read(engine: Engine, model: str) -> None:
    long = "z" * 1990
    ticket = start(engine, long, model, max_tokens=4)
    _until(ticket, Prefill)
    ticket.cancel()
    answer = read(ticket)
    assert answer.reason == "cancelled"
    assert answer.text == ""
    after = ask(engine, long, model, max_tokens=4).text
    engine.inference.unload(model)
    assert ask(engine, long, model, max_tokens=4).text == after


@pytest.mark.parametrize("steps", range(6))
def test_stopping_after_any_number_of_events_leaves_the_prompt_cache_true(
    engine: Engine, steps: int
) -> None:
    question = f"solo {steps}"
    ticket = start(engine, question, "tiny/chunked", max_tokens=30)
    for _ in range(steps):
        ticket.drain(0.002)
    ticket.cancel()
    read(ticket)
    again = ask(engine, question, "tiny/chunked", max_tokens=30).text
    engine.inference.unload("tiny/chunked")
    assert ask(engine, question, "tiny/chunked", max_tokens=30).text == again


def test_stopping_while_waiting_in_line(engine: Engine) -> None:
    running = [start(engine, "hello", max_tokens=100_000) for _ in range(LIMITS.active_requests)]
    waiting = [start(engine, "hello") for _ in range(2)]
    positions = [
        event.position
        for ticket in waiting
        for event in _until(ticket, Queued)
        if isinstance(event, Queued)
    ]
    assert positions == [1, 2]
    waiting[0].cancel()
    answer = read(waiting[0])
    assert (answer.reason, answer.text, answer.stats.output_tokens) == ("cancelled", "", 0)
    for ticket in running:
        ticket.cancel()
    assert read(waiting[1]).text == ask(engine, "hello").text
    for ticket in running:
        read(ticket)


def test_stopping_before_the_model_is_there(engine: Engine) -> None:
    engine.inference.unload("tiny/other")
    ticket = start(engine, "hello", "tiny/other", max_tokens=400)
    ticket.cancel()
    assert read(ticket).reason == "cancelled"


def test_stopping_twice_and_after_the_end_does_nothing(engine: Engine) -> None:
    ticket = start(engine, "hello")
    assert read(ticket).reason == "length"
    ticket.cancel()
    ticket.cancel()
    assert ask(engine, "hello").reason == "length"


def test_a_stopped_request_for_no_model_still_ends(engine: Engine) -> None:
    ticket = start(engine, "hello", "nobody/nothing")
    ticket.cancel()
    with contextlib.suppress(NotInstalled):
        _until(ticket, Finished)


def test_stopping_while_the_model_is_loaded_does_not_wait_for_it(engine: Engine) -> None:
    name = "tiny/loaded-late"
    write_model(engine.settings.models_dir / name)
    gate = threading.Event()
    engine.inference._thread.post(lambda: gate.wait(DEADLINE_S) and None)
    ticket = engine.inference.chat([Message("user", "hi")], SamplingParams(), name)
    try:
        ticket.cancel()
        finished = [event for event in ticket.events() if isinstance(event, Finished)]
    finally:
        gate.set()
    assert [event.reason for event in finished] == ["cancelled"]
    engine.inference.load(name).result(DEADLINE_S)
    engine.inference.unload(name)
