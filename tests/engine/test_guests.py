"""What guests may use, how they wait, and that they never get at each other's words."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from engine import Engine
from engine.access import Visitor
from engine.errors import Busy, Cancelled, InvalidRequest, NotInstalled, NotOwner, QuotaExceeded
from engine.guest_line import GuestLine, GuestTicket
from engine.guests import Guests
from engine.quotas import GuestLimits, Quota
from engine.records import Finished, GenerationStats, Message, Queued, SamplingParams, TextDelta

LLAMA = "tiny/llama"
HELLO = [Message("user", "Hello")]
SHORT = SamplingParams(max_tokens=4)


class Someone:
    """Whose event is being handled."""

    def __init__(self) -> None:
        self.now: Visitor | None = Visitor("guest", "ann")

    def __call__(self) -> Visitor | None:
        return self.now

    def is_(self, name: str) -> None:
        self.now = Visitor("guest", name)


@pytest.fixture
def who() -> Someone:
    return Someone()


@pytest.fixture
def opening(engine: Engine, who: Someone) -> Iterator[Callable[..., Guests]]:
    made: list[Guests] = []

    def make(clock_s: Any = None, **limits: Any) -> Guests:
        more = {"clock_s": clock_s} if clock_s else {}
        made.append(Guests(engine, (LLAMA,), GuestLimits(**limits), who, **more))
        return made[-1]

    yield make
    for guests in made:
        guests.end()


def read(ticket: GuestTicket) -> tuple[str, Finished]:
    text = ""
    while True:
        for event in ticket.drain(5.0):
            if isinstance(event, TextDelta):
                text += event.text
            if isinstance(event, Finished):
                return text, event


def test_a_guest_gets_an_answer_of_bounded_length(opening: Callable[..., Guests]) -> None:
    guests = opening(answer_tokens=3)
    _, end = read(guests.chat(HELLO, SamplingParams(max_tokens=1_000_000), LLAMA))
    assert end.reason == "length" and end.stats.output_tokens == 3


@pytest.mark.parametrize("name", [
    "tiny/other", "pomona/guide", "nobody/x", "../../etc", "a/b/c", "a--b", "x" * 97, "a\nb", "",
    "\0", "/etc/passwd",
])  # fmt: skip
def test_a_guest_has_the_pinned_models_alone(opening: Callable[..., Guests], name: str) -> None:
    guests = opening()
    with pytest.raises(NotInstalled, match="Guests have no model"):
        guests.chat(HELLO, SHORT, name)
    assert [model.repo_id for model in guests.library.list()] == [LLAMA]


def test_what_is_too_long_is_refused_before_anybody_waits_for_it(
    opening: Callable[..., Guests],
) -> None:
    guests = opening(message_chars=10, conversation_chars=30, messages=5)
    long = Message("user", "x" * 11)
    past = [Message("user", "x" * 10), Message("assistant", "y" * 21)]
    for messages, params in (
        ([long], SHORT), ([*past, Message("user", "x")], SHORT), ([*HELLO] * 6, SHORT),
        (HELLO, SamplingParams(system_prompt="x" * 30)),
    ):  # fmt: skip
        with pytest.raises(InvalidRequest):
            guests.chat(messages, params, LLAMA)
    assert guests.counts.waiting == guests.counts.answering == 0


def test_messages_of_a_minute_are_counted_for_each_and_for_all(
    opening: Callable[..., Guests], who: Someone
) -> None:
    guests = opening(messages_per_min=2, messages_per_min_all=3)
    for name, words in (("ann", None), ("ann", None), ("ann", "You have"), ("bob", None),
                        ("bob", "All guests together"), ("", "All guests together")):  # fmt: skip
        who.is_(name)
        if words is None:
            read(guests.chat(HELLO, SHORT, LLAMA))
        else:
            with pytest.raises(QuotaExceeded, match=words):
                guests.chat(HELLO, SHORT, LLAMA)


def test_tokens_of_a_minute_are_counted_as_they_were_and_forgotten_after_it() -> None:
    now_s = [0.0]
    quota = Quota(GuestLimits(tokens_per_min=100, messages_per_min=99), lambda: now_s[0])
    entry = quota.take("ann", 90)
    with pytest.raises(QuotaExceeded, match="the tokens"):
        quota.take("ann", 20)
    quota.settle(entry, 10)
    quota.take("ann", 90)
    now_s[0] = 59.0
    with pytest.raises(QuotaExceeded) as caught:
        quota.take("ann", 90)
    assert caught.value.hint == "Try again in 2 seconds."
    now_s[0] = 60.5
    quota.take("ann", 90)


def test_a_refused_message_does_not_count() -> None:
    quota = Quota(GuestLimits(messages_per_min=1))
    quota.give_back(quota.take("ann", 5))
    quota.take("ann", 5)
    with pytest.raises(QuotaExceeded):
        quota.take("ann", 5)


def test_the_quota_remembers_a_bounded_number_of_visitors() -> None:
    now_s = [0.0]
    quota = Quota(GuestLimits(visitors=10, messages_per_min_all=9_999), lambda: now_s[0])
    for number in range(500):
        now_s[0] += 0.01
        quota.take(str(number), 1)
    assert len(quota._each) <= 11


class Script:
    """A ticket of the inference service that does what it is told."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True

    def drain(self, timeout_s: float) -> list[Any]:
        events, self.events = self.events, []
        return events


DONE = Finished("stop", GenerationStats(output_tokens=2))


def test_the_line_serves_a_few_and_tells_the_others_their_place() -> None:
    line, scripts, settled = GuestLine(answering=1, waiting=2), [Script() for _ in range(3)], []
    tickets = [line.join(lambda s=s: s, settled.append) for s in scripts]  # type: ignore[misc]
    with pytest.raises(Busy, match="3 guests|2 guests"):
        line.join(Script, settled.append)  # type: ignore[arg-type]
    assert tickets[0].drain(0) == []
    assert [tickets[n].drain(0) for n in (1, 2)] == [[Queued(1)], [Queued(2)]]
    assert tickets[2].drain(0) == []  # nothing new
    scripts[0].events = [DONE]
    assert tickets[0].drain(0) == [DONE] and settled == [DONE.stats]
    assert tickets[2].drain(0) == [Queued(1)]
    assert tickets[1].drain(0) == [] and line.counts == (1, 1)
    with pytest.raises(Cancelled):
        tickets[0].drain(0)


def test_who_leaves_the_line_stands_in_nobodys_way() -> None:
    line, settled = GuestLine(answering=1, waiting=3), []
    first, second, third = (line.join(Script, settled.append) for _ in range(3))  # type: ignore
    first.drain(0)
    second.close()
    assert third.drain(0) == [Queued(1)]
    first.close()
    assert third.drain(0) == [] and line.counts == (1, 0)
    third.cancel()
    assert line.counts == (1, 0)  # it is with the model until that says so
    third.close()
    assert line.counts == (0, 0) and settled == [None, None, None]


def test_nobody_fills_the_line_alone(opening: Callable[..., Guests], who: Someone) -> None:
    guests = opening(at_once=2, answering=1, waiting=4)
    tickets = [guests.chat(HELLO, SHORT, LLAMA) for _ in range(2)]
    with pytest.raises(QuotaExceeded, match="2 of your answers"):
        guests.chat(HELLO, SHORT, LLAMA)
    who.is_("")  # all programs without a cookie are one visitor
    tickets += [guests.chat(HELLO, SHORT, LLAMA) for _ in range(2)]
    with pytest.raises(QuotaExceeded):
        guests.chat(HELLO, SHORT, LLAMA)
    for ticket in tickets:
        read(ticket)
    who.is_("ann")
    read(guests.chat(HELLO, SHORT, LLAMA))


def test_the_owner_is_answered_while_guests_fill_their_line(
    engine: Engine, opening: Callable[..., Guests], who: Someone
) -> None:
    guests = opening(answering=2, waiting=3, at_once=9)
    tickets = [guests.chat(HELLO, SamplingParams(max_tokens=200), LLAMA) for _ in range(5)]
    for ticket in tickets:
        ticket.drain(0)
    with pytest.raises(Busy):
        guests.chat(HELLO, SHORT, LLAMA)
    events = list(engine.chat(HELLO, SHORT, LLAMA).events())
    assert isinstance(events[-1], Finished)
    assert not any(isinstance(event, Queued) and event.position > 1 for event in events)
    for ticket in tickets:
        ticket.cancel()
        ticket.close()


def test_each_guest_has_chats_of_their_own_in_memory(
    engine: Engine, opening: Callable[..., Guests], who: Someone
) -> None:
    guests = opening()
    said = guests.chats.create(LLAMA, "Ann's secret")
    assert [chat.title for chat in guests.chats.list()] == ["Ann's secret"]
    who.is_("bob")
    assert guests.chats.list() == () and guests.chats.list("secret") == ()
    assert "Ann's secret" not in [chat.title for chat in engine.chats.list()]
    who.is_("ann")
    assert guests.chats.read(said.chat_id).title == "Ann's secret"


def test_without_a_cookie_there_are_no_chats_that_others_could_see(
    opening: Callable[..., Guests], who: Someone
) -> None:
    guests = opening()
    for who.now in (None, Visitor("guest", ""), Visitor("owner", "x")):
        with pytest.raises(NotOwner):
            guests.chats.list()


def test_visits_are_bounded_and_page_loads_push_nobody_out(
    opening: Callable[..., Guests], who: Someone
) -> None:
    guests = opening(visitors=5, messages_per_visit=1)
    guests.chats.create(LLAMA, "kept")
    guests._visit().messages = 1
    for number in range(50):
        who.is_(f"stranger {number}")
        guests.chats.list()
    assert guests.counts.visitors == 5
    who.is_("ann")
    assert [chat.title for chat in guests.chats.list()] == ["kept"]


def test_an_idle_visit_is_forgotten(opening: Callable[..., Guests], who: Someone) -> None:
    now_s = [0.0]
    guests = opening(clock_s=lambda: now_s[0], idle_s=100)
    guests.chats.create(LLAMA, "old")
    now_s[0] = 101.0
    who.is_("bob")
    guests.chats.list()
    assert guests.counts.visitors == 1


def test_one_visit_has_so_many_messages_and_no_more(opening: Callable[..., Guests]) -> None:
    guests = opening(messages_per_visit=1)
    read(guests._ask(HELLO, SHORT, LLAMA, ""))
    with pytest.raises(QuotaExceeded, match="one visit"):
        guests._ask(HELLO, SHORT, LLAMA, "")


def test_the_end_ends_every_answer_and_forgets_every_chat(
    opening: Callable[..., Guests], who: Someone
) -> None:
    guests = opening(answering=1)
    chats = guests.chats
    written = chats.create(LLAMA)
    said = chats.add(written.chat_id, written.revision, None, "user", "Hello")
    place = chats.begin_answer(written.chat_id, said.revision, said.message_id, LLAMA, {})
    answer = guests.answers.begin(chats, place, HELLO, SamplingParams(max_tokens=1000), LLAMA)
    guests.end()
    assert answer.state().is_done and guests.counts == type(guests.counts)(0, 0, 0)
    assert guests.chats.list() == ()
