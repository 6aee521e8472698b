"""Events reach their reader once, in order, joined where they say the same, and come to an end."""

import threading

import pytest

from engine.errors import Busy, Cancelled
from engine.mailbox import ChatTicket, Mailbox
from engine.records import (
    Finished,
    GenerationStats,
    Loading,
    Prefill,
    Queued,
    ReasoningDelta,
    TextDelta,
)

END = Finished("stop", GenerationStats())


def test_deltas_of_one_kind_are_joined() -> None:
    box = Mailbox()
    for event in (TextDelta("a"), TextDelta("b"), ReasoningDelta("c"), ReasoningDelta("d")):
        box.put(event)
    assert box.drain(0) == [TextDelta("ab"), ReasoningDelta("cd")]


def test_an_unread_answer_takes_one_place_however_long_it_gets() -> None:
    box = Mailbox()
    for _ in range(10_000):
        box.put(TextDelta("x"))
    assert [len(event.text) for event in box.drain(0)] == [10_000]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "events",
    [(Queued(2), Queued(1)), (Loading(1, 9), Loading(9, 9)), (Prefill(1, 9, 0), Prefill(9, 9, 0))],
)
def test_only_the_latest_progress_waits(events: tuple[Queued, Queued]) -> None:
    box = Mailbox()
    for event in events:
        box.put(event)
    assert box.drain(0) == [events[-1]]


def test_what_has_been_read_does_not_come_again() -> None:
    box = Mailbox()
    box.put(TextDelta("a"))
    assert box.drain(0) == [TextDelta("a")]
    box.put(TextDelta("b"))
    assert box.drain(0) == [TextDelta("b")]
    assert box.drain(0) == []


def test_an_error_comes_after_what_was_said_before_it_and_comes_again() -> None:
    box = Mailbox()
    box.put(TextDelta("half"))
    box.fail(Busy("no"))
    assert box.drain(0) == [TextDelta("half")]
    for _ in range(2):
        with pytest.raises(Busy):
            box.drain(0)


def test_nothing_follows_the_end() -> None:
    box = Mailbox()
    box.put(END)
    box.put(TextDelta("late"))
    box.fail(Busy("late"))
    assert box.drain(0) == [END]
    with pytest.raises(Cancelled):
        box.drain(0)


@pytest.mark.parametrize("end", ["finished", "failed", "both"])
def test_closing_is_told_once(end: str) -> None:
    told: list[int] = []
    box = Mailbox(lambda: told.append(1))
    if end != "failed":
        box.put(END)
    if end != "finished":
        box.fail(Busy("no"))
    box.fail(Busy("again"))
    assert told == [1]


def test_a_waiting_reader_is_woken() -> None:
    box = Mailbox()
    got: list[object] = []
    reader = threading.Thread(target=lambda: got.extend(box.drain(30)), daemon=True)
    reader.start()
    box.put(TextDelta("a"))
    reader.join(10)
    assert got == [TextDelta("a")]


def test_a_ticket_gives_every_event_and_stops_by_itself() -> None:
    box = Mailbox()
    for event in (TextDelta("a"), ReasoningDelta("b"), END):
        box.put(event)
    assert list(ChatTicket(box).events()) == [TextDelta("a"), ReasoningDelta("b"), END]
