"""What of a download is on disk: a log of ranges that survives the death of its writer.

One JSON array a line, only ever appended::

    ["pomona-transfer", 1, revision]
    ["file", n, path, identity]       a file begins, or begins anew: nothing of it is here
    ["etag", n, etag]                 which version the server called it
    ["have", n, start, end]           these bytes are on disk
    ["whole", n, mtime_ns]            all of it is, and its hash was right

Whoever writes a line has synced what it claims. A line that makes no sense ends the reading: what
comes after it is forgotten and fetched again. ``identity`` is a file's size and hash, so that
bytes of another content are never taken over.
"""

import contextlib
import errno
import json
import os
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.library.transfers.ranges import Range, RangeSet
from engine.records import RepoFile

JOURNAL_NAME = "journal"
BALLAST_NAME = "journal.reserve"
BALLAST_BYTES = 64 * 1024
MAX_JOURNAL_BYTES = 64_000_000
COMPACT_BYTES = 2_000_000
_FORMAT = "pomona-transfer"
_FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass
class Entry:
    """What the journal knows of one file. ``mtime_ns`` is set once it was whole and right."""

    number: int
    identity: str
    etag: str | None = None
    present: RangeSet = field(default_factory=RangeSet)
    mtime_ns: int | None = None


@dataclass(frozen=True)
class Synced:
    """What of a file is on the disk for good.

    ``number`` is what ``begin`` gave, None for a file that somebody else put here; ``mtime_ns`` is
    set when it is whole and right.
    """

    file: RepoFile
    number: int | None
    ranges: tuple[Range, ...] = ()
    mtime_ns: int | None = None


def identity_of(file: RepoFile) -> str:
    """A file's content as far as the Hub tells it: it ends with ":" where no hash is known."""
    return f"{file.size_bytes}:{file.sha256 or file.git_oid or ''}"


class Reading:
    """A journal as it was found: its entries, and how much of it made sense."""

    def __init__(self, raw: bytes = b"") -> None:
        self.entries: dict[str, Entry] = {}
        self.revision = ""
        self.valid_bytes = 0
        self.next_number = 0
        self._by_number: dict[int, Entry] = {}
        for line in raw.splitlines(keepends=True):
            if not line.endswith(b"\n") or not self._take(line):
                break
            self.valid_bytes += len(line)

    def _take(self, line: bytes) -> bool:
        """Apply one line, or say that it makes no sense."""
        try:
            kind, *values = json.loads(line)
            if self.valid_bytes == 0:
                return self._begin(kind, values)
            return self._LINES[kind](self, *values)
        except (ValueError, TypeError, KeyError, RecursionError):
            return False

    def _begin(self, kind: Any, values: list[Any]) -> bool:
        if kind != _FORMAT or values[:1] != [1] or len(values) != 2 or type(values[1]) is not str:
            return False
        self.revision = values[1]
        return True

    def _file(self, number: Any, path: Any, identity: Any) -> bool:
        if type(number) is not int or type(path) is not str or type(identity) is not str:
            return False
        self.entries[path] = self._by_number[number] = Entry(number, identity)
        self.next_number = max(self.next_number, number + 1)
        return True

    def _etag(self, number: Any, etag: Any) -> bool:
        if type(etag) is not str:
            return False
        self._by_number[number].etag = etag
        return True

    def _have(self, number: Any, start: Any, end: Any) -> bool:
        if type(start) is not int or type(end) is not int or not 0 <= start < end:
            return False
        self._by_number[number].present.add(start, end)
        return True

    def _whole(self, number: Any, mtime_ns: Any) -> bool:
        if type(mtime_ns) is not int:
            return False
        self._by_number[number].mtime_ns = mtime_ns
        return True

    _LINES: dict[str, Callable[..., bool]] = {
        "file": _file, "etag": _etag, "have": _have, "whole": _whole,
    }  # fmt: skip


def read_journal(folder: Path) -> Reading:
    """The journal in ``folder``; an empty one where there is none. Raises OSError."""
    try:
        with open(folder / JOURNAL_NAME, "rb") as stream:
            return Reading(stream.read(MAX_JOURNAL_BYTES))
    except FileNotFoundError:
        return Reading()


class Journal:
    """The journal of one running transfer. Every method may be called from any thread.

    Methods that write raise OSError; nothing half is left behind then.
    """

    def __init__(self, folder: Path, revision: str) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        reading = read_journal(folder)
        self._entries = reading.entries
        self._next_number = reading.next_number
        if reading.revision != revision:
            # Without a hash, only the commit says which content the bytes are of.
            self._entries = {p: e for p, e in self._entries.items() if e.identity[-1:] != ":"}
        self._fd = os.open(folder / JOURNAL_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._size_bytes = reading.valid_bytes
        os.ftruncate(self._fd, self._size_bytes)
        self._head = _line(_FORMAT, 1, revision)
        if not reading.valid_bytes or reading.revision != revision:
            self._rewrite()
        self._make_ballast()

    def entry(self, file: RepoFile) -> Entry | None:
        """What is known of a file with this name and this content."""
        with self._lock:
            entry = self._entries.get(file.path)
            return entry if entry is not None and entry.identity == identity_of(file) else None

    def begin(self, file: RepoFile) -> int:
        """A file begins, or begins anew; returns the number that its later records carry."""
        with self._lock:
            entry = Entry(self._next_number, identity_of(file))
            self._append(_line("file", entry.number, file.path, entry.identity))
            return self._enter(file.path, entry)

    def set_etag(self, path: str, etag: str) -> None:
        """The version that the bytes of a file are of."""
        with self._lock:
            entry = self._entries[path]
            self._append(_line("etag", entry.number, etag))
            entry.etag = etag

    def record(self, synced: Iterable[Synced]) -> None:
        """What is on the disk for good; of files that began anew since, nothing."""
        with self._lock:
            lines = []
            for news in synced:
                entry = self._entries.get(news.file.path)
                if news.number is None:
                    entry = Entry(self._next_number, identity_of(news.file))
                    lines.append(_line("file", entry.number, news.file.path, entry.identity))
                    self._enter(news.file.path, entry)
                elif entry is None or entry.number != news.number:
                    continue
                lines += [_line("have", entry.number, a, b) for a, b in news.ranges]
                for start, end in news.ranges:
                    entry.present.add(start, end)
                if news.mtime_ns is not None:
                    lines.append(_line("whole", entry.number, news.mtime_ns))
                    entry.mtime_ns = news.mtime_ns
            if lines:
                self._append(b"".join(lines))
                sync_data(self._fd)
            if self._size_bytes > COMPACT_BYTES:
                self._rewrite()

    def _enter(self, path: str, entry: Entry) -> int:
        self._next_number = entry.number + 1
        self._entries[path] = entry
        return entry.number

    def free_ballast(self) -> None:
        """Give up the room that was kept back for a full disk."""
        with contextlib.suppress(OSError):
            (self._folder / BALLAST_NAME).unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of the file; the journal is not used after that."""
        with self._lock, contextlib.suppress(OSError):
            os.close(self._fd)
            self._fd = -1

    def _append(self, data: bytes) -> None:
        """All of ``data`` or nothing of it; on a full disk the ballast makes room."""
        try:
            self._write_at_end(data)
        except OSError as error:
            if error.errno not in _FULL:
                raise
            self.free_ballast()
            self._write_at_end(data)

    def _write_at_end(self, data: bytes) -> None:
        done = 0
        try:
            while done < len(data):
                done += os.pwrite(self._fd, data[done:], self._size_bytes + done)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, self._size_bytes)
            raise
        self._size_bytes += done

    def _rewrite(self) -> None:
        """Put a journal without what is superseded in its place; a full disk keeps the old one."""
        lines = [self._head]
        for name, entry in self._entries.items():
            lines.append(_line("file", entry.number, name, entry.identity))
            if entry.etag is not None:
                lines.append(_line("etag", entry.number, entry.etag))
            lines += [_line("have", entry.number, a, b) for a, b in entry.present]
            if entry.mtime_ns is not None:
                lines.append(_line("whole", entry.number, entry.mtime_ns))
        data = b"".join(lines)
        path, new_path = self._folder / JOURNAL_NAME, self._folder / f"{JOURNAL_NAME}.new"
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        new_fd = os.open(new_path, flags, 0o644)
        try:
            with open(new_fd, "wb", closefd=False) as stream:
                stream.write(data)
            sync_data(new_fd)
            new_path.rename(path)
        except OSError as error:
            os.close(new_fd)
            with contextlib.suppress(OSError):
                new_path.unlink(missing_ok=True)
            if error.errno not in _FULL or not self._size_bytes:
                raise
            return
        os.close(self._fd)
        self._fd, self._size_bytes = new_fd, len(data)

    def _make_ballast(self) -> None:
        path = self._folder / BALLAST_NAME
        with contextlib.suppress(OSError):
            if not path.exists() or path.stat().st_size < BALLAST_BYTES:
                path.write_bytes(os.urandom(BALLAST_BYTES))


def sync_data(file_fd: int) -> None:
    """Wait until a file's content is on the disk. Raises OSError."""
    if hasattr(os, "fdatasync"):
        os.fdatasync(file_fd)
    else:  # macOS
        os.fsync(file_fd)


def _line(*values: str | int) -> bytes:
    return json.dumps(values, separators=(",", ":")).encode() + b"\n"
