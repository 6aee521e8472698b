"""What a model has read before is not read again, and the answer stays the same."""

import itertools

import pytest

from engine import Engine
from engine.records import Message
from tests.engine.answers import LLAMA, ask

KINDS = [LLAMA, "tiny/chunked", "tiny/recurrent"]
_numbers = itertools.count()


def _fresh_question() -> str:
    """Words that no other test has said."""
    return f"{next(_numbers)} fresh words, and more of them, to be read only once by anybody"


def _next_turn(question: str, answer: str) -> list[Message]:
    return [Message("user", question), Message("assistant", answer), Message("user", "go on")]


@pytest.mark.parametrize("model", KINDS)
def test_a_second_turn_reads_only_what_is_new(engine: Engine, model: str) -> None:
    question = _fresh_question()
    first = ask(engine, question, model)
    second = ask(engine, _next_turn(question, first.text), model)
    said_before = first.stats.prompt_tokens + first.stats.output_tokens
    assert second.stats.reused_tokens >= said_before - 1


@pytest.mark.parametrize("model", KINDS)
def test_what_is_reused_changes_no_answer(engine: Engine, model: str) -> None:
    question = _fresh_question()
    talk = _next_turn(question, ask(engine, question, model).text)
    reused = ask(engine, talk, model)
    assert reused.stats.reused_tokens > 0
    engine.inference.unload(model)
    anew = ask(engine, talk, model)
    assert anew.stats.reused_tokens == 0
    assert reused.text == anew.text


@pytest.mark.parametrize("model", KINDS)
def test_regenerating_reuses_the_prompt_and_says_the_same(engine: Engine, model: str) -> None:
    question = _fresh_question()
    first = ask(engine, question, model)
    again = ask(engine, question, model)
    assert again.text == first.text
    assert again.stats.reused_tokens >= first.stats.prompt_tokens - 3


@pytest.mark.parametrize("model", KINDS)
def test_a_turn_after_regenerating_reuses_too(engine: Engine, model: str) -> None:
    question = _fresh_question()
    ask(engine, question, model, temperature=1.0, top_k=3)
    second = ask(engine, question, model, temperature=1.0, top_k=3)
    third = ask(engine, _next_turn(question, second.text), model)
    said = second.stats.prompt_tokens + second.stats.output_tokens
    assert third.stats.reused_tokens >= said - 2


def test_an_edited_question_reuses_what_stayed(engine: Engine) -> None:
    question = _fresh_question()
    ask(engine, question)
    edited = ask(engine, question[:40] + "something else")
    assert edited.stats.reused_tokens >= 40


def test_another_model_never_reuses_this_ones_reading(engine: Engine) -> None:
    question = _fresh_question()
    ask(engine, question, LLAMA)
    assert ask(engine, question, "tiny/other").stats.reused_tokens <= 2
    assert ask(engine, question, "tiny/other", max_tokens=5).text != (
        ask(engine, question, LLAMA, max_tokens=5).text
    )
