"""An answer is written down whoever looks on, and found again by its number."""

import sqlite3
from pathlib import Path

import pytest

from engine import Engine
from engine.answers import Answers, RunningAnswer
from engine.chats import Chats, StoredMessage, Written
from engine.errors import InvalidRequest, NotInstalled
from engine.inference import ChatTicket
from engine.mailbox import Mailbox
from engine.records import (
    Finished,
    GenerationStats,
    Message,
    ReasoningDelta,
    SamplingParams,
    TextDelta,
)
from tests.engine.answers import LLAMA, ask
from tests.engine.chatting import Opening
from tests.engine.downloading import wait_for


@pytest.fixture
def chats(tmp_path: Path, opening: Opening) -> Chats:
    return opening(tmp_path / "chats.sqlite3")


@pytest.fixture
def answers(engine: Engine) -> Answers:
    return Answers(engine.inference.chat)


def begin(
    answers: Answers, chats: Chats, said: str = "hello", model_id: str = LLAMA, **params: object
) -> RunningAnswer:
    chat = chats.create()
    asked = chats.add(chat.chat_id, chat.revision, None, "user", said or "x")
    place = chats.begin_answer(chat.chat_id, asked.revision, asked.message_id, model_id, {})
    chosen = SamplingParams(**{"max_tokens": 24, "temperature": 0.0, **params})  # type: ignore[arg-type]
    return answers.begin(chats, place, [Message("user", said)], chosen, model_id)


def stored(chats: Chats) -> StoredMessage:
    return chats.read(chats.list()[0].chat_id).messages[-1]


def test_an_answer_nobody_looks_at_is_written_to_its_end(
    engine: Engine, answers: Answers, chats: Chats
) -> None:
    answer = begin(answers, chats)
    wait_for(lambda: stored(chats).state == "done")
    kept = stored(chats)
    assert kept.text == ask(engine, "hello").text == answer.state().text
    assert kept.details["stats"]["output_tokens"] == 24 and kept.details["reason"] == "length"
    wait_for(lambda: answers.find(chats, answer.message_id) is None)


def test_who_comes_back_finds_the_answer_that_is_still_being_written(
    answers: Answers, chats: Chats
) -> None:
    answer = begin(answers, chats, max_tokens=100_000)
    assert answers.find(chats, answer.message_id) is answer
    version = answer.wait(0, 30)
    assert answer.wait(version, 30) > version
    wait_for(lambda: stored(chats).text != "")  # drafts are on disk while it is written
    assert stored(chats).state == "writing"
    answer.stop()
    wait_for(lambda: answer.state().is_done)
    assert answer.state().reason == "cancelled" and answer.state().text.startswith(
        stored(chats).text[:10]
    )
    assert stored(chats).state == "done"


def test_the_answers_of_one_conversation_are_stopped_and_no_others(
    answers: Answers, chats: Chats
) -> None:
    mine, others = (begin(answers, chats, max_tokens=100_000) for _ in range(2))
    answers.stop_all(chats, mine.chat_id)
    assert mine.ends_within(30) and mine.state().reason == "cancelled"
    assert not others.state().is_done
    answers.stop_all(chats)
    assert others.ends_within(30)


def test_an_answer_that_fails_keeps_the_reason(answers: Answers, chats: Chats) -> None:
    answer = begin(answers, chats, model_id="no/model")
    wait_for(lambda: answer.state().is_done)
    assert isinstance(answer.state().error, NotInstalled)
    assert "no/model" in stored(chats).details["error"] and stored(chats).state == "done"


def test_a_request_that_is_refused_at_once_leaves_nothing_that_is_being_written(
    answers: Answers, chats: Chats
) -> None:
    with pytest.raises(InvalidRequest):
        begin(answers, chats, temperature=-1.0)
    assert stored(chats).state == "done" and stored(chats).details["error"]


def test_a_disk_that_refuses_for_a_while_costs_nothing(
    answers: Answers, chats: Chats, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.answers.SAVE_AGAIN_S", 0.05)
    chats._file.connection.execute("PRAGMA busy_timeout = 50")
    answer = begin(answers, chats, max_tokens=60)
    other = sqlite3.connect(tmp_path / "chats.sqlite3", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    wait_for(lambda: answer.state().is_done)
    assert answer.state().text and stored(chats).state == "writing"
    other.execute("ROLLBACK")
    other.close()
    wait_for(lambda: stored(chats).state == "done")
    assert stored(chats).text == answer.state().text


def test_all_answers_of_a_store_are_stopped_together(
    answers: Answers, chats: Chats, opening: Opening
) -> None:
    mine = [begin(answers, chats, max_tokens=100_000) for _ in range(2)]
    theirs = begin(answers, opening(None), max_tokens=100_000)
    answers.stop_all(chats)
    wait_for(lambda: all(answer.state().is_done for answer in mine))
    assert not theirs.state().is_done
    theirs.stop()
    wait_for(lambda: theirs.state().is_done)


def test_thinking_ends_with_the_first_word_and_its_duration_is_known() -> None:
    mailbox = Mailbox()
    answer = RunningAnswer(ChatTicket(mailbox), Written("chat", 1, 1))
    mailbox.put(ReasoningDelta("Hm"))
    assert answer.read(1) and answer.state().reasoning_s is None
    mailbox.put(TextDelta("Yes"))
    mailbox.put(Finished("stop", GenerationStats(output_tokens=2)))
    assert not answer.read(1)
    state = answer.state()
    assert (state.reasoning, state.text, state.reason) == ("Hm", "Yes", "stop")
    assert state.reasoning_s is not None and not state.is_done


def test_an_answer_that_goes_on_begins_with_what_it_had() -> None:
    mailbox = Mailbox()
    answer = RunningAnswer(ChatTicket(mailbox), Written("chat", 1, 1), "one ", "hm")
    mailbox.put(TextDelta("two"))
    assert answer.read(1) and answer.state().text == "one two"
