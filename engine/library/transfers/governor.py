"""How many connections large files get: more while each of them brings little."""

import threading
import time

from engine.library.transfers.limits import TransferLimits


class Governor:
    """Begins with one connection, and doubles them as long as each is slow. For any thread.

    A server or a network often limits each connection, and several together are faster. Where
    one is fast already, this computer is the limit, and more of them only get in each other's way.
    """

    def __init__(self, limits: TransferLimits) -> None:
        self._limits = limits
        self._lock = threading.Lock()
        self._allowed = 1
        self._busy = 0
        self._bytes = 0
        self._since: float | None = None

    def enter(self) -> bool:
        """Take a place for one more connection, if it is wanted."""
        with self._lock:
            self._consider()
            if self._busy >= self._allowed:
                return False
            self._busy += 1
            return True

    def leave(self) -> None:
        """Give the place back."""
        with self._lock:
            self._busy -= 1

    def wrote(self, count: int) -> None:
        """Bytes came."""
        with self._lock:
            self._bytes += count
            if self._since is None:
                self._since = time.monotonic()

    def _consider(self) -> None:
        now = time.monotonic()
        if self._since is None or self._busy < self._allowed:
            return
        elapsed_s = now - self._since
        if elapsed_s < self._limits.ramp_s:
            return
        if self._bytes / elapsed_s < self._limits.enough_per_s * self._busy:
            self._allowed = min(2 * self._allowed, self._limits.connections)
        self._since, self._bytes = now, 0
