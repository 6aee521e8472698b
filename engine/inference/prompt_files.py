"""Prompts that a model has read, kept on disk for chats that are opened again later.

One file for each chat and model, in one form of it, named by what it belongs to and by the hash of
its content, so that a damaged one is found out before anything is taken from it. The files hold
what was said in a form that only the model can read; they go with the chat. What they hold can
always be read anew, so a file that is foreign, damaged or too much is simply removed.
"""

import contextlib
import hashlib
import logging
import os
import re
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

logger = logging.getLogger(__name__)

LEAST_KEPT_TOKENS = 256  # what is shorter is read anew as fast
_NAME = re.compile(r"([0-9a-f]{32})-([0-9a-f]{32})-([0-9a-f]{64})\.safetensors")
_DRAFT_SUFFIX = ".part"
_DRAFT_LIFE_S = 3600.0
_CHUNK_BYTES = 1 << 20
_LEAST_FREE_BYTES = 2_000_000_000
_LARGEST_SHARE = 4  # of the limit, that one file may take
Piece = bytes | memoryview


def files_key(*facts: object) -> str:
    """One name for a model's weights and everything else that what it has read depends on."""
    return _digest("\n".join(map(str, facts)))


class PromptFiles:
    """The files in ``folder``, at most ``limit_bytes``. Safe to call from any thread.

    Whatever changes the folder happens in turn on one thread of its own, and never raises.
    """

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        self._folder = folder
        self._limit_bytes = limit_bytes
        self._lock = threading.Lock()
        self._found: dict[tuple[str, str], tuple[Path, int]] = {}  # least recently used first
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="pomona-prompts")
        self._pending = 0

    def open(self) -> None:
        """Find what is there, and remove what is not of this folder."""
        self._in_turn(self._scan)

    @property
    def is_busy(self) -> bool:
        """Whether something is still to be written."""
        return self._pending > 0

    @property
    def size_bytes(self) -> int:
        """What all files take."""
        with self._lock:
            return sum(size for _, size in self._found.values())

    def has(self, key: str, chat_id: str) -> bool:
        """Whether there is a file for this chat."""
        with self._lock:
            return (key, _digest(chat_id)) in self._found

    def find(self, key: str, chat_id: str) -> Path | None:
        """The file of a chat, read once to be sure that it is whole; a damaged one is removed."""
        with self._lock:
            path, _ = self._found.get((key, _digest(chat_id)), (None, 0))
        if path is None:
            return None
        try:
            with path.open("rb") as file:
                is_whole = hashlib.file_digest(file, "sha256").hexdigest() == _hash_in(path)
            if is_whole:
                os.utime(path)
        except OSError:
            is_whole = False
        if not is_whole:
            logger.warning("a kept prompt is damaged and is removed")
            self.discard(path)
            return None
        self._mark_used(path)
        return path

    def keep(
        self,
        key: str,
        chat_id: str,
        pieces: Iterable[Piece],
        size_bytes: int,
        then: Callable[[], None] = lambda: None,
    ) -> None:
        """Write a chat's file anew, soon; ``then`` is called once it is written or given up."""
        if size_bytes <= self._limit_bytes // _LARGEST_SHARE:
            self._in_turn(lambda: self._write(key, _digest(chat_id), pieces, size_bytes), then)
        else:
            then()

    def discard(self, path: Path) -> None:
        """Remove one file."""
        self._in_turn(lambda: self._remove(path))

    def forget(self, chat_id: str) -> None:
        """Remove what was kept of a chat, for every model."""
        self._in_turn(lambda: self._remove_if(lambda _, chat: chat == _digest(chat_id)))

    def clear(self) -> "Future[None]":
        """Remove everything."""
        return self._in_turn(lambda: self._remove_if(lambda *_: True))

    def close(self, timeout_s: float) -> None:
        """Write what is still to be written, as far as there is time."""
        deadline = time.monotonic() + timeout_s
        while self._pending and time.monotonic() < deadline:
            time.sleep(0.02)
        self._writer.shutdown(wait=False, cancel_futures=True)

    def _in_turn(
        self, work: Callable[[], None], then: Callable[[], None] = lambda: None
    ) -> "Future[None]":
        def run() -> None:
            try:
                work()
            except OSError as error:
                logger.warning("kept prompts: %s", error.strerror or "the disk refused")
            finally:
                with self._lock:
                    self._pending -= 1
                then()

        with self._lock:
            self._pending += 1
        try:
            return self._writer.submit(run)
        except RuntimeError:  # closed already
            with self._lock:
                self._pending -= 1
            done: Future[None] = Future()
            done.set_result(None)
            return done

    def _scan(self) -> None:
        if not self._folder.is_dir():
            return
        entries = [path for path in self._folder.iterdir() if path.is_file() or path.is_symlink()]
        entries.sort(key=lambda path: path.lstat().st_mtime)
        for path in entries:
            match = _NAME.fullmatch(path.name)
            if match and not path.is_symlink():
                with self._lock:
                    older = self._found.pop((match[1], match[2]), None)
                    self._found[match[1], match[2]] = (path, path.stat().st_size)
                if older is not None:
                    older[0].unlink(missing_ok=True)
            elif path.suffix != _DRAFT_SUFFIX or _age_s(path) > _DRAFT_LIFE_S:
                path.unlink(missing_ok=True)
        self._make_room(0)

    def _write(self, key: str, chat: str, pieces: Iterable[Piece], size_bytes: int) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if shutil.disk_usage(self._folder).free - size_bytes < _LEAST_FREE_BYTES:
            logger.info("a prompt is not kept: the disk is nearly full")
            return
        self._make_room(size_bytes)
        sha = hashlib.sha256()
        descriptor, draft = tempfile.mkstemp(suffix=_DRAFT_SUFFIX, dir=self._folder)
        try:
            with os.fdopen(descriptor, "wb") as file:
                for piece in pieces:
                    for start in range(0, len(piece), _CHUNK_BYTES):
                        chunk = piece[start : start + _CHUNK_BYTES]
                        sha.update(chunk)
                        file.write(chunk)
            path = self._folder / f"{key}-{chat}-{sha.hexdigest()}.safetensors"
            os.replace(draft, path)
        finally:
            with contextlib.suppress(OSError):
                os.unlink(draft)
        with self._lock:
            older = self._found.pop((key, chat), None)
            self._found[key, chat] = (path, size_bytes)
        if older is not None and older[0] != path:
            older[0].unlink(missing_ok=True)

    def _make_room(self, size_bytes: int) -> None:
        while self.size_bytes + size_bytes > self._limit_bytes:
            with self._lock:
                oldest = next(iter(self._found.values()), None)
            if oldest is None:
                return
            self._remove(oldest[0])

    def _remove_if(self, is_meant: Callable[[str, str], bool]) -> None:
        with self._lock:
            meant = [path for names, (path, _) in self._found.items() if is_meant(*names)]
        for path in meant:
            self._remove(path)

    def _remove(self, path: Path) -> None:
        with self._lock:
            self._found = {n: found for n, found in self._found.items() if found[0] != path}
        path.unlink(missing_ok=True)

    def _mark_used(self, path: Path) -> None:
        with self._lock:
            for names, found in list(self._found.items()):
                if found[0] == path:
                    self._found[names] = self._found.pop(names)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:32]


def _hash_in(path: Path) -> str:
    match = _NAME.fullmatch(path.name)
    return match[3] if match else ""


def _age_s(path: Path) -> float:
    return time.time() - path.lstat().st_mtime
