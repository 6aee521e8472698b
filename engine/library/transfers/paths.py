"""Which names of a repo's files are safe on every disk that a models folder may be on. Pure.

A name that is safe here may still be refused by the disk; one that is not is refused before
anything is written.
"""

import unicodedata
from collections.abc import Iterable

from engine.errors import DownloadError
from engine.hub_failures import shown
from engine.records import RepoFile

MAX_PART_BYTES = 255
MAX_PATH_CHARS = 1_000
_FORBIDDEN = frozenset('\\:*?"<>|')
_DEVICES = frozenset(
    ["con", "prn", "aux", "nul", "conin$", "conout$"]
    + [f"{name}{digit}" for name in ("com", "lpt") for digit in "0123456789¹²³"]
)
_OURS = frozenset([".pomona.json", ".downloads"])


def check_files(files: Iterable[RepoFile]) -> None:
    """Raises DownloadError for a name that is not safe, or two that are one on some disks."""
    taken: dict[str, str] = {}
    folders: dict[str, str] = {}
    for file in files:
        if complaint := _complaint(file.path):
            raise refused(file.path, complaint)
        if file.size_bytes < 0:
            raise refused(file.path, "its size is below zero")
        folded = _folded(file.path)
        if folded in taken or folded in folders:
            other = taken.get(folded) or folders[folded]
            raise refused(file.path, f"on many disks it is the same as “{shown(other)}”")
        taken[folded] = file.path
        parts = file.path.split("/")
        for depth in range(1, len(parts)):
            folder = "/".join(parts[:depth])
            known = folders.setdefault(_folded(folder), folder)
            if known != folder or _folded(folder) in taken:
                raise refused(file.path, "another file's name is in its way")


def refused(path: str, why: str) -> DownloadError:
    """A file that is not to be written under the name it has."""
    return DownloadError(
        f"The model has a file named “{shown(path)}”, which is not safe to save: {why}.",
        "Nothing was written. Choose another copy of this model.",
    )


def _complaint(path: str) -> str:
    if not path or len(path) > MAX_PATH_CHARS:
        return "the name is empty or too long"
    for part in path.split("/"):
        if part in ("", ".", ".."):
            return "it would leave its folder"
        if not part.isprintable() or _FORBIDDEN & set(part) or _is_surrogate(part):
            return "it has characters that no file name may have"
        if len(part.encode()) > MAX_PART_BYTES:
            return "the name is too long"
        if part.endswith((".", " ")) or part.startswith(" "):
            return "it begins or ends with a character that disks drop"
        if part.split(".")[0].rstrip().lower() in _DEVICES or part.lower() in _OURS:
            return "the name is reserved"
    return ""


def _is_surrogate(part: str) -> bool:
    return any("\ud800" <= char <= "\udfff" for char in part)


def _folded(path: str) -> str:
    """What a disk that ignores case and the ways to write an accent makes of a name."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())
