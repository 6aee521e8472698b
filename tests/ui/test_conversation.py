"""What a conversation looks like in the log, and what goes back to the model."""

from dataclasses import asdict, replace
from typing import Any

import pytest

from engine.answers import AnswerState
from engine.chats import Attachment, StoredChat, StoredMessage, attachment_details
from engine.records import GenerationStats, Loading, Message, Prefill, Queued
from ui.conversation import SHOWN_MESSAGES, Conversation, message_blocks

STATS = GenerationStats(prompt_tokens=5, output_tokens=2)
DONE = {"stats": asdict(STATS), "reason": "stop"}
ANSWER = StoredMessage(2, "assistant", "Hello", details=DONE, model_id="org/model")


def chat_of(*messages: StoredMessage) -> Conversation:
    conversation = Conversation()
    conversation.show(StoredChat("id", "title", False, "", {}, 1, messages))
    return conversation


def texts(message: StoredMessage, state: AnswerState | None = None) -> list[str]:
    return [block["content"] for block in message_blocks(message, state)]


@pytest.mark.parametrize(("step", "words"), (
    (Loading(2_000_000_000, 4_600_000_000), "2.0 GB of 4.6 GB"), (Queued(1), "You are next"),
    (Queued(3), "2 before you"), (Prefill(128, 2048, 0), "128 of 2,048 tokens"),
    (None, "Thinking about"),
))  # fmt: skip
def test_before_the_first_word_the_log_says_what_is_going_on(step: Any, words: str) -> None:
    (text,) = texts(replace(ANSWER, text="", state="writing"), AnswerState(step=step))
    assert words in text and "waiting" in text


def test_the_answer_is_clean_and_its_figures_are_a_message_of_their_own() -> None:
    answer, line = texts(ANSWER)
    assert answer == "Hello" and "5 prompt tokens" in line


def test_an_answer_being_written_shows_what_there_is_and_no_figures_yet() -> None:
    writing = replace(ANSWER, text="", state="writing")
    assert texts(writing, AnswerState(text="Hel")) == ["Hel"]


def test_reasoning_is_a_block_of_its_own_open_while_it_goes_on() -> None:
    writing = replace(ANSWER, text="", state="writing", details={})
    (block,) = message_blocks(writing, AnswerState(reasoning="\nHm, "))
    assert block["content"] == "Hm,"
    assert block["metadata"] == {"title": "Thinking", "status": "pending"}
    thought, text = message_blocks(writing, AnswerState("\n\nYes", "Hm", 1.5))
    assert thought["metadata"] == {"title": "Thought", "status": "done", "duration": 1.5}
    assert text["content"] == "Yes"


def test_reasoning_that_was_kept_is_closed_with_its_duration() -> None:
    kept = replace(ANSWER, reasoning="Hm", details={**DONE, "reasoning_s": 2.5})
    thought, text, _ = message_blocks(kept, None)
    assert thought["metadata"] == {"title": "Thought", "status": "done", "duration": 2.5}
    assert text["content"] == "Hello"


def test_reasoning_never_goes_back_to_the_model_as_text() -> None:
    conversation = chat_of(replace(ANSWER, text="\n\nYes", reasoning="Hm"))
    assert conversation.messages() == [Message("assistant", "Yes", "Hm")]


def test_the_model_is_sent_the_conversation_up_to_the_question_it_shall_answer() -> None:
    conversation = chat_of(
        StoredMessage(1, "user", "One"), ANSWER, StoredMessage(3, "user", "Two"),
        StoredMessage(4, "assistant", "", state="writing"),
    )  # fmt: skip
    sent = [Message("user", "One"), Message("assistant", "Hello"), Message("user", "Two")]
    assert conversation.messages() == conversation.messages(before=3) == sent
    assert conversation.messages(before=1) == sent[:1]


def test_versions_of_a_turn_are_linked_in_both_directions() -> None:
    _, line = texts(replace(ANSWER, version=2, versions=3))
    assert "2 of 3" in line and "#version-2-before" in line and "#version-2-after" in line
    assert ">model<" not in line and "model" in line
    _, first = texts(StoredMessage(1, "user", "One", version=1, versions=2))
    assert "#version-1-before" not in first and "#version-1-after" in first


@pytest.mark.parametrize(("change", "words"), (
    ({"details": {"error": "The <b>disk</b>"}}, "cut by an error: The &lt;b&gt;disk"),
    ({"state": "cut", "details": {}}, "Pomona ended while this was written"),
    ({"details": {"edited": True}}, "edited by you"),
))  # fmt: skip
def test_an_answer_that_is_not_as_the_model_ended_it_says_so(
    change: dict[str, Any], words: str
) -> None:
    assert words in texts(replace(ANSWER, **change))[1]


@pytest.mark.parametrize(("change", "can_go_on"), (
    ({"state": "cut"}, True), ({"details": {**DONE, "reason": "length"}}, True),
    ({"details": {**DONE, "reason": "cancelled"}}, True), ({}, False),
    ({"state": "cut", "text": ""}, False),
))  # fmt: skip
def test_an_answer_that_was_cut_can_be_continued(change: dict[str, Any], can_go_on: bool) -> None:
    assert ("#continue-2" in texts(replace(ANSWER, **change))[-1]) is can_go_on


def test_figures_written_by_a_newer_pomona_are_shown_as_far_as_they_are_known() -> None:
    newer = {"stats": {**asdict(STATS), "joules": 3}, "reason": "stop"}
    assert "5 prompt tokens" in texts(replace(ANSWER, details=newer))[1]


def test_a_long_conversation_shows_its_end_and_offers_the_rest() -> None:
    messages = [StoredMessage(n, "user", f"text {n}") for n in range(1, 1_001)]
    conversation = chat_of(*messages)
    blocks = conversation.blocks()
    assert len(blocks) == SHOWN_MESSAGES + 1 and "940 earlier messages" in blocks[0]["content"]
    assert blocks[-1]["content"] == "text 1000"
    assert conversation.owners == [0, *range(941, 1_001)]
    conversation.shown_messages = 2_000
    assert len(conversation.blocks()) == 1_000


def test_another_conversation_makes_answers_to_the_old_one_strangers() -> None:
    conversation = chat_of(ANSWER)
    epoch = conversation.epoch
    conversation.show(None)
    assert conversation.blocks() == [] and conversation.epoch != epoch


def test_the_model_reads_a_message_with_its_files_and_the_log_shows_their_names() -> None:
    files = (Attachment("<b>.md", "```\nHi\n```", 7),)
    message = StoredMessage(1, "user", "Why?", details=attachment_details(files))
    (sent,) = chat_of(message).messages()
    assert sent.text == "File “<b>.md”:\n````\n```\nHi\n```\n````\n\nWhy?"
    line, text = texts(message)
    assert "&lt;b&gt;.md" in line and "about 7 tokens" in line and "#file-1-0" in line
    assert text == "Why?"
    conversation = chat_of(message)
    conversation.fold(1, 0)
    assert "Hi" in conversation.blocks()[1]["content"]
    conversation.fold(1, 0)
    assert len(conversation.blocks()) == len(conversation.owners) == 2
