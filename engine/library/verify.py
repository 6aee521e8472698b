"""Whether every byte of a downloaded model is what the Hub said it would be."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from engine.library.metadata import Metadata
from engine.library.transfers.hashing import hash_matches
from engine.records import RepoFile

_WORKERS = 2  # as many as a disk has use for; hashing leaves the other threads running


def wrong_paths(folder: Path, metadata: Metadata, stop: Callable[[], bool]) -> tuple[str, ...]:
    """Paths whose content is not what ``metadata`` says, in its order; () when all are whole.

    Reads every byte. Raises Cancelled once ``stop`` says so.
    """

    def is_whole(file: RepoFile) -> bool:
        path = folder / file.path
        try:
            return os.path.isfile(path) and hash_matches(path, file, stop)
        except OSError:  # cannot be read, so nobody can say that it is right
            return False

    largest_first = sorted(metadata.files, key=lambda file: -file.size_bytes)
    with ThreadPoolExecutor(_WORKERS, thread_name_prefix="verify") as pool:
        results = dict(zip(largest_first, pool.map(is_whole, largest_first), strict=True))
    return tuple(file.path for file in metadata.files if not results[file])
