"""Answers being written: read from the inference service whether or not a page still looks on.

Each has a thread of its own that takes its events, keeps what there is on disk, and wakes whoever
shows it. A tab that was closed finds its answer again by the message's number.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from engine.chats import Chats, Written
from engine.errors import Cancelled, ChatsError, EngineError
from engine.records import (
    ChatEvent,
    Finished,
    FinishReason,
    GenerationStats,
    Message,
    ReasoningDelta,
    SamplingParams,
    TextDelta,
)

SAVE_S = 0.5  # how much of an answer a crash may cost
SAVE_TRIES = 20
SAVE_AGAIN_S = 3.0
CLOSE_S = 1.0
EXCERPT_CHARS = 60

logger = logging.getLogger(__name__)


class Ticket(Protocol):
    """A request as its sender sees it, see ChatTicket."""

    def cancel(self) -> None:
        """Ask for its end; never blocks."""

    def drain(self, timeout_s: float) -> list[ChatEvent]:
        """What has come, after at most ``timeout_s``."""


Ask = Callable[[Sequence[Message], SamplingParams, str, str], Ticket]
"""Of whom: messages, settings, model, and the stored conversation, if it may be remembered."""


@dataclass(frozen=True)
class AnswerState:
    """An answer as far as it is. ``step`` is the last event before its first word."""

    text: str = ""
    reasoning: str = ""
    reasoning_s: float | None = None
    step: ChatEvent | None = None
    reason: FinishReason | None = None
    stats: GenerationStats | None = None
    error: EngineError | None = None
    is_done: bool = False

    def details(self) -> dict[str, Any]:
        """What is kept beside the text, as JSON values."""
        kept: dict[str, Any] = {"reason": self.reason, "reasoning_s": self.reasoning_s}
        if self.stats is not None:
            kept["stats"] = asdict(self.stats)
        if self.error is not None:
            kept["error"] = self.error.text
        return kept


class RunningAnswer:
    """One answer being written. Safe to read from any thread."""

    def __init__(
        self, ticket: Ticket, place: Written, text: str = "", reasoning: str = "",
        asked: Sequence[Message] = (),
    ) -> None:  # fmt: skip
        self.message_id, self.chat_id = place.message_id, place.chat_id
        self.asked = tuple(asked)
        self._ticket = ticket
        self._parts, self._thoughts = [text], [reasoning]
        self._step: ChatEvent | None = None
        self._thinking_at: float | None = None
        self._reasoning_s: float | None = None
        self._end = AnswerState()
        self._version = 0
        self._changed = threading.Condition()

    def stop(self) -> None:
        """End it at the next token; what was written stays."""
        self._ticket.cancel()

    def state(self) -> AnswerState:
        """A snapshot."""
        with self._changed:
            return AnswerState(
                "".join(self._parts), "".join(self._thoughts), self._reasoning_s, self._step,
                self._end.reason, self._end.stats, self._end.error, self._end.is_done,
            )  # fmt: skip

    def wait(self, version: int, timeout_s: float) -> int:
        """The version of what there is now, as soon as it is above ``version``, or in time."""
        with self._changed:
            if self._version <= version and not self._end.is_done:
                self._changed.wait(timeout_s)
            return self._version

    def ends_within(self, timeout_s: float) -> bool:
        """Whether it is over, after at most ``timeout_s``."""
        with self._changed:
            return self._changed.wait_for(lambda: self._end.is_done, timeout_s)

    def apply(self, event: ChatEvent) -> None:
        """Take one event into account."""
        with self._changed:
            if isinstance(event, TextDelta):
                self._end_thinking()
                self._parts.append(event.text)
            elif isinstance(event, ReasoningDelta):
                self._thinking_at = self._thinking_at or time.monotonic()
                self._thoughts.append(event.text)
            elif isinstance(event, Finished):
                self._end_thinking()
                self._end = AnswerState(reason=event.reason, stats=event.stats)
            else:
                self._step = event
            self._tell()

    def finish(self, error: EngineError | None) -> None:
        """No more will come."""
        with self._changed:
            self._end_thinking()
            end = self._end
            self._end = AnswerState(reason=end.reason, stats=end.stats, error=error, is_done=True)
            self._tell()

    def read(self, timeout_s: float) -> bool:
        """Take what has come from the model; False once all has. Raises EngineError, Cancelled."""
        for event in self._ticket.drain(timeout_s):
            self.apply(event)
            if isinstance(event, Finished):
                return False
        return True

    def _end_thinking(self) -> None:
        if self._thinking_at is not None and self._reasoning_s is None:
            thought_s = time.monotonic() - self._thinking_at
            self._reasoning_s = max(0.1, round(thought_s, 1))  # the page shows no 0

    def _tell(self) -> None:
        self._version += 1
        self._changed.notify_all()


class Answers:
    """Every answer being written in this process, by its store and number."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._lock = threading.Lock()
        self._running: dict[tuple[int, int], RunningAnswer] = {}

    def begin(
        self, chats: Chats, place: Written, messages: Sequence[Message], params: SamplingParams,
        model_id: str, text: str = "", reasoning: str = "", ticket: Ticket | None = None,
    ) -> RunningAnswer:  # fmt: skip
        """Ask a model, and write its answer to the stored message ``place``, which is "writing".

        ``text`` and ``reasoning`` are what it has already; ``ticket`` is a request that was made
        before. Raises InvalidRequest and Busy; the stored message is then finished, with the error.
        """
        try:
            chat_id = place.chat_id if chats.is_on_disk else ""
            ticket = ticket or self._ask(messages, params, model_id, chat_id)
        except EngineError as error:
            failed = AnswerState(text, reasoning, error=error)
            chats.finish_answer(place.message_id, text, reasoning, failed.details())
            raise
        answer = RunningAnswer(ticket, place, text, reasoning, messages)
        with self._lock:
            self._running[id(chats), place.message_id] = answer
        threading.Thread(
            target=self._write, args=(chats, answer), name="pomona-answer", daemon=True
        ).start()
        return answer

    @property
    def count(self) -> int:
        """How many are being written."""
        return len(self._running)

    def find(self, chats: Chats, message_id: int) -> RunningAnswer | None:
        """The answer that is being written to this message."""
        with self._lock:
            return self._running.get((id(chats), message_id))

    def chats_being_written(self, chats: Chats) -> frozenset[str]:
        """The conversations of one store in which a model is writing."""
        with self._lock:
            mine = [a.chat_id for (store, _), a in self._running.items() if store == id(chats)]
        return frozenset(mine)

    def close(self, timeout_s: float = CLOSE_S) -> None:
        """Give the answers that ended with their model time to be written down."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            with self._lock:
                if not self._running:
                    return
            time.sleep(0.02)

    def stop_all(self, chats: Chats, chat_id: str = "") -> None:
        """Stop every answer of one store, or those of one conversation alone."""
        with self._lock:
            mine = [answer for (store, _), answer in self._running.items() if store == id(chats)]
        for answer in mine:
            if chat_id in ("", answer.chat_id):
                answer.stop()

    def _write(self, chats: Chats, answer: RunningAnswer) -> None:
        error: EngineError | None = None
        saved_at, saved = time.monotonic(), 0
        try:
            while answer.read(SAVE_S / 2):
                if time.monotonic() - saved_at >= SAVE_S:
                    version = answer.wait(-1, 0)
                    if version != saved:
                        _save_draft(chats, answer)
                    saved_at, saved = time.monotonic(), version
        except EngineError as failure:
            error = failure
        except Cancelled:
            pass
        self._keep(chats, answer, error)

    def _keep(self, chats: Chats, answer: RunningAnswer, error: EngineError | None) -> None:
        """Write the whole answer down, several times if the disk refuses, and let go of it."""
        state = answer.state()
        ended = AnswerState(
            state.text, state.reasoning, state.reasoning_s, None, state.reason, state.stats, error
        )
        details = ended.details()
        if ended.stats is not None and ended.stats.left_out:
            details["left_out"] = _describe_left_out(answer.asked, ended.stats.left_out)
        for attempt in range(SAVE_TRIES):
            try:
                chats.finish_answer(answer.message_id, ended.text, ended.reasoning, details)
                break
            except ChatsError as problem:
                logger.warning("an answer could not be saved: %s", problem.__cause__ or problem)
                if attempt == 0:
                    answer.finish(error or problem)
                time.sleep(SAVE_AGAIN_S)
        answer.finish(error)
        with self._lock:
            self._running.pop((id(chats), answer.message_id), None)


def _describe_left_out(asked: Sequence[Message], left_out: Sequence[int]) -> dict[str, Any]:
    """Which messages the model did not see, in words that stay true when the chat is changed."""
    first, last = (" ".join(asked[index].text.split()) for index in (left_out[0], left_out[-1]))
    return {
        "count": len(left_out), "of": len(asked),
        "first": first[:EXCERPT_CHARS], "last": last[:EXCERPT_CHARS],
    }  # fmt: skip


def _save_draft(chats: Chats, answer: RunningAnswer) -> None:
    state = answer.state()
    try:
        chats.save_draft(answer.message_id, state.text, state.reasoning)
    except ChatsError as error:
        logger.warning("an answer could not be saved yet: %s", error.__cause__ or error)
