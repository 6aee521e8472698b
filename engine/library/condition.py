"""Whether a downloaded model's files are as they were put there, as far as names and sizes say.

People mend templates and settings by hand, so a text whose size has changed is no damage while it
can still be read. Anything else that is missing or of another size is.
"""

import os
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from engine.errors import EngineError
from engine.library.folder import read_json
from engine.library.metadata import Metadata
from engine.records import RepoFile

REPAIR_HINT = "Press Repair in Manage: only what is wrong is fetched again."
_PAPERS = ("readme", "license", "licence", "notice", "copying", "use_policy")
_PAPER_SUFFIXES = (".md", ".pdf", ".png", ".jpg")


def find_problem(
    folder: Path, metadata: Metadata, known_sizes: Mapping[str, int] | None = None
) -> str:
    """A sentence on what is wrong, empty when nothing is.

    ``known_sizes`` are sizes by path that the caller has at hand.
    """
    sizes = known_sizes or {}
    wrong = []
    for file in metadata.files:
        size = sizes.get(file.path)
        found = _fault(folder, file, _size_bytes(folder / file.path) if size is None else size)
        if found:
            wrong.append(found)
    if not wrong:
        return ""
    if len(wrong) == 1:
        return f"{wrong[0]}."
    others = len(wrong) - 1
    return f"{wrong[0]}, and {others} more {'files are' if others > 1 else 'file is'} not whole."


def is_paper(path: str) -> bool:
    """Whether a file is there for people to read, and no model needs it."""
    name = PurePosixPath(path).name.lower()
    return name.startswith(_PAPERS) or name.endswith(_PAPER_SUFFIXES)


def _fault(folder: Path, file: RepoFile, size_bytes: int | None) -> str:
    if size_bytes == file.size_bytes or is_paper(file.path):
        return ""
    shown = file.path[:120]
    if size_bytes is None:
        return f"{shown} is missing"
    if size_bytes and _is_readable_text(folder / file.path):
        return ""
    return f"{shown} is {size_bytes:,} bytes long instead of {file.size_bytes:,}"


def _is_readable_text(path: Path) -> bool:
    if path.suffix == ".jinja":
        return True
    try:
        return path.suffix == ".json" and isinstance(read_json(path), dict | list)
    except EngineError:
        return False


def _size_bytes(path: Path) -> int | None:
    try:
        return path.stat().st_size if os.path.isfile(path) else None
    except OSError:
        return None
