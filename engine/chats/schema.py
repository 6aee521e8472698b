"""The file of conversations: its tables, and how it is opened, whatever its state."""

import contextlib
import logging
import sqlite3
import time
from pathlib import Path

VERSION = 1
LOCK_WAIT_S = 5.0
CHECKED_BYTES = 64_000_000  # a larger file is not read as a whole at every start
_TABLES = """
CREATE TABLE chats (
    chat_id TEXT PRIMARY KEY, title TEXT NOT NULL, is_named INTEGER NOT NULL DEFAULT 0,
    is_pinned INTEGER NOT NULL DEFAULT 0, model_id TEXT NOT NULL DEFAULT '',
    params TEXT NOT NULL DEFAULT '{}', leaf_id INTEGER, revision INTEGER NOT NULL DEFAULT 1,
    created_at REAL NOT NULL, updated_at REAL NOT NULL, deleted_at REAL
);
CREATE INDEX chats_by_time ON chats (deleted_at, is_pinned DESC, updated_at DESC);
CREATE TABLE messages (
    message_id INTEGER PRIMARY KEY AUTOINCREMENT,
    chat_id TEXT NOT NULL REFERENCES chats ON DELETE CASCADE, parent_id INTEGER,
    role TEXT NOT NULL, text TEXT NOT NULL, reasoning TEXT NOT NULL DEFAULT '',
    model_id TEXT NOT NULL DEFAULT '', details TEXT NOT NULL DEFAULT '{}',
    state TEXT NOT NULL DEFAULT 'done', created_at REAL NOT NULL
);
CREATE INDEX messages_by_chat ON messages (chat_id, parent_id);
CREATE TABLE drafts (
    message_id INTEGER PRIMARY KEY REFERENCES messages ON DELETE CASCADE,
    writer TEXT NOT NULL, text TEXT NOT NULL, reasoning TEXT NOT NULL
);
CREATE VIRTUAL TABLE said USING fts5(
    text, content='messages', content_rowid='message_id', tokenize='trigram'
);
CREATE TRIGGER said_new AFTER INSERT ON messages WHEN new.text != '' BEGIN
    INSERT INTO said (rowid, text) VALUES (new.message_id, new.text);
END;
CREATE TRIGGER said_gone AFTER DELETE ON messages WHEN old.text != '' BEGIN
    INSERT INTO said (said, rowid, text) VALUES ('delete', old.message_id, old.text);
END;
CREATE TRIGGER said_before AFTER UPDATE OF text ON messages WHEN old.text != '' BEGIN
    INSERT INTO said (said, rowid, text) VALUES ('delete', old.message_id, old.text);
END;
CREATE TRIGGER said_anew AFTER UPDATE OF text ON messages WHEN new.text != '' BEGIN
    INSERT INTO said (rowid, text) VALUES (new.message_id, new.text);
END;
"""

logger = logging.getLogger(__name__)


def open_chats(path: Path | None) -> tuple[sqlite3.Connection, str]:
    """A connection, and a sentence on what is wrong; without a usable file, one in memory.

    A damaged file is put aside under another name, and one of a newer Pomona is left as it is.
    """
    if path is None:
        return _connect(None), ""
    try:
        return _open_file(path), ""
    except _Newer:
        return _connect(None), (
            "The saved chats were written by a newer Pomona and are left untouched. "
            "Chats of today are not saved; start the newer Pomona again."
        )
    except sqlite3.OperationalError as error:
        if not _is_damage(error):
            logger.warning("%s cannot be used: %s", path, error)
            return _connect(None), (
                "The folder for chats cannot be used, so chats of today are not saved. "
                "Check that it exists, is yours, and that no other program keeps it locked."
            )
    except sqlite3.DatabaseError as error:
        logger.warning("%s is damaged: %s", path, error)
    try:
        aside = _put_aside(path)
        return _open_file(path), (
            f"The saved chats were damaged. They are kept as {aside.name}; a new list was begun."
        )
    except (sqlite3.Error, OSError) as error:
        logger.warning("%s cannot be replaced: %s", path, error)
        return _connect(None), "The saved chats are damaged, and chats of today are not saved."


class _Newer(Exception):
    """The file's version is above ours."""


def _open_file(path: Path) -> sqlite3.Connection:
    connection = _connect(path)
    with contextlib.ExitStack() as undo:
        undo.callback(connection.close)
        if path.stat().st_size <= CHECKED_BYTES:
            (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            if found != "ok":
                raise sqlite3.DatabaseError(found)
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > VERSION:
            raise _Newer
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        if version == 0:
            _create(connection)
        connection.execute("SELECT count(*) FROM chats").fetchone()
        undo.pop_all()
    return connection


def _connect(path: Path | None) -> sqlite3.Connection:
    connection = sqlite3.connect(
        ":memory:" if path is None else path,
        timeout=LOCK_WAIT_S, check_same_thread=False, isolation_level=None,
    )  # fmt: skip
    connection.execute("PRAGMA foreign_keys = ON")
    if path is None:
        _create(connection)
    return connection


def _create(connection: sqlite3.Connection) -> None:
    connection.executescript(f"BEGIN IMMEDIATE;{_TABLES};PRAGMA user_version = {VERSION};COMMIT;")


def _is_damage(error: sqlite3.OperationalError) -> bool:
    """SQLite calls some damage operational: a table that is not there, a short read."""
    text = str(error).lower()
    return any(word in text for word in ("no such table", "no such column", "malformed"))


def _put_aside(path: Path) -> Path:
    stamp = time.strftime("%Y%m%d-%H%M%S")
    aside = path.with_name(f"{path.name}.broken-{stamp}")
    number = 1
    while aside.exists():
        number += 1
        aside = path.with_name(f"{path.name}.broken-{stamp}-{number}")
    path.rename(aside)
    for suffix in ("-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            Path(f"{path}{suffix}").rename(f"{aside}{suffix}")
    return aside
