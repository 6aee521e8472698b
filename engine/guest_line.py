"""The line in which guests wait for their answers, outside of the model's own line.

Only a few guests' questions are with the models at once, so that the owner's next question never
stands behind them. A ticket is passive: whoever drains it moves it on, and one that nobody drains
stands in nobody's way for longer than it is held.
"""

import threading
from collections.abc import Callable

from engine.errors import Busy, Cancelled, EngineError
from engine.inference import ChatTicket
from engine.records import ChatEvent, Finished, GenerationStats, Queued

Start = Callable[[], ChatTicket]
Settle = Callable[[GenerationStats | None], None]


class GuestTicket:
    """A guest's request: first a place in the line, then a ticket of the inference service.

    ``settle`` hears once what the answer took, None when that is not known.
    """

    def __init__(self, line: "GuestLine", start: Start, settle: Settle) -> None:
        self._line = line
        self._start = start
        self._settle = settle
        self._ticket: ChatTicket | None = None
        self._position = 0
        self._is_over = False
        self.is_cancelled = False

    def cancel(self) -> None:
        """End it; one that still waits leaves the line. Never blocks."""
        self.is_cancelled = True
        if self._ticket is not None:
            self._ticket.cancel()

    def close(self) -> None:
        """End it, for whoever will not drain it any more."""
        self.cancel()
        self._end(None)

    def drain(self, timeout_s: float) -> list[ChatEvent]:
        """As ChatTicket.drain; before its turn it says how many stand before it."""
        if self._is_over:
            raise Cancelled
        if self._ticket is None:
            if self.is_cancelled:
                self._end(GenerationStats())
                return [Finished("cancelled", GenerationStats())]
            position = self._line.wait_for(self, self._position, timeout_s)
            if position:
                has_moved, self._position = position != self._position, position
                return [Queued(position)] if has_moved else []
        try:
            if self._ticket is None:
                self._ticket = self._start()
                if self.is_cancelled:
                    self._ticket.cancel()
            events = self._ticket.drain(timeout_s)
        except (EngineError, Cancelled):
            self._end(None)
            raise
        for event in events:
            if isinstance(event, Finished):
                self._end(event.stats)
        return events

    def _end(self, stats: GenerationStats | None) -> None:
        if not self._is_over:
            self._is_over = True
            self._line.leave(self)
            self._settle(stats)


class GuestLine:
    """Who is served, who waits, in order of arrival. Safe to call from any thread."""

    def __init__(self, answering: int, waiting: int) -> None:
        self._answering = answering
        self._waiting = waiting
        self._changed = threading.Condition()
        self._line: list[GuestTicket] = []
        self._served: list[GuestTicket] = []

    @property
    def counts(self) -> tuple[int, int]:
        """(answers being written, guests who wait)."""
        with self._changed:
            return len(self._served), len(self._line)

    def join(self, start: Start, settle: Settle) -> GuestTicket:
        """A place at the end. Raises Busy when the line is full."""
        with self._changed:
            if len(self._line) >= self._waiting + self._answering - len(self._served):
                raise Busy(
                    f"Pomona is busy: {len(self._line)} guests are waiting already.",
                    "Try again in a minute.",
                )
            ticket = GuestTicket(self, start, settle)
            self._line.append(ticket)
            return ticket

    def wait_for(self, ticket: GuestTicket, known: int, timeout_s: float) -> int:
        """0 once it is this ticket's turn, and it is served then; its position otherwise.

        Returns early when the position is no longer the ``known`` one.
        """
        with self._changed:
            position = self._position(ticket)
            if position and position == known:
                self._changed.wait(timeout_s)
                position = self._position(ticket)
            if not position and ticket in self._line:
                self._line.remove(ticket)
                self._served.append(ticket)
                self._changed.notify_all()
            return position

    def leave(self, ticket: GuestTicket) -> None:
        """It is over for this one; the next may come."""
        with self._changed:
            for held in (self._line, self._served):
                if ticket in held:
                    held.remove(ticket)
            self._changed.notify_all()

    def end_all(self) -> None:
        """End everybody's answer and empty the line."""
        with self._changed:
            everybody = [*self._line, *self._served]
        for ticket in everybody:
            ticket.cancel()
        with self._changed:
            self._changed.notify_all()

    def _position(self, ticket: GuestTicket) -> int:
        """Which one it is of those who must wait; 0 may go."""
        if ticket not in self._line:
            return 0
        free = self._answering - len(self._served)
        return max(0, self._line.index(ticket) + 1 - free)
