"""What is to be done next: the files of a transfer, for those who fetch and those who hash."""

import threading
import time
from collections.abc import Sequence

from engine.library.transfers.file_transfer import FileTransfer, Part
from engine.library.transfers.governor import Governor
from engine.library.transfers.ledger import Ledger
from engine.library.transfers.limits import TransferLimits

MAX_OPEN_FILES = 48
_WAKE_S = 0.25
_HASH_WAKE_S = 0.05
_WORTH_HASHING_BYTES = 1_000_000


class Board:
    """Hands out work, and knows when all of it is over. For any thread."""

    def __init__(self, files: Sequence[FileTransfer], limits: TransferLimits) -> None:
        self._limits = limits
        lock = threading.Lock()
        self._changed = threading.Condition(lock)
        self._complete = threading.Condition(lock)
        # Small files first: what describes a model is there soon, and the large ones fill the end.
        self._active = sorted(files, key=lambda transfer: transfer.file.size_bytes)
        self._governor = Governor(limits)
        self.ledger = Ledger(limits)
        self._hold_until = 0.0
        self._is_over = False
        self.errors: list[BaseException] = []

    @property
    def active(self) -> list[FileTransfer]:
        """Files that are not whole yet."""
        with self._changed:
            return list(self._active)

    def is_over(self) -> bool:
        """Whether nothing is to be done any more: all whole, failed, or stopped."""
        return self._is_over

    def end(self, error: BaseException | None = None) -> None:
        """Nothing more is to be done; the first error is the one that is told."""
        with self._changed:
            if error is not None and not self._is_over:
                self.errors.append(error)
            self._is_over = True
            self._changed.notify_all()
        self.ledger.end()

    def wake(self) -> None:
        """Something changed; whoever waits may look again."""
        with self._changed:
            self._changed.notify_all()

    def settle(self, transfer: FileTransfer) -> None:
        """A file is whole."""
        transfer.settle()
        with self._changed:
            self._active.remove(transfer)
            is_last = not self._active
        if is_last:
            self.end()

    def next_part(self) -> Part | None:
        """The next part to fetch, as soon as there is one; None when all is over."""
        while not self._is_over:
            if (part := self._find_part()) is not None:
                return part
            with self._changed:
                self._changed.wait(_WAKE_S)
        return None

    def _find_part(self) -> Part | None:
        active = self.active
        has_room = sum(transfer.is_open for transfer in active) < MAX_OPEN_FILES
        ready = [transfer for transfer in active if has_room or transfer.is_open]
        for transfer in ready:
            if transfer.file.size_bytes <= self._limits.small_bytes:
                if (part := transfer.take_part(self._limits.part_bytes)) is not None:
                    return part
        if not self._governor.enter():
            return None
        part = self._find_large_part(ready)
        if part is None:
            self._governor.leave()
        return part

    def _find_large_part(self, ready: Sequence[FileTransfer]) -> Part | None:
        large = [t for t in ready if t.file.size_bytes > self._limits.small_bytes]
        for transfer in large:
            if (part := transfer.take_part(self._limits.part_bytes)) is not None:
                return part
        for transfer in large:
            if (part := transfer.steal_part(self._limits.steal_bytes)) is not None:
                return part
        return None

    def give_back(self, part: Part) -> None:
        """A part is done, or given up."""
        part.owner.give_back(part)
        if part.owner.file.size_bytes > self._limits.small_bytes:
            self._governor.leave()
        with self._changed:
            self._changed.notify_all()
            self._complete.notify()

    def next_check(self) -> FileTransfer | None:
        """The next file to look at, ours until ``done_checking``; None when all is over."""
        while not self._is_over:
            with self._complete:
                if (transfer := self._find_check()) is not None:
                    transfer.is_hashing = True
                    return transfer
                self._complete.wait(_HASH_WAKE_S)
        return None

    def _find_check(self) -> FileTransfer | None:
        backlog_bytes, chosen = _WORTH_HASHING_BYTES, None
        for transfer in self._active:
            if transfer.is_hashing:
                continue
            if transfer.state in ("found", "untried"):
                return transfer
            if transfer.state == "fetching" and transfer.is_open:
                if transfer.is_complete:
                    return transfer
                if (its_bytes := transfer.backlog_bytes) >= backlog_bytes:
                    backlog_bytes, chosen = its_bytes, transfer
        return chosen

    def done_checking(self, transfer: FileTransfer) -> None:
        """Somebody else may look at it now."""
        transfer.is_hashing = False
        if transfer.state == "checked":
            self.ledger.hurry()
        elif not transfer.is_open:
            self.wake()  # it is to be fetched

    def wrote(self, count: int) -> None:
        """Bytes of the network were written; wait while too many are not synced."""
        self._governor.wrote(count)
        self.ledger.wrote(count)

    def hold(self, wait_s: float) -> None:
        """Nobody asks the server anything for a while: it said so."""
        with self._changed:
            self._hold_until = max(self._hold_until, time.monotonic() + wait_s)

    def held_s(self) -> float:
        """How much of that while is left."""
        return max(0.0, self._hold_until - time.monotonic())
