"""How much was written and is not surely on the disk yet: that is what a crash may cost."""

import threading
import time

from engine.library.transfers.limits import TransferLimits

_WAKE_S = 0.25


class Ledger:
    """Tells the one who syncs when to do it, and writers when to wait for that. For any thread."""

    def __init__(self, limits: TransferLimits) -> None:
        self._limits = limits
        self._changed = threading.Condition()
        self._unsynced_bytes = 0
        self._is_due = False
        self._due_at = time.monotonic() + limits.flush_s
        self._is_over = False

    @property
    def unsynced_bytes(self) -> int:
        """Bytes that were written since they were synced last."""
        return self._unsynced_bytes

    def wrote(self, count: int) -> None:
        """Bytes were written; wait while too many are not synced."""
        with self._changed:
            self._unsynced_bytes += count
            if self._unsynced_bytes >= self._limits.flush_bytes and not self._is_due:
                self._is_due = True
                self._changed.notify_all()
            while self._unsynced_bytes >= self._limits.unsynced_bytes and not self._is_over:
                self._changed.wait(_WAKE_S)

    def hurry(self) -> None:
        """A file is whole and wants to be recorded."""
        with self._changed:
            self._is_due = True
            self._changed.notify_all()

    def wait_until_due(self) -> None:
        """Return when it is time to sync: enough bytes, enough time, or everything is over."""
        with self._changed:
            while not self._is_over and not self._is_due:
                left_s = self._due_at - time.monotonic()
                if left_s <= 0:
                    break
                self._changed.wait(left_s)
            self._due_at = time.monotonic() + self._limits.flush_s
            self._is_due = False

    def synced(self, count: int) -> None:
        """That many bytes are on the disk; writers may go on."""
        with self._changed:
            self._unsynced_bytes -= count
            self._changed.notify_all()

    def end(self) -> None:
        """Nobody waits here any more."""
        with self._changed:
            self._is_over = True
            self._changed.notify_all()
