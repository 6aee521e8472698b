"""Small files that only their owner may read: keys, and what holds keys."""

import contextlib
import os
from pathlib import Path

_OTHERS = 0o077


def write_private(path: Path, text: str) -> None:
    """Put a file in place whole, readable by its owner alone from its first byte on.

    Raises OSError.
    """
    draft = path.with_name(f"{path.name}.{os.getpid()}.draft")
    with contextlib.suppress(FileNotFoundError):
        draft.unlink()
    try:
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    except OSError:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise


def read_private(path: Path, max_bytes: int) -> str | None:
    """A file's text, None when there is none; others lose the right to read it.

    Raises OSError when it cannot be read, and ValueError when it is too large or no text.
    """
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_mode & _OTHERS:
                os.fchmod(file.fileno(), 0o600)
            raw = file.read(max_bytes + 1)
    except FileNotFoundError:
        return None
    if len(raw) > max_bytes:
        raise ValueError("the file is too large")
    return raw.decode()
