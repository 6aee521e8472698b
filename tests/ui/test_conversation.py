"""What a conversation looks like in the log, and what goes back to the model."""

from engine.records import (
    Finished,
    GenerationStats,
    Loading,
    Message,
    Prefill,
    Queued,
    ReasoningDelta,
    TextDelta,
)
from ui.conversation import Answer, Conversation

STATS = GenerationStats(prompt_tokens=5, output_tokens=2)


def answered(*events: object) -> Answer:
    answer = Answer()
    for event in events:
        answer.apply(event)  # type: ignore[arg-type]
    return answer


def test_before_the_first_word_the_log_says_what_is_going_on() -> None:
    for event, words in (
        (Loading(2_000_000_000, 4_600_000_000), "2.0 GB of 4.6 GB"),
        (Queued(1), "You are next"),
        (Queued(3), "2 before you"),
        (Prefill(128, 2048, 0), "128 of 2,048 tokens"),
    ):
        (block,) = answered(event).blocks()
        assert words in block["content"] and "waiting" in block["content"]


def test_the_answer_is_clean_and_its_figures_are_a_message_of_their_own() -> None:
    blocks = answered(TextDelta("Hel"), TextDelta("lo"), Finished("stop", STATS)).blocks()
    assert [block["content"] for block in blocks][0] == "Hello"
    assert "5 prompt tokens" in blocks[1]["content"]


def test_reasoning_is_a_block_of_its_own_open_while_it_goes_on() -> None:
    (block,) = answered(ReasoningDelta("\nHm, ")).blocks()
    assert block["content"] == "Hm,"
    assert block["metadata"] == {"title": "Thinking", "status": "pending"}


def test_reasoning_ends_with_the_first_word_and_shows_how_long_it_took() -> None:
    answer = answered(ReasoningDelta("Hm"), TextDelta("\n\nYes"), Finished("stop", STATS))
    thought, text, _ = answer.blocks()
    assert thought["metadata"]["status"] == "done" and thought["metadata"]["duration"] >= 0
    assert text["content"] == "Yes"
    assert "Hm" not in text["content"]


def test_reasoning_that_was_stopped_is_closed_too() -> None:
    thought, _ = answered(ReasoningDelta("Hm"), Finished("cancelled", STATS)).blocks()
    assert thought["metadata"]["status"] == "done"


def test_reasoning_never_goes_back_to_the_model_as_text() -> None:
    answer = answered(ReasoningDelta("Hm"), TextDelta("\n\nYes"), Finished("stop", STATS))
    assert answer.message() == Message("assistant", "Yes", "Hm")


def test_the_model_is_sent_every_turn_but_not_the_empty_answer_being_written() -> None:
    conversation = Conversation()
    conversation.turns.append(("One", answered(TextDelta("1"), Finished("stop", STATS))))
    conversation.turns.append(("Two", Answer()))
    assert conversation.messages() == [
        Message("user", "One"),
        Message("assistant", "1"),
        Message("user", "Two"),
    ]


def test_a_new_chat_is_empty_and_older_answers_no_longer_belong_to_it() -> None:
    conversation = Conversation()
    conversation.turns.append(("One", Answer()))
    epoch = conversation.epoch
    conversation.clear()
    assert conversation.blocks() == [] and conversation.epoch != epoch


def test_a_failed_answer_keeps_its_words_and_says_so() -> None:
    answer = answered(TextDelta("Half a"))
    answer.fail()
    assert [block["content"] for block in answer.blocks()][0] == "Half a"
    assert "cut by an error" in answer.blocks()[1]["content"]
