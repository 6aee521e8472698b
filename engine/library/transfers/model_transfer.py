"""A model's files, fetched at one commit into a folder, whole and verified, or gone on with later.

::

    <folder>/lock              held while it runs
    <folder>/journal           what of the files is on disk
    <folder>/files/<path>      the files, in place and of full size from the beginning
"""

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from engine.errors import Cancelled, DownloadError, EngineError
from engine.library.folder_lock import FolderLock
from engine.library.transfers.board import Board
from engine.library.transfers.checking import Cached, Checker, nothing_cached
from engine.library.transfers.connection import HubConnection, Origin
from engine.library.transfers.disk import disk_errors, folder_gone, sync_folder
from engine.library.transfers.fetching import Fetcher
from engine.library.transfers.file_transfer import FileTransfer
from engine.library.transfers.journal import Journal, Synced, identity_of, read_journal
from engine.library.transfers.limits import TransferLimits
from engine.library.transfers.paths import check_files
from engine.library.transfers.progress import Meter, TransferProgress
from engine.records import RepoFile

FILES_NAME = "files"
_JOIN_S = 0.1


class ModelTransfer:
    """Fetches one model's files at one commit into ``folder/files``; runs once."""

    def __init__(
        self,
        folder: Path,
        repo_id: str,
        revision: str,
        files: Sequence[RepoFile],
        origin: Origin,
        *,
        cached: Cached = nothing_cached,
        limits: TransferLimits | None = None,
    ) -> None:
        self._folder = folder
        self._repo_id = repo_id
        self._revision = revision
        self._files = tuple(files)
        self._origin = origin
        self._cached = cached
        self._limits = limits or TransferLimits()
        self._meter = Meter(sum(file.size_bytes for file in files), self._limits.stall_s)
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._board: Board | None = None
        self._connection: HubConnection | None = None

    def progress(self) -> TransferProgress:
        """How far it is; made anew at most ten times a second."""
        return self._meter.progress()

    def stop(self) -> None:
        """End ``run`` within a second, from any thread; what is here stays for the next one."""
        self._stopped.set()
        with self._lock:
            if self._board is not None:
                self._board.end(Cancelled())
            if self._connection is not None:
                self._connection.hang_up()

    def run(self) -> None:
        """Return when every file is whole and verified.

        Raises Cancelled after ``stop``; InsufficientDisk, IntegrityFailed, Interrupted or a plain
        DownloadError; Offline, Gated, RepoNotFound, RateLimited, HubBroken or a plain HubError.
        """
        check_files(self._files)
        with disk_errors(self._folder, lambda: self._meter.missing_bytes):
            self._folder.mkdir(exist_ok=True)
            lock = FolderLock(self._folder)
            if not lock.acquire():
                raise DownloadError(
                    "This model is being downloaded by another Pomona already.",
                    "Wait until that one is done, or close it.",
                )
            try:
                self._run_locked(lock)
            finally:
                lock.release()

    def _run_locked(self, lock: FolderLock) -> None:
        place = self._folder / FILES_NAME
        place.mkdir(exist_ok=True)
        journal = Journal(self._folder, self._revision)
        transfers = [FileTransfer(f, place, journal, self._meter) for f in self._files]
        with contextlib.ExitStack() as stack:
            stack.callback(journal.close)
            for transfer in transfers:
                stack.callback(transfer.close)
                transfer.survey()
                if transfer.state == "untried" and self._cached is nothing_cached:
                    transfer.state = "fetching"
            wanted = [transfer for transfer in transfers if transfer.state != "whole"]
            if wanted:
                self._transfer(wanted, journal, lock)
            for folder in {transfer.path.parent for transfer in transfers} | {place, self._folder}:
                sync_folder(folder)
            if not lock.is_held():
                raise folder_gone()

    def _transfer(
        self, transfers: Sequence[FileTransfer], journal: Journal, lock: FolderLock
    ) -> None:
        board = Board(transfers, self._limits)
        connection = HubConnection(self._origin, self._repo_id, self._revision, self._limits)
        with self._lock:
            self._board, self._connection = board, connection
        if self._stopped.is_set():
            board.end(Cancelled())
        fetcher = Fetcher(board, connection, self._meter, self._limits)
        checker = Checker(board, self._cached)
        works = [fetcher.work] * self._limits.connections + [checker.work] * self._limits.hashers
        threads = [
            threading.Thread(target=_do, args=(work, board), daemon=True, name="transfer")
            for work in works
        ]
        self._meter.start()
        for thread in threads:
            thread.start()
        try:
            while not board.is_over():
                board.ledger.wait_until_due()
                _flush(board, journal)
                if not lock.is_held():
                    board.end(folder_gone())
        finally:
            board.end()
            _dismiss(threads, connection, self._limits.leave_s)
            self._meter.finish()
        _finish(board, journal)


def _do(work: Callable[[], None], board: Board) -> None:
    """Work, and end the whole transfer when that fails, in whatever way."""
    failure: BaseException | None = DownloadError(
        "The download stopped because of a mistake in Pomona.", "Resume it; the log says more."
    )
    try:
        work()
        failure = None
    except (EngineError, OSError, Cancelled) as error:
        failure = error
    finally:
        if failure is not None:
            board.end(failure)


def _dismiss(
    threads: Sequence[threading.Thread], connection: HubConnection, leave_s: float
) -> None:
    """Send everybody home, and close the connection behind the last one.

    Who asks for a name's address cannot be woken: such a one is not waited for, and finds the
    files closed.
    """
    end_at = time.monotonic() + leave_s
    for thread in threads:
        while thread.is_alive() and time.monotonic() < end_at:
            connection.hang_up()
            thread.join(_JOIN_S)
    if any(thread.is_alive() for thread in threads):
        threading.Thread(target=_see_off, args=(threads, connection), daemon=True).start()
    else:
        connection.close()


def _see_off(threads: Sequence[threading.Thread], connection: HubConnection) -> None:
    for thread in threads:
        while thread.is_alive():
            connection.hang_up()
            thread.join(1.0)
    connection.close()


def _flush(board: Board, journal: Journal) -> None:
    """Sync what was written, then record it. Raises OSError."""
    unsynced_bytes = board.ledger.unsynced_bytes
    synced: list[tuple[FileTransfer, Synced]] = []
    for transfer in board.active:
        if (news := transfer.sync()) is not None:
            synced.append((transfer, news))
    journal.record(news for _, news in synced)
    board.ledger.synced(unsynced_bytes)
    for transfer, news in synced:
        if news.mtime_ns is not None:
            board.settle(transfer)


def _finish(board: Board, journal: Journal) -> None:
    """Record what came last, and raise what ended the transfer if it is not whole."""
    failure = board.errors[0] if board.errors else None
    try:
        _flush(board, journal)
    except OSError:
        if failure is None:
            raise
    if isinstance(failure, OSError):
        journal.free_ballast()  # whoever writes down that the disk is full needs room as well
    if failure is not None:
        raise failure


def present_bytes(folder: Path, files: Sequence[RepoFile]) -> int:
    """Bytes that a transfer into ``folder`` would not fetch again, as far as its journal knows.

    A file that somebody else put there counts by its size. Reads no content; 0 for no folder.
    """
    try:
        entries = read_journal(folder).entries
    except OSError:
        return 0
    total_bytes = 0
    for file in files:
        try:
            found_bytes = (folder / FILES_NAME / file.path).stat(follow_symlinks=False).st_size
        except (OSError, ValueError):
            continue
        entry = entries.get(file.path)
        if entry is None or entry.identity != identity_of(file) or entry.mtime_ns is not None:
            total_bytes += file.size_bytes if found_bytes == file.size_bytes else 0
        else:
            total_bytes += entry.present.clipped(min(found_bytes, file.size_bytes)).total_bytes
    return total_bytes
