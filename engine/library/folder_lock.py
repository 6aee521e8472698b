"""One Pomona at a time may download into a folder: a lock that ends with its process."""

import contextlib
import errno
import logging
import os
import sys
from pathlib import Path

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

LOCK_NAME = "lock"
_HELD_ELSEWHERE = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES, errno.EDEADLK)

logger = logging.getLogger(__name__)


class FolderLock:
    """An exclusive lock on ``<folder>/lock``. The operating system frees it when we die."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / LOCK_NAME
        self._file_fd: int | None = None

    def acquire(self) -> bool:
        """Take it, or say that somebody else has it. Raises OSError for a folder not writable."""
        if self._file_fd is not None:
            return True
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
        file_fd = os.open(self._path, flags, 0o644)
        try:
            _lock(file_fd)
        except OSError as error:
            if error.errno in _HELD_ELSEWHERE:
                os.close(file_fd)
                return False
            # Some network drives know no locks. Downloading there is worth more than refusing.
            logger.warning("%s cannot be locked: %s", self._path, error.strerror)
        self._file_fd = file_fd
        return True

    def is_held(self) -> bool:
        """Whether it is ours, and the folder is still the one in which it was taken.

        A drive that was pulled out, or another one put in its place, has not our lock.
        """
        if self._file_fd is None:
            return False
        try:
            return os.path.samestat(os.fstat(self._file_fd), os.stat(self._path))
        except OSError:
            return False

    def release(self) -> None:
        """Give it back."""
        if self._file_fd is not None:
            with contextlib.suppress(OSError):
                os.close(self._file_fd)
            self._file_fd = None


def _lock(file_fd: int) -> None:
    if sys.platform == "win32":
        msvcrt.locking(file_fd, msvcrt.LK_NBLCK, 1)
    else:
        fcntl.flock(file_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
