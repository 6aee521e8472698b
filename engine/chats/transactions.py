"""Short transactions on the file of conversations, from any thread; SQLite's errors become ours."""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from engine.errors import ChatsUnavailable

Execute = Callable[..., sqlite3.Cursor]
"""Runs a statement with its values."""


class Transactions:
    """One connection that all threads share, one at a time. Raises ChatsUnavailable."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self._lock = threading.RLock()

    def close(self) -> None:
        """End, once nobody is at it."""
        with self._lock:
            self.connection.close()

    @contextmanager
    def reading(self) -> Iterator[Execute]:
        """Look without changing anything."""
        with self._lock, _foreign_errors():
            yield lambda sql, *values: self.connection.execute(sql, values)

    @contextmanager
    def changing(self) -> Iterator[Execute]:
        """One transaction; within another one, a part of it."""
        with self._lock, _foreign_errors():
            is_outer = not self.connection.in_transaction
            if is_outer:
                self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield lambda sql, *values: self.connection.execute(sql, values)
                if is_outer:
                    self.connection.execute("COMMIT")
            finally:
                if is_outer and self.connection.in_transaction:  # it failed
                    self.connection.execute("ROLLBACK")


@contextmanager
def _foreign_errors() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        reason = "The disk is full." if "full" in str(error) else "The log has the details."
        if "disk I/O" in str(error):
            reason = "The disk refused it: it may be full."
        if "locked" in str(error):
            reason = "Another program keeps the file locked."
        raise ChatsUnavailable(
            "The chat could not be saved or read.", f"{reason} What is on the page stays there."
        ) from error
