"""Nobody is begun for whom there is no memory, nobody waits for ever, and nobody else is hurt."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from engine import Engine
from engine.errors import Busy
from engine.inference.turn import Turn
from engine.records import MemoryEstimate, Message, Queued, SamplingParams, TextDelta
from tests.engine.answers import DEADLINE_S, LLAMA, ask, read, start
from tests.engine.conftest import SetBudget, unload_all
from tests.engine.inference_thread import loaded_model, on_thread
from tests.engine.packed import write_packed_model

CHUNKED, PACKED = "tiny/chunked", "tiny/packed-long"
LONG_TOKENS = 700
ALLOTTED_TOKENS = 768  # the same, as caches grow by 256
GAP_TOKENS = 64
SLACK_BYTES = 50_000  # less than any of the models


def _form(engine: Engine, model: str) -> MemoryEstimate:
    return engine.library.check(model).estimate


def _kv_bytes(engine: Engine, tokens: int, model: str = LLAMA) -> int:
    cache = _form(engine, model).kv_cache
    assert cache
    return cache.bytes_at(tokens)


def _budget_with(engine: Engine, kv_bytes: int, *models: str) -> int:
    """For some models in memory, and caches of so many bytes."""
    forms = [_form(engine, model) for model in models]
    working = max(form.working_bytes or 0 for form in forms)
    return sum(form.weights_bytes for form in forms) + working + kv_bytes


def _until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def _lane(engine: Engine, model: str) -> Any:
    return engine.inference._thread._residents[model].lane


def _first_text(ticket: Any) -> None:
    _until(lambda: any(isinstance(event, TextDelta) for event in ticket.drain(0.01)))


@pytest.fixture
def impatient(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A load that waits for memory is due soon."""
    monkeypatch.setattr(engine.inference._thread._loads, "_patience_s", 0.05)


def test_a_visitor_without_memory_waits_and_everybody_gets_the_whole_answer(
    engine: Engine, set_budget: SetBudget
) -> None:
    alone = [ask(engine, said, max_tokens=LONG_TOKENS).text for said in ("hello", "what")]
    unload_all(engine)
    set_budget(_budget_with(engine, 2 * _kv_bytes(engine, ALLOTTED_TOKENS) - SLACK_BYTES, LLAMA))
    loaded_model(engine, LLAMA)
    tickets = [start(engine, said, max_tokens=LONG_TOKENS) for said in ("hello", "what")]
    served: set[int] = set()
    answers = [read(ticket, lambda _: served.add(_served(engine))) for ticket in tickets]
    assert [answer.text for answer in answers] == alone
    assert max(served) == 1
    assert any(isinstance(event, Queued) for event in answers[1].events)


def _served(engine: Engine) -> int:
    return int(on_thread(engine, lambda: len(list(_lane(engine, LLAMA)._active_turns()))))


def test_two_visitors_with_memory_for_both_are_served_at_once(
    engine: Engine, set_budget: SetBudget
) -> None:
    set_budget(_budget_with(engine, 2 * _kv_bytes(engine, ALLOTTED_TOKENS) + SLACK_BYTES, LLAMA))
    loaded_model(engine, LLAMA)
    tickets = [start(engine, said, max_tokens=LONG_TOKENS) for said in ("hello", "what")]
    served: set[int] = set()
    for ticket in tickets:
        read(ticket, lambda _: served.add(_served(engine)))
    assert max(served) == 2


def test_an_answer_is_as_long_as_the_memory_allows(engine: Engine, set_budget: SetBudget) -> None:
    whole = ask(engine, "hello", max_tokens=3000).text
    unload_all(engine)
    set_budget(_budget_with(engine, _kv_bytes(engine, 1500), LLAMA))
    answer = ask(engine, "hello", max_tokens=3000)
    assert answer.reason == "context"
    assert whole.startswith(answer.text) and 1400 < answer.stats.output_tokens < 1500


def test_a_question_without_memory_is_told_and_others_go_on(
    engine: Engine, set_budget: SetBudget
) -> None:
    set_budget(_budget_with(engine, _kv_bytes(engine, 4000), LLAMA))
    loaded_model(engine, LLAMA)
    set_budget(_budget_with(engine, _kv_bytes(engine, 1000), LLAMA))
    with pytest.raises(Busy) as caught:
        ask(engine, "x" * 2000)
    assert "memory" in caught.value.message and caught.value.hint
    assert ask(engine, "hello").text


def test_a_long_conversation_gets_the_memory_that_was_taken_for_speed(
    engine: Engine, set_budget: SetBudget
) -> None:
    write_packed_model(engine, PACKED, hidden=256, heads=8, kv_heads=4)
    set_budget(10**9)
    said = ask(engine, "hello", PACKED, max_tokens=40).text
    unload_all(engine)
    kv_bytes = _kv_bytes(engine, 1024, PACKED)
    set_budget(10**9)
    model = loaded_model(engine, PACKED)
    assert on_thread(engine, lambda: model.extra_bytes) > 0
    set_budget(_budget_with(engine, kv_bytes + SLACK_BYTES, PACKED))
    assert ask(engine, "hello", PACKED, max_tokens=900).text.startswith(said)
    assert on_thread(engine, lambda: model.extra_bytes) == 0
    set_budget(10**9)
    before = engine.inference.loaded()[-1].memory_bytes
    assert ask(engine, "hello", PACKED, max_tokens=40).text == said  # and it comes back later
    extra_bytes = on_thread(engine, lambda: model.extra_bytes)
    assert engine.inference.loaded()[-1].memory_bytes - before == extra_bytes > 0


@pytest.mark.parametrize("model", [LLAMA, CHUNKED])
def test_a_model_that_waits_gets_its_turn_and_the_interrupted_answer_goes_on(
    engine: Engine, set_budget: SetBudget, impatient: None, model: str
) -> None:
    whole = ask(engine, "hello", model, max_tokens=LONG_TOKENS).text
    other = ask(engine, "hello", "tiny/other").text
    unload_all(engine)
    most = max(_budget_with(engine, _kv_bytes(engine, 1024, m), m) for m in (model, "tiny/other"))
    set_budget(most + SLACK_BYTES)
    ticket = start(engine, "hello", model, max_tokens=LONG_TOKENS)
    begun = ""
    while not begun:
        begun = "".join(e.text for e in ticket.drain(0.05) if isinstance(e, TextDelta))
    assert ask(engine, "hello", "tiny/other").text == other
    answer = read(ticket)
    assert begun + answer.text == whole
    assert answer.reason == "length" and answer.stats.output_tokens == LONG_TOKENS


def test_a_model_that_nobody_waits_for_any_more_is_not_loaded(
    engine: Engine, set_budget: SetBudget
) -> None:
    set_budget(_budget_with(engine, _kv_bytes(engine, 3072), LLAMA) + SLACK_BYTES)
    first = start(engine, "hello", max_tokens=3000)
    _first_text(first)
    second = start(engine, "hello", "tiny/other")
    _until(lambda: bool(engine.inference._thread._loads._line))
    second.cancel()
    assert read(second).reason == "cancelled"
    _until(lambda: not engine.inference._thread._loads)
    first.cancel()
    read(first)
    assert [model.repo_id for model in engine.inference.loaded()] == [LLAMA]


def test_fifty_who_come_and_vanish_leave_nothing(engine: Engine) -> None:
    loaded_model(engine, LLAMA)
    ask(engine, "hello")
    on_thread(engine, engine.inference._thread._residents.drop_kept_prompts)
    active_bytes = engine.inference._thread._backend.active_memory_bytes
    before = on_thread(engine, active_bytes)
    for number in range(50):
        while True:
            try:
                ticket = start(engine, f"hello {number} " * (1 + number % 7), max_tokens=2000)
                break
            except Busy:  # the line is full of those before
                time.sleep(0.01)
        if number % 3:
            ticket.drain(0.01 * (number % 5))
        ticket.cancel()
    _until(lambda: engine.inference._open_requests == 0)
    lane = _lane(engine, LLAMA)
    on_thread(engine, engine.inference._thread._residents.drop_kept_prompts)
    assert on_thread(engine, lambda: (lane.turns, lane.held_bytes)) == ([], 0)
    assert on_thread(engine, active_bytes) == pytest.approx(before, abs=100_000)
    assert engine.inference.loaded()[-1].active_requests == 0


def test_prompts_read_at_once_share_a_step_while_somebody_is_answered(engine: Engine) -> None:
    """So the others' next token waits for no more than one step's worth of prompt."""
    lane_class = engine.inference._thread._lanes.BatchLane
    loaded_model(engine, LLAMA)

    def read_some() -> list[int]:
        model = _lane(engine, LLAMA).model
        lane = lane_class(model, GAP_TOKENS, 8, 64)
        answered = _turn("x", 9, max_tokens=2000)
        lane.submit(answered)
        while not answered.output:
            lane.step()
        turns = [_turn("x" * 400, n) for n in range(4)]
        for turn in turns:
            lane.submit(turn)
        steps = []
        read_before = 0
        while not any(turn.output for turn in turns):
            lane.step()
            read_now = sum(len(tokens) for tokens in lane._generator._prompt_batch.tokens)
            steps.append(read_now - read_before)
            read_before = read_now
        lane.close(Busy("over"))
        return [step for step in steps if step > 0]

    steps = on_thread(engine, read_some)
    assert len(steps) >= 4 * 400 // GAP_TOKENS - 4
    assert max(steps) <= GAP_TOKENS


def _turn(said: str, seed: int, max_tokens: int = 8) -> Turn:
    params = SamplingParams(temperature=0.0, max_tokens=max_tokens, seed=seed)
    return Turn(LLAMA, [Message("user", said)], params, lambda: None)
