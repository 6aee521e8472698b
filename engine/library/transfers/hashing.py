"""Is a file what the Hub says it is: SHA-256 for large files, git's blob hash for small ones."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from engine.errors import Cancelled
from engine.patience import never
from engine.records import RepoFile

CHUNK_BYTES = 1 << 20


class Digest:
    """A hash that grows as a file's bytes come in order."""

    def __init__(self, file: RepoFile) -> None:
        self._file = file
        self.done_bytes = 0
        if file.sha256 is not None:
            self._hash = hashlib.sha256()
        else:
            self._hash = hashlib.sha1(b"blob %d\0" % file.size_bytes, usedforsecurity=False)

    def update(self, data: bytes | bytearray | memoryview) -> None:
        """The next bytes of the file."""
        self._hash.update(data)
        self.done_bytes += len(data)

    def read_on(self, file_fd: int, end: int, buffer: memoryview) -> None:
        """Read a file from where this is up to ``end``. Raises OSError."""
        while self.done_bytes < end:
            count = os.preadv(file_fd, [buffer[: end - self.done_bytes]], self.done_bytes)
            if not count:
                break
            self.update(buffer[:count])

    def matches(self) -> bool:
        """Whether the right bytes came; where no hash is known, whether as many."""
        wanted = self._file.sha256 or self._file.git_oid
        return self.done_bytes == self._file.size_bytes and (
            wanted is None or self._hash.hexdigest() == wanted
        )


def hash_matches(path: Path, file: RepoFile, stop: Callable[[], bool] = never) -> bool:
    """Whether ``path`` holds what ``file`` says: size first, then its SHA-256 or git blob hash.

    Raises OSError for a file that cannot be read, and Cancelled once ``stop`` says so; a file that
    is missing does not match.
    """
    try:
        stream = open(path, "rb", buffering=0)
    except (FileNotFoundError, NotADirectoryError):
        return False
    with stream:
        if os.fstat(stream.fileno()).st_size != file.size_bytes:
            return False
        digest = Digest(file)
        buffer = bytearray(min(CHUNK_BYTES, file.size_bytes + 1))
        while count := stream.readinto(buffer):
            if stop():
                raise Cancelled()
            digest.update(memoryview(buffer)[:count])
        return digest.matches()
