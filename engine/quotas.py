"""How much guests may use: over the last minute each, over the last minute all, and at once.

Everything is counted by the monotonic clock over a sliding minute. A guest who clears the cookie is
a new guest; what all guests together may use holds nevertheless.
"""

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from engine.errors import QuotaExceeded

WINDOW_S = 60.0


@dataclass(frozen=True)
class GuestLimits:
    """Bounds of what guests may do.

    ``answering`` are written at once and ``waiting`` stand in line, for all guests; the owner's
    questions are in neither. ``visitors`` are remembered at most, for ``idle_s`` without a word.
    ``at_once`` are the answers of one guest; ``messages`` those of one conversation.
    """

    messages_per_min: int = 12
    messages_per_min_all: int = 600
    tokens_per_min: int = 30_000
    tokens_per_min_all: int = 600_000
    message_chars: int = 4_000
    conversation_chars: int = 32_000
    messages: int = 100
    messages_per_visit: int = 200
    at_once: int = 2
    answer_tokens: int = 1_024
    answering: int = 8
    waiting: int = 40
    visitors: int = 150
    idle_s: float = 3_600.0


@dataclass
class Spent:
    """What one side has used: (when, how many messages, how many tokens), newest last."""

    entries: deque[list[float]] = field(default_factory=deque)

    def within(self, now_s: float) -> tuple[float, float]:
        """(messages, tokens) of the last minute; what is older is forgotten."""
        while self.entries and self.entries[0][0] <= now_s - WINDOW_S:
            self.entries.popleft()
        return sum(e[1] for e in self.entries), sum(e[2] for e in self.entries)

    def free_in_s(self, now_s: float) -> int:
        """When the oldest entry is forgotten, in whole seconds."""
        return max(1, int(self.entries[0][0] + WINDOW_S - now_s) + 1) if self.entries else 1


class Quota:
    """Counts messages and tokens of guests. Safe to call from any thread."""

    def __init__(self, limits: GuestLimits, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._clock_s = clock_s
        self._lock = threading.Lock()
        self._all = Spent()
        self._each: OrderedDict[str, Spent] = OrderedDict()

    def take(self, visitor_id: str, tokens: int) -> list[float]:
        """Count a message and, for now, ``tokens`` of its answer; ``settle`` corrects them.

        Raises QuotaExceeded.
        """
        limits = self._limits
        with self._lock:
            now_s = self._clock_s()
            mine = self._each.setdefault(visitor_id, Spent())
            self._each.move_to_end(visitor_id)
            self._forget(now_s)
            for spent, messages, most_tokens, who in (
                (mine, limits.messages_per_min, limits.tokens_per_min, "You have"),
                (self._all, limits.messages_per_min_all, limits.tokens_per_min_all,
                 "All guests together have"),
            ):  # fmt: skip
                said, used = spent.within(now_s)
                if said + 1 > messages or used + tokens > most_tokens:
                    what = f"{messages} messages" if said + 1 > messages else "the tokens"
                    raise QuotaExceeded(
                        f"{who} used up {what} of this minute.",
                        f"Try again in {spent.free_in_s(now_s)} seconds.",
                    )
            entry = [now_s, 1.0, float(tokens)]
            mine.entries.append(entry)
            self._all.entries.append(entry)
            return entry

    def settle(self, entry: list[float], tokens: int) -> None:
        """What the answer took in truth."""
        with self._lock:
            entry[2] = float(tokens)

    def give_back(self, entry: list[float]) -> None:
        """The message was refused after all, and does not count."""
        with self._lock:
            entry[1] = entry[2] = 0.0

    def _forget(self, now_s: float) -> None:
        for visitor_id in list(self._each):
            is_over = len(self._each) > self._limits.visitors
            if not is_over and self._each[visitor_id].within(now_s) != (0, 0):
                break
            if len(self._each) > 1:
                del self._each[visitor_id]
