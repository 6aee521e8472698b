"""A file's place on the disk: made, opened again, written into, synced and taken away.

Knows nothing of threads: whoever uses one holds a lock, and takes a ``dup`` for what lasts longer.
"""

import contextlib
import os
from pathlib import Path

from engine.library.transfers.disk import write_all

_FLAGS = os.O_RDWR | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0)


class PlacedFile:
    """One file below ``place``, which is never made here. Every method may raise OSError."""

    def __init__(self, place: Path, path: str, size_bytes: int) -> None:
        self.path = place / path
        self._place = place
        self._size_bytes = size_bytes
        self._fd = -1

    @property
    def is_open(self) -> bool:
        """Whether it can be written into."""
        return self._fd >= 0

    def create(self) -> None:
        """Make it of its full size without content. What was there is gone, other names kept."""
        folders = self.path.relative_to(self._place).parents
        for folder in list(folders)[-2::-1]:
            (self._place / folder).mkdir(exist_ok=True)
        self._fd = os.open(self.path, _FLAGS | os.O_CREAT | os.O_EXCL, 0o644)
        os.ftruncate(self._fd, self._size_bytes)

    def reopen(self) -> None:
        """Go on with one that is there, and give it its full size."""
        self._fd = os.open(self.path, _FLAGS)
        os.ftruncate(self._fd, self._size_bytes)

    def adopt(self) -> None:
        """Open one that somebody else put there; it is only read."""
        self._fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)

    def unlink(self) -> None:
        """Close it and take its name away."""
        self.close()
        self.path.unlink(missing_ok=True)

    def write(self, data: memoryview, at: int) -> None:
        """Write all of ``data`` at a place."""
        write_all(self._fd, data, at)

    def dup(self) -> int:
        """A file descriptor of one's own, to be closed by whoever asked for it."""
        return os.dup(self._fd)

    def close(self) -> None:
        """Let go of it."""
        with contextlib.suppress(OSError):
            if self._fd >= 0:
                os.close(self._fd)
        self._fd = -1
