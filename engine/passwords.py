"""The owner's password: read from a file, or made when Pomona starts."""

import secrets
from pathlib import Path

FEWEST_CHARS = 8
MOST_CHARS = 1024
_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"  # none that look alike


def read_password(path: Path) -> str:
    """The first line of a file. Raises OSError, and ValueError that says what is wrong with it."""
    with path.open("rb") as file:
        data = file.read(8 * MOST_CHARS)
    try:
        lines = data.decode("utf-8").splitlines()
    except UnicodeDecodeError:
        raise ValueError("it is not text") from None
    password = lines[0].strip() if lines else ""
    if not FEWEST_CHARS <= len(password) <= MOST_CHARS:
        raise ValueError(f"its first line has {len(password)} characters, not {FEWEST_CHARS}"
                         f" to {MOST_CHARS}")  # fmt: skip
    return password


def make_password() -> str:
    """A new one: 16 letters, 79 bits."""
    letters = "".join(secrets.choice(_LETTERS) for _ in range(16))
    return "-".join(letters[at : at + 4] for at in range(0, 16, 4))
