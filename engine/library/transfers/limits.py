"""How much a transfer takes at once, how long it waits, and how often it tries."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from engine.patience import Patience

MB = 1_000_000


@dataclass(frozen=True)
class TransferLimits:
    """The bounds of one transfer.

    Files up to ``small_bytes`` get all ``connections`` at once. For larger ones they are doubled
    every ``ramp_s``, while they bring less than ``enough_per_s`` each; from ``ample_per_s`` in all,
    a doubling that brought nothing is taken back for ``rest_s``.
    ``part_bytes`` is asked for in one request; what is left of a part is halved for an idle
    connection as long as the halves have ``steal_bytes``. A body from ``straight_bytes`` on is read
    past the HTTP parser. ``buffer_bytes`` per connection are
    collected before a write, for at most ``buffer_s``. What was written is synced and recorded
    after ``flush_bytes`` or ``flush_s``, and writers wait at ``unsynced_bytes``: that bounds what a
    crash costs.

    A connection without a byte for ``stall_s`` is given up. ``tries`` failures in a row without a
    new byte end the transfer, and so do ``restarts`` of one file. Pauses between tries start at
    ``base_s``, double, and end at ``longest_pause_s``; a pause that the Hub asks for is kept up to
    ``longest_wait_s``.
    """

    connections: int = 8
    enough_per_s: float = 200 * MB
    ample_per_s: float = 50 * MB
    ramp_s: float = 0.3
    rest_s: float = 10.0
    small_bytes: int = 4 * MB
    hashers: int = 2
    part_bytes: int = 64 * MB
    steal_bytes: int = 2 * MB
    straight_bytes: int = 1 * MB
    buffer_bytes: int = 1 * MB
    buffer_s: float = 0.25
    flush_bytes: int = 8 * MB
    flush_s: float = 1.0
    unsynced_bytes: int = 20 * MB
    connect_s: float = 10.0
    stall_s: float = 10.0
    tries: int = 6
    restarts: int = 3
    base_s: float = 0.5
    longest_pause_s: float = 10.0
    longest_wait_s: float = 60.0
    leave_s: float = 0.7
    jitter: Callable[[], float] = random.random

    def backoff_s(self, failed_tries: int) -> float:
        """Seconds to pause after that many failed tries."""
        patience = Patience(base_s=self.base_s, jitter=self.jitter)
        return min(patience.backoff_s(failed_tries), self.longest_pause_s)
