"""The other work: what lies here already, what other programs have, and is it all right."""

from collections.abc import Callable
from pathlib import Path

from engine.errors import IntegrityFailed
from engine.hub_failures import shown
from engine.library.transfers.board import Board
from engine.library.transfers.file_transfer import FileTransfer, Superseded
from engine.library.transfers.hashing import CHUNK_BYTES, hash_matches
from engine.records import RepoFile

SLICE_BYTES = 16 * CHUNK_BYTES
Cached = Callable[[RepoFile], Path | None]


def nothing_cached(file: RepoFile) -> Path | None:
    """For those who look into no other program's cache."""
    return None


class Checker:
    """Looks at files, hashes and judges them; several threads may run ``work`` at once."""

    def __init__(self, board: Board, cached: Cached) -> None:
        self._board = board
        self._cached = cached

    def work(self) -> None:
        """Check files until all is over. Raises IntegrityFailed, or OSError of the disk."""
        buffer = memoryview(bytearray(CHUNK_BYTES))
        while (transfer := self._board.next_check()) is not None:
            try:
                self._check(transfer, buffer)
            except Superseded:
                continue
            finally:
                self._board.done_checking(transfer)

    def _check(self, transfer: FileTransfer, buffer: memoryview) -> None:
        if transfer.state == "found":
            if hash_matches(transfer.path, transfer.file, self._board.is_over):
                transfer.adopt()
            else:
                transfer.discard()
                transfer.state = "untried"
        elif transfer.state == "untried":
            self._take_from_cache(transfer, buffer)
        else:
            transfer.hash_on(SLICE_BYTES, buffer)
            if transfer.is_judgeable and not transfer.judge() and transfer.mismatches > 1:
                raise integrity_failed(transfer.file)

    def _take_from_cache(self, transfer: FileTransfer, buffer: memoryview) -> None:
        source = self._cached(transfer.file)
        if source is None or not self._copy(source, transfer, buffer):
            transfer.discard()

    def _copy(self, source: Path, transfer: FileTransfer, buffer: memoryview) -> bool:
        """Copy a file of another program; whether it was there, and the right one."""
        try:
            stream = open(source, "rb", buffering=0)
        except OSError:
            return False
        with stream:
            transfer.begin()
            generation = transfer.generation
            while transfer.digest.done_bytes < transfer.file.size_bytes:
                if self._board.is_over():
                    raise Superseded()
                try:
                    count = stream.readinto(buffer)
                except OSError:
                    return False
                if not count or count > transfer.file.size_bytes - transfer.digest.done_bytes:
                    return False
                transfer.copy_in(buffer[:count], generation)
                if transfer.digest.done_bytes % SLICE_BYTES == 0:
                    transfer.sync_copy()
            return transfer.confirm_copy()


def integrity_failed(file: RepoFile) -> IntegrityFailed:
    """A file that came twice, and was wrong twice."""
    return IntegrityFailed(
        f"“{shown(file.path)}” arrived with other content than the Hub says it has, twice.",
        "It was thrown away. Try again later, or check the network between you and the Hub.",
    )
