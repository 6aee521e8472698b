"""A smaller model guesses words: the same is said, and a draft that loses is given up."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine import Engine
from engine.preferences import Preferences
from engine.records import Message
from tests.engine.answers import Answer, ask, start
from tests.engine.downloading import wait_for
from tests.engine.inference_thread import on_thread
from tests.models import edit_json, write_model
from ui.conversation import Conversation
from ui.draft_choice import DraftChoice
from ui.model_picker import ModelHandlers

LARGE, SMALL, STRANGER = "tiny/large", "tiny/small", "tiny/stranger"
QUESTIONS = ["hello", "what will the large one say to this? " * 5]


@pytest.fixture(scope="module")
def pair(engine: Engine) -> Iterator[str]:
    """A model that has a draft; another one of its size has other words."""
    models = engine.settings.models_dir
    write_model(models / LARGE, hidden=64, layers=3, seed=11)
    write_model(models / SMALL, hidden=32, layers=1, seed=12)
    edit_json(write_model(models / STRANGER, hidden=32, layers=1) / "tokenizer.json", version="1.1")
    yield LARGE
    engine.inference.unload(LARGE)
    engine.preferences.choose_draft(LARGE, "")


def _with_draft(engine: Engine) -> Any:
    """Load both anew; the lane, to be used on the thread alone."""
    assert not engine.choose_draft(LARGE, SMALL).result(60).is_batched
    return engine.inference._thread._residents[LARGE].lane


def _without(engine: Engine, said: Any, **params: object) -> Answer:
    assert engine.choose_draft(LARGE, "").result(60).is_batched
    return ask(engine, said, LARGE, **params)


def test_drafts_have_the_same_words_and_are_much_smaller(engine: Engine, pair: str) -> None:
    choices = engine.library.draft_choices(LARGE)
    assert SMALL in choices and STRANGER not in choices and LARGE not in choices
    assert LARGE not in engine.library.draft_choices(SMALL)


@pytest.mark.parametrize("max_tokens", [1, 32, 33, 150])
@pytest.mark.parametrize("question", QUESTIONS, ids=["short", "long"])
def test_the_model_says_what_it_says_without_a_draft(
    engine: Engine, pair: str, question: str, max_tokens: int
) -> None:
    alone = _without(engine, question, max_tokens=max_tokens)
    _with_draft(engine)
    drafted = ask(engine, question, LARGE, max_tokens=max_tokens)
    assert (drafted.text, drafted.reason) == (alone.text, alone.reason)
    assert drafted.stats.output_tokens == alone.stats.output_tokens


def test_so_it_does_with_a_penalty_on_what_was_said(engine: Engine, pair: str) -> None:
    params = {"repetition_penalty": 1.4, "max_tokens": 60}
    alone = _without(engine, QUESTIONS[0], **params)
    _with_draft(engine)
    assert ask(engine, QUESTIONS[0], LARGE, **params).text == alone.text


def test_the_next_turn_reads_only_what_is_new(engine: Engine, pair: str) -> None:
    _with_draft(engine)
    first = ask(engine, QUESTIONS[1], LARGE, max_tokens=70)
    messages = [
        Message("user", QUESTIONS[1]), Message("assistant", first.text), Message("user", "more"),
    ]  # fmt: skip
    second = ask(engine, messages, LARGE, max_tokens=40)
    assert second.stats.reused_tokens >= first.stats.prompt_tokens + 60
    assert second.text == _without(engine, messages, max_tokens=40).text


def test_an_answer_stopped_in_the_middle_leaves_a_true_cache(engine: Engine, pair: str) -> None:
    alone = _without(engine, QUESTIONS[1], max_tokens=80)
    _with_draft(engine)
    for events in (1, 2, 3, 5):
        ticket = start(engine, QUESTIONS[1], LARGE, max_tokens=80)
        for _ in range(events):
            ticket.drain(5)
        ticket.cancel()
        list(ticket.events())
    assert ask(engine, QUESTIONS[1], LARGE, max_tokens=80).text == alone.text


def test_the_gain_is_measured_and_told(engine: Engine, pair: str) -> None:
    _with_draft(engine)
    assert ask(engine, "short", LARGE, max_tokens=8).stats.draft_gain == 0
    assert ask(engine, "long", LARGE, max_tokens=120).stats.draft_gain > 0
    assert _without(engine, "long", max_tokens=120).stats.draft_gain == 0


def test_a_draft_that_loses_is_given_up_and_its_memory_too(engine: Engine, pair: str) -> None:
    def needed_bytes() -> tuple[int, int]:
        """What the model takes, and what a conversation with it may."""
        resident = engine.inference._thread._residents[LARGE]
        caches = resident.form.kv_cache, resident.lane.kv_cache
        (kv_bytes,) = {cache.bytes_at(500) for cache in caches}
        return resident.form.weights_bytes, kv_bytes

    engine.choose_draft(LARGE, "").result(60)
    alone = on_thread(engine, needed_bytes)
    lane = _with_draft(engine)
    both = engine.inference.memory_use().models[LARGE]
    assert all(more > own for more, own in zip(on_thread(engine, needed_bytes), alone, strict=True))

    def lose() -> None:
        lane._token_s, lane._runs = {False: 1.0, True: 2.0}, 8
        lane.has_lost = True

    on_thread(engine, lose)
    answer = ask(engine, QUESTIONS[0], LARGE, max_tokens=8)
    wait_for(lambda: next(m for m in engine.inference.loaded() if m.repo_id == LARGE).is_batched)
    assert engine.inference.memory_use().models[LARGE] < both
    assert on_thread(engine, needed_bytes) == alone
    assert ask(engine, QUESTIONS[0], LARGE, max_tokens=8).text == answer.text


def test_the_page_offers_drafts_and_loads_with_the_chosen_one(engine: Engine, pair: str) -> None:
    handlers = DraftChoice(engine, ModelHandlers(engine, LARGE).follow_load)
    engine.choose_draft(LARGE, "").result(60)
    offered = handlers.show(LARGE)
    assert offered.visible and ("None", "") in offered.choices and offered.value == ""
    assert not handlers.show("no/model").visible

    async def choose(draft_id: str) -> list[Any]:
        return [update async for update in handlers.choose(draft_id, LARGE, Conversation(LARGE))]

    assert "ready" in asyncio.run(choose(SMALL))[-1][0]
    assert handlers.show(LARGE).value == SMALL
    assert not next(m for m in engine.inference.loaded() if m.repo_id == LARGE).is_batched


def test_a_draft_that_left_the_disk_is_done_without(engine: Engine, pair: str) -> None:
    engine.preferences.choose_draft(LARGE, "tiny/gone")
    engine.inference.unload(LARGE)
    assert engine.inference.load(LARGE).result(60).is_batched
    assert ask(engine, "hello", LARGE).text


def test_a_chosen_draft_outlives_a_restart_and_nonsense_does_not(tmp_path: Path) -> None:
    path = tmp_path / "preferences.json"
    Preferences(path).choose_draft("org/model", "org/small")
    assert Preferences(path).draft("org/model") == "org/small"
    path.write_text('{"drafts": {"a": 3, "b": ""}}')
    assert [Preferences(path).draft(name) for name in "ab"] == ["", ""]
