"""How far a transfer is and how fast it goes. Time is the monotonic clock's alone."""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from engine.patience import format_wait

WINDOW_S = 5.0
UPDATE_S = 0.1
_SHORTEST_S = 0.25


@dataclass(frozen=True)
class TransferProgress:
    """A transfer as it is now.

    ``bytes_per_s`` is over the last 5 s, and counts only what came over the network. ``eta_s`` is
    None when nobody can tell. ``is_verifying``: everything is here and hashes are being checked.
    ``notice`` says what it waits for, empty while bytes come in.
    """

    done_bytes: int
    total_bytes: int
    bytes_per_s: float = 0.0
    eta_s: float | None = None
    is_verifying: bool = False
    notice: str = ""


class Meter:
    """Counts bytes from any thread, and makes a new TransferProgress at most every 0.1 s."""

    def __init__(
        self, total_bytes: int, stall_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._total_bytes = total_bytes
        self._stall_s = stall_s
        self._lock = threading.Lock()
        self._done_bytes = 0
        self._fetched_bytes = 0
        self._samples = deque([(self._clock(), 0)])
        self._heard_at = self._clock()
        self._notice = ""
        self._wait_until = 0.0
        self._is_moving = False
        self._shown: tuple[float, TransferProgress] | None = None

    @property
    def missing_bytes(self) -> int:
        """Bytes that are not on disk yet."""
        return max(0, self._total_bytes - self._done_bytes)

    def add(self, count: int, *, is_fetched: bool = False) -> None:
        """Bytes on disk; those from the network are speed. Below zero: a clean restart."""
        now = self._clock()
        with self._lock:
            self._done_bytes += count
            if not is_fetched:
                self._shown = None
                return
            self._fetched_bytes += count
            if now - self._samples[-1][0] >= UPDATE_S:
                self._samples.append((now, self._fetched_bytes))

    def start(self) -> None:
        """The network is to give bytes from now on."""
        with self._lock:
            self._heard_at = self._clock()
            self._samples = deque([(self._heard_at, self._fetched_bytes)])
            self._is_moving = True

    def finish(self) -> None:
        """Nothing is expected of the network any more."""
        with self._lock:
            self._is_moving = False
            self._notice, self._wait_until, self._shown = "", 0.0, None

    def hear(self) -> None:
        """A byte came: whatever was the matter is over."""
        self._heard_at = self._clock()
        if self._notice:
            self._notice = ""

    def note(self, notice: str, wait_s: float = 0.0) -> None:
        """Say what it waits for, until bytes come; for ``wait_s`` the time left is shown too."""
        with self._lock:
            self._notice = notice
            self._wait_until = self._clock() + wait_s if wait_s else 0.0

    def progress(self) -> TransferProgress:
        """The newest snapshot, at most 0.1 s old."""
        now = self._clock()
        with self._lock:
            if self._shown is None or now - self._shown[0] >= UPDATE_S:
                self._shown = (now, self._measure(now))
            return self._shown[1]

    def _measure(self, now: float) -> TransferProgress:
        while len(self._samples) > 1 and self._samples[1][0] <= now - WINDOW_S:
            self._samples.popleft()
        since, before_bytes = self._samples[0]
        bytes_per_s = 0.0
        if self._is_moving:
            bytes_per_s = (self._fetched_bytes - before_bytes) / max(now - since, _SHORTEST_S)
        missing_bytes = self.missing_bytes
        is_stalled = now - self._heard_at >= self._stall_s
        return TransferProgress(
            self._done_bytes,
            self._total_bytes,
            bytes_per_s,
            missing_bytes / bytes_per_s if bytes_per_s and not is_stalled else None,
            self._is_moving and missing_bytes == 0,
            self._sentence(now, is_stalled and missing_bytes > 0),
        )

    def _sentence(self, now: float, is_stalled: bool) -> str:
        if not self._is_moving:
            return ""
        if now < self._wait_until:
            return f"The Hub asked us to wait {format_wait(self._wait_until - now)}."
        if self._notice:
            return self._notice
        return "Stalled: no bytes for a while; reconnecting." if is_stalled else ""
