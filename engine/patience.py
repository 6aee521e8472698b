"""How often to ask a server again, how long to wait first, and a wait that can be ended."""

import email.utils
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from engine.errors import Cancelled

Cancel = Callable[[], bool]
OnWait = Callable[[float, str], None]

_POLL_S = 0.1
_MAX_DIGITS = 9


def never() -> bool:
    """The cancel of those who never cancel."""
    return False


def quietly(wait_s: float, sentence: str) -> None:
    """The on_wait of those who show nothing."""


@dataclass(frozen=True)
class Patience:
    """How long the Hub is waited for, and how often it is asked.

    A request is sent at most ``tries`` times. Pauses start at ``base_s``, double each time, and
    get up to half again by ``jitter`` (a number from 0 to 1), so that many clients do not come
    back at once. A wait that the Hub asks for is kept up to ``longest_wait_s``; an answer must be
    whole ``answer_s`` after it was asked for, however steadily it drips.
    """

    tries: int = 3
    base_s: float = 0.5
    longest_wait_s: float = 60.0
    connect_s: float = 5.0
    read_s: float = 20.0
    answer_s: float = 90.0
    jitter: Callable[[], float] = random.random

    def backoff_s(self, failed_tries: int) -> float:
        """Seconds to pause after that many failed tries."""
        return float(self.base_s * 2 ** (failed_tries - 1) * (1 + 0.5 * self.jitter()))


def parse_retry_after(value: str | None, now_at: float) -> float | None:
    """Seconds that a Retry-After header asks for, from its number or its date; None if neither."""
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        return float(text if len(text) <= _MAX_DIGITS else "9" * _MAX_DIGITS)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - now_at)
    except (ValueError, OverflowError):
        return None


def format_wait(wait_s: float) -> str:
    """A wait as a person says it: "12 s", "3 min", "24 h"."""
    if wait_s < 120:
        return f"{max(1, round(wait_s))} s"
    return f"{round(wait_s / 60)} min" if wait_s < 7200 else f"{round(wait_s / 3600)} h"


def wait(wait_s: float, cancel: Cancel) -> None:
    """Wait, and raise Cancelled at most 0.1 s after ``cancel`` says so."""
    end = time.monotonic() + wait_s
    while True:
        if cancel():
            raise Cancelled()
        left_s = end - time.monotonic()
        if left_s <= 0:
            return
        time.sleep(min(left_s, _POLL_S))
