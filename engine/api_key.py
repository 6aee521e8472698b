"""The key with which programs may ask for answers: one, made at first need, kept by the owner."""

import hmac
import logging
import secrets
import threading
from pathlib import Path

from engine.private_file import read_private, write_private

KEY_PREFIX = "pomona-"
_KEY_BYTES = 32
_MAX_FILE_BYTES = 1_000

logger = logging.getLogger(__name__)


class ApiKey:
    """Reads its file at every use, so that what one process revokes ends in all of them.

    Safe to call from any thread. Where the disk refuses, the key lasts as long as the process.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._unsaved = ""

    def reveal(self) -> str:
        """The key; a new one when there is none yet."""
        with self._lock:
            return self._read() or self._make()

    def renew(self) -> str:
        """A new key. The old one is worth nothing from now on."""
        with self._lock:
            return self._make()

    def matches(self, candidate: str) -> bool:
        """Whether this is the key, found out in a time that does not tell how nearly it is."""
        with self._lock:
            key = self._read()
        return hmac.compare_digest(key.encode(), candidate.encode()) and bool(key)

    def _read(self) -> str:
        try:
            kept = (read_private(self._path, _MAX_FILE_BYTES) or "").strip()
        except (OSError, ValueError) as error:
            logger.warning("the API key could not be read: %s", error)
            kept = ""
        return self._unsaved or (kept if kept.startswith(KEY_PREFIX) else "")

    def _make(self) -> str:
        key = KEY_PREFIX + secrets.token_urlsafe(_KEY_BYTES)
        try:
            write_private(self._path, key)
            self._unsaved = ""
        except OSError as error:
            logger.warning("the API key could not be saved: %s", error.strerror)
            self._unsaved = key
        return key
