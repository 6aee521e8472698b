"""A connection's work: fetch a part, write it in its place, and try again when that fails."""

import time

from engine import hub_failures as failures
from engine.errors import Cancelled, EngineError, Interrupted
from engine.library.transfers.answers import Changed, TryAgain, Wanted
from engine.library.transfers.board import Board
from engine.library.transfers.connection import HubConnection
from engine.library.transfers.file_transfer import Part, Superseded
from engine.library.transfers.limits import TransferLimits
from engine.library.transfers.progress import Meter
from engine.patience import wait


class Fetcher:
    """Fetches parts off the board; several threads may run ``work`` at once."""

    def __init__(
        self, board: Board, connection: HubConnection, meter: Meter, limits: TransferLimits
    ) -> None:
        self._board = board
        self._connection = connection
        self._meter = meter
        self._limits = limits

    def work(self) -> None:
        """Fetch parts until all is over. Raises a HubError, Interrupted, or OSError of the disk."""
        writer = _Writer(self._board, self._limits)
        while (part := self._board.next_part()) is not None:
            try:
                self._fetch(part, writer)
            except Superseded:
                continue
            except (EngineError, OSError) as error:
                self._board.end(error)  # before the part is free: nobody shall ask for it again
                raise
            finally:
                self._board.give_back(part)

    def _fetch(self, part: Part, writer: "_Writer") -> None:
        failed_tries = 0
        while not part.is_done:
            wait(self._board.held_s(), self._board.is_over)
            try:
                self._stream(part, writer)
            except Changed as problem:
                return self._restart(part, problem)
            except TryAgain as problem:
                if self._board.is_over():
                    raise Cancelled() from problem
                failed_tries = 1 if part.position > part.best else failed_tries + 1
                part.best = max(part.best, part.position)
                if failed_tries >= self._limits.tries:
                    raise problem.error from problem
                self._pause(problem, failed_tries)
                part.owner.url = None
                if part.owner.is_whole_only:
                    part.owner.begin_again(part)

    def _stream(self, part: Part, writer: "_Writer") -> None:
        """Fetch as much of the part as comes. Raises TryAgain when that is not all."""
        owner = part.owner
        is_careful = owner.mismatches > 0
        wanted = Wanted(owner.file, part.position, part.end, owner.etag, is_careful)
        with self._connection.fetch(wanted, owner.url) as body:
            owner.learn(part, body.url, body.etag, body.is_ranged)
            self._board.wake()
            writer.begin(part)
            try:
                for chunk in body.chunks:
                    self._meter.hear()
                    if self._board.is_over():
                        raise Cancelled()
                    if writer.add(chunk):
                        break
            finally:
                writer.flush()
        if not part.is_done:
            name = failures.shown(owner.file.path)
            raise TryAgain(
                Interrupted(
                    f"The Hub sent less of “{name}” than it announced, again and again.",
                    "Try again later: what is here already stays.",
                )
            )

    def _restart(self, part: Part, problem: Changed) -> None:
        """The server has another version, or no parts: what is here of the file goes."""
        owner = part.owner
        with owner.lock:
            if owner.generation != part.generation:
                return  # another connection has noticed as well
            owner.restarts += 1
            if owner.restarts > self._limits.restarts:
                raise problem.error from problem
            owner.is_whole_only = owner.is_whole_only or problem.is_whole_only
            owner.discard()

    def _pause(self, problem: TryAgain, failed_tries: int) -> None:
        if problem.asked_s is not None:
            self._board.hold(problem.asked_s)
            self._meter.note("", problem.asked_s)
            wait(problem.asked_s, self._board.is_over)
            return
        if problem.is_stall:
            notice = "Stalled: no bytes for a while; reconnecting."
        else:
            notice = "The connection failed; trying again."
        self._meter.note(notice)
        if failed_tries > 1 or not (problem.is_stall or problem.is_stale):
            wait(self._limits.backoff_s(failed_tries), self._board.is_over)


class _Writer:
    """Collects the chunks of a part in one buffer, so that the disk gets fewer, larger pieces.

    Small chunks are copied and let go at once: to hold many costs more than to copy them, in
    memory that is taken and given back all the time.
    """

    def __init__(self, board: Board, limits: TransferLimits) -> None:
        self._board = board
        self._buffer_s = limits.buffer_s
        self._buffer = memoryview(bytearray(limits.buffer_bytes))
        self._held_bytes = 0
        self._written_at = 0.0

    def begin(self, part: Part) -> None:
        """What comes now is for this part; nothing is held of an earlier one."""
        self._part = part
        self._held_bytes = 0
        self._written_at = time.monotonic()

    def add(self, chunk: bytes) -> bool:
        """One more chunk; whether the part has all it needs."""
        is_large = len(chunk) > len(self._buffer) // 4
        if is_large or self._held_bytes + len(chunk) > len(self._buffer):
            self.flush()
        if is_large:
            self._write(memoryview(chunk))
        else:
            self._buffer[self._held_bytes : self._held_bytes + len(chunk)] = chunk
            self._held_bytes += len(chunk)
        is_enough = self._part.position + self._held_bytes >= self._part.end
        if is_enough or time.monotonic() - self._written_at >= self._buffer_s:
            self.flush()
        return is_enough

    def flush(self) -> None:
        """Write what is held."""
        held_bytes, self._held_bytes = self._held_bytes, 0
        if held_bytes:
            self._write(self._buffer[:held_bytes])

    def _write(self, data: memoryview) -> None:
        self._board.wrote(self._part.owner.write(self._part, data))
        self._written_at = time.monotonic()
