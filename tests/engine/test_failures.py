"""One request's failure ends that request alone.

The failing part is a penalty that raises for one seed, put where the lanes get penalties from:
nothing that a visitor can ask for makes mlx-lm fail on purpose.
"""

import threading
from typing import Any

import pytest

from engine import Engine
from engine.errors import EngineError, GenerationError
from engine.inference.sampling import processors_for
from engine.records import SamplingParams, TextDelta
from tests.engine.answers import ask, read, start

CURSED = 666
CURSED_TOKENS = len("cursed 0") + 3
QUESTIONS = ["one", "two words", "three more words"]
LONG = 60


@pytest.fixture(params=[0, 1, 5, 20], ids=lambda tokens: f"after {tokens} tokens")
def curse(request: pytest.FixtureRequest, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> int:
    """From this many tokens on, requests with the cursed seed fail; returns that number."""
    spared = request.param

    def cursed_processors(params: SamplingParams) -> list[Any]:
        def fail(tokens: Any, logits: Any) -> Any:
            if tokens.size >= CURSED_TOKENS + spared:
                raise RuntimeError("cursed")
            return logits

        return [fail] if params.seed == CURSED else processors_for(params)

    for lane in ("lanes", "solo_lane"):
        monkeypatch.setattr(f"engine.inference.{lane}.processors_for", cursed_processors)
    return int(spared)


def _fails(ticket: Any) -> EngineError:
    with pytest.raises(GenerationError, match="cursed") as caught:
        read(ticket)
    assert caught.value.hint
    return caught.value


@pytest.mark.parametrize("position", range(4))
def test_the_others_in_the_batch_say_what_they_would_have_said(
    engine: Engine, curse: int, position: int
) -> None:
    alone = [ask(engine, question, max_tokens=LONG).text for question in QUESTIONS]
    tickets = [start(engine, question, max_tokens=LONG) for question in QUESTIONS]
    tickets.insert(position, start(engine, "cursed 0", max_tokens=LONG, seed=CURSED))
    _fails(tickets.pop(position))
    assert [read(ticket).text for ticket in tickets] == alone


def test_seeded_answers_survive_a_neighbours_failure(engine: Engine, curse: int) -> None:
    drawn = {"temperature": 1.0, "max_tokens": LONG}
    alone = [ask(engine, "hello", seed=seed, **drawn).text for seed in (1, 2)]
    tickets = [start(engine, "hello", seed=seed, **drawn) for seed in (1, 2)]
    _fails(start(engine, "cursed 0", max_tokens=LONG, seed=CURSED))
    assert [read(ticket).text for ticket in tickets] == alone


def test_one_who_joins_a_running_batch_fails_alone(engine: Engine, curse: int) -> None:
    alone = ask(engine, "long", max_tokens=400).text
    ticket = start(engine, "long", max_tokens=400)
    joined = threading.Event()
    errors: list[EngineError] = []

    def join() -> None:
        joined.wait(30)
        errors.append(_fails(start(engine, "cursed 0", max_tokens=LONG, seed=CURSED)))

    other = threading.Thread(target=join, daemon=True)
    other.start()
    answer = read(ticket, lambda e: joined.set() if isinstance(e, TextDelta) else None)
    other.join(60)
    assert answer.text == alone
    assert len(errors) == 1


def test_all_failing_together_end_together(engine: Engine, curse: int) -> None:
    tickets = [start(engine, f"cursed {n}", seed=CURSED) for n in range(3)]
    for ticket in tickets:
        _fails(ticket)
    assert ask(engine, "hello").reason == "length"


def test_in_a_lane_of_one_the_next_in_line_goes_on(engine: Engine, curse: int) -> None:
    alone = ask(engine, "one", "tiny/chunked").text
    failing = start(engine, "cursed 0", "tiny/chunked", max_tokens=LONG, seed=CURSED)
    next_one = start(engine, "one", "tiny/chunked")
    _fails(failing)
    assert read(next_one).text == alone
