"""How many connections large files get: more as long as that makes it faster."""

import threading
import time
from collections.abc import Callable

from engine.library.transfers.limits import TransferLimits

_WORTH_IT = 1.2


class Governor:
    """Begins with one connection and doubles them while each is slow. For any thread.

    A server or a network often limits each connection, and several together are faster. Where
    this computer is the limit, more of them only get in each other's way: a doubling that brought
    nothing is taken back, and not tried again for a while. A transfer that is slow as a whole costs
    this computer little, and gets them all without such a proof.
    """

    def __init__(self, limits: TransferLimits, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._lock = threading.Lock()
        self._allowed = 1
        self._busy = 0
        self._bytes = 0
        self._since: float | None = None
        self._speed_before = 0.0
        self._rest_until = clock()

    @property
    def allowed(self) -> int:
        """How many connections there may be now."""
        return self._allowed

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
                self._since = self._clock()

    def _consider(self) -> None:
        now = self._clock()
        if self._since is None or self._busy < self._allowed:
            return
        elapsed_s = now - self._since
        if elapsed_s < self._limits.ramp_s:
            return
        bytes_per_s = self._bytes / elapsed_s
        self._since, self._bytes = now, 0
        is_slow = bytes_per_s < self._limits.ample_per_s
        if not is_slow and bytes_per_s < _WORTH_IT * self._speed_before:
            self._allowed = max(1, self._allowed // 2)
            self._rest_until = now + self._limits.rest_s
            self._speed_before = 0.0
        elif bytes_per_s < self._limits.enough_per_s * self._busy and now >= self._rest_until:
            self._speed_before = bytes_per_s if self._allowed < self._limits.connections else 0.0
            self._allowed = min(2 * self._allowed, self._limits.connections)
        else:
            self._speed_before = 0.0
