"""``.pomona.json``, kept beside a model that Pomona downloaded: what it is, and how it was used.

Its presence says that the model was whole when it was put there. It is written as a new file that
takes the old one's place, so a reader sees the old one or the new one, never a part. Reading and
changing go through one open folder: when the folder is replaced by an update in between, the old
facts land in the old folder and never describe the new files.
"""

import json
import os
import stat
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath
from string import hexdigits
from typing import Any

from engine.library.usage import Usage, usage_from_json, usage_to_json
from engine.records import RepoFile

METADATA_NAME = ".pomona.json"
MAX_METADATA_BYTES = 8_000_000
MAX_FILES = 20_000
MAX_PATH_CHARS = 1_024
_MAX_FILE_BYTES = 10**15
_writing = threading.RLock()


@dataclass(frozen=True)
class Metadata:
    """A downloaded model: its repo at one commit, its files as the Hub describes them, its use."""

    repo_id: str
    revision: str
    files: tuple[RepoFile, ...]
    downloaded_at: float
    usage: Usage = Usage()

    def renewed(self, revision: str, files: tuple[RepoFile, ...], now_at: float) -> "Metadata":
        """After a repair or an update; what was measured holds for the same commit alone."""
        usage = self.usage if revision == self.revision else self.usage.unmeasured()
        return Metadata(self.repo_id, revision, files, now_at, usage)


def write_metadata(folder: Path, metadata: Metadata) -> None:
    """Put ``metadata`` beside a model, all of it or nothing. Raises OSError."""
    with _writing, _opened_folder(folder) as folder_fd:
        _write(folder_fd, metadata)


def read_metadata(folder: Path) -> Metadata | None:
    """What is kept beside a model; None when there is nothing, or nothing that makes sense."""
    try:
        with _opened_folder(folder) as folder_fd:
            return _read(folder_fd)
    except OSError:
        return None


def update_usage(folder: Path, change: Callable[[Usage], Usage]) -> Usage | None:
    """Change the usage kept beside a model and return it; None without metadata. Raises OSError."""
    with _writing, _opened_folder(folder) as folder_fd:
        metadata = _read(folder_fd)
        if metadata is None:
            return None
        usage = change(metadata.usage)
        _write(folder_fd, replace(metadata, usage=usage))
        return usage


def is_plain_path(path: str) -> bool:
    """Whether ``path`` names something inside a folder, without a way out of it."""
    if not path or len(path) > MAX_PATH_CHARS or "\\" in path or not path.isprintable():
        return False
    parts = path.split("/")
    return not PurePosixPath(path).is_absolute() and not {"", ".", ".."} & set(parts)


@contextmanager
def _opened_folder(folder: Path) -> Iterator[int]:
    try:
        folder_fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except ValueError as error:  # a NUL in the name
        raise FileNotFoundError(f"no such folder: {str(folder)[:96]!r}") from error
    try:
        yield folder_fd
    finally:
        os.close(folder_fd)


def _write(folder_fd: int, metadata: Metadata) -> None:
    raw = {
        "format": 1,
        "repo": metadata.repo_id,
        "revision": metadata.revision,
        "downloaded_at": metadata.downloaded_at,
        "files": [asdict(file) for file in metadata.files],
        "usage": usage_to_json(metadata.usage),
    }
    replace_file(folder_fd, METADATA_NAME, json.dumps(raw, indent=1).encode())


def replace_file(folder_fd: int, name: str, content: bytes) -> None:
    """Give the file ``name`` of an open folder a new content in one step. Raises OSError.

    A temporary name that a killed process left is used again: the process's own id keeps two
    running ones apart, and one thread writes at a time.
    """
    temporary = f"{name}.{os.getpid()}.tmp"
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    with _writing:
        file_fd = os.open(temporary, flags, 0o644, dir_fd=folder_fd)
        try:
            with open(file_fd, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, name, src_dir_fd=folder_fd, dst_dir_fd=folder_fd)
        except OSError:
            with suppress(OSError):
                os.unlink(temporary, dir_fd=folder_fd)
            raise
        os.fsync(folder_fd)


def read_object(folder_fd: int, name: str, max_bytes: int) -> Mapping[str, Any] | None:
    """A JSON object from a plain file of an open folder; None when it is no such thing."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a pipe must not wait
    try:
        with open(os.open(name, flags, dir_fd=folder_fd), "rb") as file:
            facts = os.fstat(file.fileno())
            if not stat.S_ISREG(facts.st_mode) or facts.st_size > max_bytes:
                return None
            value = json.loads(file.read(max_bytes + 1))
    except (OSError, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _read(folder_fd: int) -> Metadata | None:
    raw = read_object(folder_fd, METADATA_NAME, MAX_METADATA_BYTES)
    if raw is None or raw.get("format") != 1:
        return None
    repo_id, revision = raw.get("repo"), raw.get("revision")
    downloaded_at, files = raw.get("downloaded_at"), raw.get("files")
    if not isinstance(repo_id, str) or not isinstance(revision, str):
        return None
    if isinstance(downloaded_at, bool) or not isinstance(downloaded_at, int | float):
        return None
    if not abs(downloaded_at) < 1e12 or not isinstance(files, list) or len(files) > MAX_FILES:
        return None
    read = [_file_from_json(file) for file in files]
    whole = tuple(file for file in read if file is not None)
    if len(whole) != len(read) or len({file.path for file in whole}) != len(whole):
        return None
    usage = usage_from_json(raw.get("usage"))
    return Metadata(repo_id, revision, whole, float(downloaded_at), usage)


def _file_from_json(raw: Any) -> RepoFile | None:
    if not isinstance(raw, Mapping):
        return None
    path, size = raw.get("path"), raw.get("size_bytes")
    if not isinstance(path, str) or not is_plain_path(path):
        return None
    if isinstance(size, bool) or not isinstance(size, int) or not 0 <= size < _MAX_FILE_BYTES:
        return None
    git_oid, sha256 = raw.get("git_oid"), raw.get("sha256")
    if not _is_hash(git_oid, 40) or not _is_hash(sha256, 64):
        return None
    return RepoFile(path, size, git_oid, sha256)


def _is_hash(value: Any, length: int) -> bool:
    """Hexadecimal digits of the right number, or nothing known."""
    if value is None:
        return True
    return isinstance(value, str) and len(value) == length and not set(value) - set(hexdigits)
