"""What a model sees of a conversation that is longer than its context."""

from typing import Any

import pytest

from engine import Engine
from engine.answers import Answers
from engine.errors import ContextOverflow, InvalidRequest
from engine.inference.context import choose_left_out
from engine.records import Message, SamplingParams
from tests.engine.answers import ask, start
from tests.engine.chatting import Opening, exchange
from tests.engine.downloading import wait_for

OTHER = "tiny/other"  # 512 tokens of context, a character is a token
LONG = {"overflow": "leave_out", "max_tokens": 8}


def talk(turns: int, chars: int = 40, system: str = "") -> list[Message]:
    """Questions and answers of so many characters each, and one question more."""
    messages = [Message("system", system)] if system else []
    for n in range(turns):
        messages.append(Message("user", f"{n:03}?".ljust(chars, "q")))
        messages.append(Message("assistant", f"{n:03}!".ljust(chars, "a")))
    return [*messages, Message("user", "and now?")]


def left_out_of(messages: list[Message], room: int, context: int = 400) -> tuple[int, ...]:
    return choose_left_out(messages, [len(m.text) for m in messages], room, context)


def test_what_fits_is_sent_whole() -> None:
    assert left_out_of(talk(5), 10_000) == ()


def test_the_middle_goes_in_whole_turns_and_the_ends_stay() -> None:
    messages = talk(5, chars=20, system="be kind")
    left_out = left_out_of(messages, 150)
    assert left_out == tuple(range(3, 3 + len(left_out)))
    assert len(left_out) % 2 == 0
    assert len(messages) - 1 not in left_out
    assert messages[left_out[0]].role == "user"


def test_a_long_first_turn_goes_too() -> None:
    assert left_out_of(talk(5, chars=60), 150)[0] == 0


def test_system_prompts_stay_wherever_they_are() -> None:
    messages = [Message("user", "x" * 90), Message("system", "rule"), *talk(3)]
    assert 1 not in left_out_of(messages, 30)


def test_what_is_left_out_stays_the_same_for_many_turns_as_the_chat_goes_on() -> None:
    gaps = [left_out_of(talk(n, chars=5), 300) for n in range(31, 61)]
    assert all(gaps)
    assert len(set(gaps)) <= 5


def test_the_answer_says_what_its_model_did_not_see(engine: Engine) -> None:
    messages = talk(12)
    answer = ask(engine, messages, OTHER, **LONG)
    left_out = answer.stats.left_out
    assert left_out and answer.stats.prompt_tokens < 512
    seen = [m for n, m in enumerate(messages) if n not in left_out]
    assert ask(engine, seen, OTHER, **LONG).text == answer.text
    assert ask(engine, seen, OTHER).stats.left_out == ()


def test_a_system_prompt_of_the_settings_shifts_no_index(engine: Engine) -> None:
    by_message = ask(engine, talk(12, system="be kind"), OTHER, **LONG)
    by_setting = ask(engine, talk(12), OTHER, system_prompt="be kind", **LONG)
    assert by_setting.text == by_message.text
    assert [n + 1 for n in by_setting.stats.left_out] == list(by_message.stats.left_out)


def test_stopping_is_what_happens_unless_told(engine: Engine) -> None:
    with pytest.raises(ContextOverflow, match="at most 512"):
        ask(engine, talk(12), OTHER)


def test_a_newest_message_that_is_too_long_by_itself_is_refused(engine: Engine) -> None:
    messages = [*talk(3)[:-1], Message("user", "x" * 600)]
    with pytest.raises(ContextOverflow, match="newest message") as caught:
        ask(engine, messages, OTHER, **LONG)
    assert caught.value.prompt_tokens < 620


def test_the_next_turn_reuses_what_was_read_without_the_middle(engine: Engine) -> None:
    messages = talk(12)
    ask(engine, messages, OTHER, **LONG)
    longer = [*messages, Message("assistant", "fine"), Message("user", "more?")]
    answer = ask(engine, longer, OTHER, **LONG)
    assert answer.stats.reused_tokens > answer.stats.prompt_tokens // 2


@pytest.mark.parametrize("value", ["", "middle", None, 1])
def test_another_policy_is_refused(engine: Engine, value: Any) -> None:
    with pytest.raises(InvalidRequest, match="overflow"):
        start(engine, "hello", overflow=value)


@pytest.mark.parametrize("params", [{}, LONG, {**LONG, "system_prompt": "be kind"}], ids=str)
def test_the_fit_of_a_chat_is_what_its_answer_takes(engine: Engine, params: Any) -> None:
    for messages in (talk(2), talk(12)):
        engine.inference.load(OTHER).result(60)
        fit = engine.inference.context_fit(messages, SamplingParams(**params), OTHER).result(60)
        assert fit.is_exact and fit.context_tokens == 512
        if not fit.will_be_answered:
            with pytest.raises(ContextOverflow) as caught:
                ask(engine, messages, OTHER, **params)
            assert caught.value.prompt_tokens == fit.prompt_tokens
            continue
        stats = ask(engine, messages, OTHER, **params).stats
        assert (stats.prompt_tokens, stats.left_out) == (fit.prompt_tokens, fit.left_out)
        assert fit.whole_tokens >= fit.prompt_tokens


def test_the_fit_for_a_model_that_is_not_loaded_is_an_estimate_and_loads_nothing(
    engine: Engine,
) -> None:
    engine.inference.unload(OTHER)
    chosen = SamplingParams(overflow="leave_out")
    fit = engine.inference.context_fit(talk(60), chosen, OTHER).result(60)
    assert not fit.is_exact and fit.context_tokens == 512
    assert fit.left_out and 0 < fit.prompt_tokens < fit.whole_tokens
    assert OTHER not in {model.repo_id for model in engine.inference.loaded()}
    assert engine.inference.context_fit([], chosen, OTHER).result(60).whole_tokens == 0


def test_an_answer_keeps_which_messages_it_did_not_see(engine: Engine, opening: Opening) -> None:
    chats, messages = opening(None), talk(12)
    asked = exchange(chats, "and now?", "")
    answers = Answers(engine.inference.chat)
    answers.begin(chats, asked, messages, SamplingParams(temperature=0, **LONG), OTHER)
    wait_for(lambda: "stats" in chats.read(asked.chat_id).messages[-1].details)
    details = chats.read(asked.chat_id).messages[-1].details
    gone = details["stats"]["left_out"]
    assert details["left_out"] == {
        "count": len(gone), "of": 25,
        "first": messages[gone[0]].text, "last": messages[gone[-1]].text,
    }  # fmt: skip
