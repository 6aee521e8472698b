"""The way of events from whoever writes an answer to whoever asked.

Putting never blocks, so a reader that stopped reading holds nobody up; deltas of one kind that
wait are joined, so what waits is never larger than the answer itself.
"""

import threading
import time
from collections.abc import Callable, Iterator

from engine.errors import Cancelled, EngineError
from engine.records import ChatEvent, Finished, Loading, Prefill, Queued, ReasoningDelta, TextDelta

_LATEST_ONLY = (Queued, Loading, Prefill)


class Mailbox:
    """Events of one request, written by one thread and read by another."""

    def __init__(self, on_close: Callable[[], None] = lambda: None) -> None:
        self._on_close = on_close
        self._condition = threading.Condition()
        self._events: list[ChatEvent] = []
        self._error: EngineError | None = None
        self._is_closed = False

    @property
    def is_closed(self) -> bool:
        """Whether the end has been put."""
        return self._is_closed

    def put(self, event: ChatEvent) -> None:
        """Add an event, joined with the last one where that says the same."""
        with self._condition:
            if self._is_closed:
                return
            last = self._events[-1] if self._events else None
            if isinstance(event, TextDelta) and isinstance(last, TextDelta):
                self._events[-1] = TextDelta(last.text + event.text, last.tokens + event.tokens)
            elif isinstance(event, ReasoningDelta) and isinstance(last, ReasoningDelta):
                self._events[-1] = ReasoningDelta(last.text + event.text)
            elif isinstance(event, _LATEST_ONLY) and type(last) is type(event):
                self._events[-1] = event
            else:
                self._events.append(event)
            self._condition.notify_all()
            if isinstance(event, Finished):
                self._is_closed = True
                self._on_close()

    def fail(self, error: EngineError) -> None:
        """End with an error, raised in the reader once it has read what came before."""
        with self._condition:
            if not self._is_closed:
                self._error = error
                self._is_closed = True
                self._condition.notify_all()
                self._on_close()

    def drain(self, timeout_s: float) -> list[ChatEvent]:
        """All events that wait, after at most ``timeout_s``; empty when there are none.

        Raises the request's EngineError when nothing else is left, and Cancelled when the end has
        been read already.
        """
        with self._condition:
            if not self._events and not self._is_closed:
                self._condition.wait(timeout_s)
            events, self._events = self._events, []
            if events:
                return events
            if self._error is not None:
                raise self._error
            if self._is_closed:
                raise Cancelled
            return []


class ChatTicket:
    """A request as its sender sees it: events to read, and a way to stop."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox
        self.is_cancelled = False
        self.on_cancel: Callable[[], None] = lambda: None

    def cancel(self) -> None:
        """Ask the inference thread to end this answer at its next token. Never blocks."""
        self.is_cancelled = True
        self.on_cancel()

    def drain(self, timeout_s: float) -> list[ChatEvent]:
        """As Mailbox.drain."""
        return self._mailbox.drain(timeout_s)

    def events(self, pause_s: float = 0.0) -> Iterator[ChatEvent]:
        """Every event until Finished, read in bundles at least ``pause_s`` apart.

        Raises the request's EngineError.
        """
        while True:
            for event in self.drain(timeout_s=1.0):
                yield event
                if isinstance(event, Finished):
                    return
            if pause_s:
                time.sleep(pause_s)
