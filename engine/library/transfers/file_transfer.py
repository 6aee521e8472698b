"""One file on its way to the disk: what is here, who fetches what, and its hash so far.

A file's lock guards all of this. A file that begins anew is another file on disk (the old one is
unlinked), and whoever still carries bytes of the old one finds its ``generation`` gone: bytes of
two versions never meet.
"""

import os
import threading
from dataclasses import dataclass, field
from pathlib import Path
from stat import S_ISREG
from typing import Literal

from engine.library.transfers.answers import strong_etag
from engine.library.transfers.hashing import Digest
from engine.library.transfers.journal import Entry, Journal, Synced, sync_data
from engine.library.transfers.placed_file import PlacedFile
from engine.library.transfers.progress import Meter
from engine.library.transfers.ranges import Range, RangeSet, next_range
from engine.records import RepoFile

# found: lies here unrecorded, maybe right; untried: perhaps in another program's cache;
# fetching: from the network; checked: hash is right; whole: and that is recorded.
State = Literal["found", "untried", "fetching", "checked", "whole"]


class Superseded(Exception):
    """The file began anew, or its transfer ended: these bytes are not wanted any more."""


@dataclass(eq=False)
class Part:
    """A range that one connection fetches. ``end`` sinks when another takes over the rest."""

    owner: "FileTransfer"
    generation: int
    position: int
    end: int
    best: int = field(init=False)

    def __post_init__(self) -> None:
        self.best = self.position

    @property
    def is_done(self) -> bool:
        """Whether nothing of it is missing."""
        return self.position >= self.end


class FileTransfer:
    """One file. Methods may be called from any thread; those that touch the disk raise OSError."""

    def __init__(self, file: RepoFile, place: Path, journal: Journal, meter: Meter) -> None:
        self.file = file
        self._placed = PlacedFile(place, file.path, file.size_bytes)
        self.state: State = "untried"
        self.lock = threading.RLock()
        self.etag: str | None = None
        self.url: str | None = None
        self.is_ranged = False
        self.is_whole_only = False
        self.is_hashing = False
        self.restarts = 0
        self.mismatches = 0
        self.digest = Digest(file)
        self.unsynced: list[Range] = []
        self._journal = journal
        self._meter = meter
        self._generation = 0
        self._number: int | None = None
        self._present = RangeSet()
        self._parts: list[Part] = []
        self._is_closed = False

    @property
    def path(self) -> Path:
        """Where it lies."""
        return self._placed.path

    @property
    def is_complete(self) -> bool:
        """Whether every byte is here, right or wrong."""
        return self._present.total_bytes == self.file.size_bytes

    @property
    def is_open(self) -> bool:
        """Whether it has bytes on disk that this transfer wrote or writes."""
        return self._placed.is_open

    @property
    def generation(self) -> int:
        """Rises each time the file begins anew."""
        return self._generation

    def survey(self) -> None:
        """Find out what of it is here already, by the journal and the disk."""
        entry = self._journal.entry(self.file)
        try:
            found = os.stat(self.path, follow_symlinks=False)
        except FileNotFoundError:
            return
        is_right_size = S_ISREG(found.st_mode) and found.st_size == self.file.size_bytes
        if entry is not None and is_right_size and entry.mtime_ns == found.st_mtime_ns:
            self.state = "whole"
            self._meter.add(self.file.size_bytes)
        elif (entry is None or entry.mtime_ns is not None) and is_right_size:
            self.state = "found"
        elif entry is not None and entry.mtime_ns is None and found.st_nlink == 1:
            self._go_on(entry, found.st_size)
        else:
            self.path.unlink()

    def _go_on(self, entry: Entry, found_bytes: int) -> None:
        """Go on with the ranges of an earlier life, as far as the file has them."""
        present = entry.present.clipped(min(found_bytes, self.file.size_bytes))
        if not present.total_bytes:
            return
        self._placed.reopen()
        self._present, self._number = present, entry.number
        self.etag = strong_etag({"etag": entry.etag or ""})
        self.state = "fetching"
        self._meter.add(present.total_bytes)

    def begin(self) -> None:
        """Make the file anew, empty and of its full size; nothing of an older one stays."""
        with self.lock:
            if self._is_closed:
                raise Superseded()
            self._forget()
            self._number = self._journal.begin(self.file)
            self._placed.create()

    def discard(self) -> None:
        """Take the file from the disk; it will be fetched from the beginning.

        What the journal has of it, or is about to get, is over too.
        """
        with self.lock:
            self._forget()
            self.state = "fetching"
            if self._number is not None:
                self._number = self._journal.begin(self.file)

    def _forget(self) -> None:
        self._generation += 1
        self._meter.add(-self._present.total_bytes)
        self._present, self._parts, self.unsynced = RangeSet(), [], []
        self.etag = self.url = None
        self.is_ranged = False
        self.digest = Digest(self.file)
        self._placed.unlink()

    def take_part(self, part_bytes: int) -> Part | None:
        """The next part to fetch, None when there is none for another connection now.

        Until the server has shown that it sends parts, a file has one connection.
        """
        with self.lock:
            if self.state != "fetching" or self._is_closed:
                return None
            if self._parts and not self.is_ranged:
                return None
            if not self.is_open:
                self.begin()
            if self.is_complete:
                return None
            taken = [(part.position, part.end) for part in self._parts]
            size_bytes = self.file.size_bytes
            if self.is_whole_only:
                wanted: Range | None = (0, size_bytes)
            else:
                wanted = next_range(self._present, taken, size_bytes, part_bytes)
            if wanted is None:
                return None
            part = Part(self, self._generation, *wanted)
            self._parts.append(part)
            return part

    def steal_part(self, steal_bytes: int) -> Part | None:
        """The second half of the longest part that somebody else fetches, if it is long enough."""
        with self.lock:
            if not self.is_ranged or self._is_closed or self.state != "fetching":
                return None
            longest = max(self._parts, key=lambda part: part.end - part.position, default=None)
            if longest is None or longest.end - longest.position < 2 * steal_bytes:
                return None
            middle = (longest.position + longest.end) // 2
            part = Part(self, self._generation, middle, longest.end)
            longest.end = middle
            self._parts.append(part)
            return part

    def give_back(self, part: Part) -> None:
        """A part is done, or given up: what is missing of it may be taken by others."""
        with self.lock:
            if part in self._parts:
                self._parts.remove(part)

    def learn(self, part: Part, url: str, etag: str | None, is_ranged: bool) -> None:
        """What an answer told of the file. Raises Superseded."""
        with self.lock:
            self._check(part.generation)
            self.url = url
            self.is_ranged = is_ranged
            if etag is not None and self.etag is None:
                self._journal.set_etag(self.file.path, etag)
                self.etag = etag

    def write(self, part: Part, data: memoryview) -> int:
        """Write what came for a part, and return how many bytes were new. Raises Superseded."""
        with self.lock:
            self._check(part.generation)
            data = data[: max(0, part.end - part.position)]
            count = len(data)
            self._placed.write(data, part.position)
            new_bytes = self._present.add(part.position, part.position + count)
            if count:
                self.unsynced.append((part.position, part.position + count))
            part.position += count
            self._meter.add(new_bytes, is_fetched=True)
            return new_bytes

    def begin_again(self, part: Part) -> None:
        """Begin anew, with the same part: for a server that cannot start in the middle."""
        with self.lock:
            self._check(part.generation)
            self.begin()
            part.generation, part.position = self._generation, 0
            self._parts.append(part)

    def copy_in(self, chunk: memoryview, generation: int) -> None:
        """Append bytes of a copy, while nobody fetches the file. Raises Superseded."""
        with self.lock:
            self._check(generation)
            at = self.digest.done_bytes
            self._placed.write(chunk, at)
            self.digest.update(chunk)
            self._present.add(at, at + len(chunk))
            self._meter.add(len(chunk))

    def sync_copy(self) -> None:
        """Wait until the copy so far is on the disk, so that no long wait piles up."""
        with self.lock:
            file_fd = self._placed.dup()
        try:
            sync_data(file_fd)
        finally:
            os.close(file_fd)

    def confirm_copy(self) -> bool:
        """Whether the copy is what the Hub says."""
        with self.lock:
            if self.digest.matches():
                self.state = "checked"
            return self.state == "checked"

    @property
    def backlog_bytes(self) -> int:
        """Bytes that can be hashed now."""
        with self.lock:
            return self._present.frontier() - self.digest.done_bytes

    @property
    def is_judgeable(self) -> bool:
        """Whether everything is here and hashed."""
        return self.is_open and self.is_complete and self.digest.done_bytes == self.file.size_bytes

    def hash_on(self, max_bytes: int, buffer: memoryview) -> None:
        """Hash what has come since, up to ``max_bytes``; for one thread at a time."""
        with self.lock:
            if not self.is_open:
                return
            digest, file_fd = self.digest, self._placed.dup()
            end = min(self._present.frontier(), digest.done_bytes + max_bytes)
        try:
            digest.read_on(file_fd, end, buffer)
        finally:
            os.close(file_fd)

    def judge(self) -> bool:
        """Whether it is what the Hub says; one that is not is taken from the disk."""
        with self.lock:
            if not self.is_judgeable or self._is_closed:
                raise Superseded()
            if self.digest.matches():
                self.state = "checked"
                return True
            self.mismatches += 1
            self.discard()
            if self.mismatches > 1:
                self.state = "untried"  # it is not fetched a third time
            return False

    def adopt(self) -> None:
        """It was put here by somebody else, and it is right."""
        with self.lock:
            if self._is_closed:
                raise Superseded()
            self._placed.adopt()
            self._present.add(0, self.file.size_bytes)
            self._meter.add(self.file.size_bytes)
            self.state = "checked"

    def sync(self) -> Synced | None:
        """Wait until what was written is on the disk, and say what that is; None for no news.

        Writers go on meanwhile.
        """
        with self.lock:
            ranges, self.unsynced = tuple(RangeSet(self.unsynced)), []
            number, is_checked = self._number, self.state == "checked"
            if not self.is_open or not (ranges or is_checked):
                return None
            file_fd = self._placed.dup()
        try:
            sync_data(file_fd)
            mtime_ns = os.fstat(file_fd).st_mtime_ns if is_checked else None
        finally:
            os.close(file_fd)
        return Synced(self.file, number, ranges, mtime_ns)

    def settle(self) -> None:
        """It is whole, and recorded as such."""
        with self.lock:
            self.state = "whole"
            self._placed.close()

    def close(self) -> None:
        """End it: late writers are turned away, and nothing is held open."""
        with self.lock:
            self._is_closed = True
            self._placed.close()

    def _check(self, generation: int) -> None:
        if self._is_closed or generation != self._generation:
            raise Superseded()
