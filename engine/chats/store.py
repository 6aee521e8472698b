"""The store of conversations: one SQLite file, short transactions, nothing overwritten unseen."""

import json
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from engine.chats.records import ChatSummary, MessageState, StoredChat, StoredMessage, Written
from engine.chats.schema import open_chats
from engine.chats.search import find_chats
from engine.chats.titles import UNTITLED, make_title, shorten
from engine.chats.tree import newest_below, path_to, versions_of
from engine.errors import ChatChanged, ChatNotFound, ChatsUnavailable
from engine.records import Role

LISTED = 200
UNDO_S = 3600.0  # what was deleted earlier than this is gone for good at the next start


class Chats:
    """Conversations in ``path``, or in memory alone without one. Safe to call from any thread.

    Changes take the ``revision`` that their author has seen and raise ChatChanged when there is a
    newer one, ChatNotFound when the conversation is gone, ChatsUnavailable when the disk refuses.
    """

    def __init__(self, path: Path | None, now_at: Callable[[], float] = time.time) -> None:
        self._now_at = now_at
        self._lock = threading.RLock()
        self._writer = secrets.token_hex(8)
        self._connection, self.problem = open_chats(path)
        with self._changing() as execute:
            execute(
                "UPDATE messages SET state = 'cut', text = d.text, reasoning = d.reasoning"
                " FROM drafts d WHERE d.message_id = messages.message_id",
            )
            execute("DELETE FROM drafts")
            execute("UPDATE messages SET state = 'cut' WHERE state = 'writing'")
            execute("DELETE FROM chats WHERE deleted_at < ?", self._now_at() - UNDO_S)

    def close(self) -> None:
        """End; answers being written count as cut at the next start."""
        with self._lock:
            self._connection.close()

    def list(self, search: str = "", limit: int = LISTED) -> tuple[ChatSummary, ...]:
        """Pinned ones first, then the newest; with ``search``, those that hold all its words."""
        with self._reading() as execute:
            excerpts = find_chats(self._connection, search, limit) if search.strip() else None
            picked = (
                "" if excerpts is None else f" AND chat_id IN ({','.join('?' * len(excerpts))})"
            )
            rows = execute(
                "SELECT chat_id, title, is_pinned, updated_at FROM chats WHERE deleted_at IS NULL"
                f"{picked} ORDER BY is_pinned DESC, updated_at DESC LIMIT ?",
                *(excerpts or ()), limit,
            ).fetchall()  # fmt: skip
        return tuple(
            ChatSummary(chat_id, title, bool(pinned), at, (excerpts or {}).get(chat_id, ""))
            for chat_id, title, pinned, at in rows
        )

    def create(self, model_id: str = "", title: str = "") -> Written:
        """Begin a conversation. A given title is not replaced by one made from what is said."""
        chat_id, now_at = secrets.token_urlsafe(12), self._now_at()
        with self._changing() as execute:
            execute(
                "INSERT INTO chats (chat_id, title, is_named, model_id, created_at, updated_at)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                chat_id, shorten(title) or UNTITLED, bool(title.strip()), model_id, now_at, now_at,
            )  # fmt: skip
        return Written(chat_id, 1)

    def read(self, chat_id: str) -> StoredChat:
        """A conversation along its shown path."""
        with self._reading() as execute:
            row = execute(
                "SELECT title, is_pinned, model_id, params, revision, leaf_id FROM chats"
                " WHERE chat_id = ? AND deleted_at IS NULL", chat_id,
            ).fetchone()  # fmt: skip
            if row is None:
                raise _not_found()
            parents = self._parents(chat_id)
            path = path_to(row[5], parents)
            versions = versions_of(path, parents)
            messages = {m.message_id: m for m in self._messages(chat_id, set(path))}
        shown = tuple(
            replace(messages[one], version=versions[one][0], versions=versions[one][1])
            for one in path
        )
        return StoredChat(
            chat_id, row[0], bool(row[1]), row[2], json.loads(row[3]), row[4], shown
        )  # fmt: skip

    def versions(self, chat_id: str, message_id: int) -> tuple[StoredMessage, ...]:
        """All versions of a message's turn, the oldest first, wherever the shown path goes."""
        with self._reading():
            parents = self._parents(chat_id)
            if message_id not in parents:
                raise _not_found()
            brothers = {one for one, up in parents.items() if up == parents[message_id]}
            return tuple(self._messages(chat_id, brothers))

    def add(
        self, chat_id: str, revision: int, parent_id: int | None, role: Role, text: str,
        state: MessageState = "done", model_id: str = "", details: Mapping[str, Any] | None = None,
        reasoning: str = "",
    ) -> Written:  # fmt: skip
        """Put a message under another one, None at the very beginning, and show it.

        Under a message that has others below it, this makes a new version of that turn.
        """
        with self._changing() as execute:
            self._check(chat_id, revision)
            if parent_id is not None and parent_id not in self._parents(chat_id):
                raise _not_found()
            message_id = execute(
                "INSERT INTO messages (chat_id, parent_id, role, text, reasoning, model_id,"
                " details, state, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                chat_id, parent_id, role, text, reasoning, model_id,
                json.dumps(dict(details or {})), state, self._now_at(),
            ).lastrowid or 0  # fmt: skip
            return self._show(chat_id, message_id)

    def begin_answer(
        self, chat_id: str, revision: int, parent_id: int, model_id: str, params: Mapping[str, Any]
    ) -> Written:
        """Make room for an answer to ``parent_id``; it is "writing" until it is finished."""
        with self._changing() as execute:
            written = self.add(
                chat_id, revision, parent_id, "assistant", "", "writing", model_id
            )  # fmt: skip
            execute(
                "UPDATE chats SET model_id = ?, params = ? WHERE chat_id = ?",
                model_id, json.dumps(dict(params)), chat_id,
            )  # fmt: skip
            return written

    def resume_answer(self, chat_id: str, revision: int, message_id: int) -> Written:
        """Let an answer be written on from where it ended."""
        with self._changing() as execute:
            self._check(chat_id, revision)
            execute(
                "UPDATE messages SET state = 'writing' WHERE message_id = ? AND chat_id = ?",
                message_id, chat_id,
            )  # fmt: skip
            return self._show(chat_id, message_id)

    def save_draft(self, message_id: int, text: str, reasoning: str = "") -> None:
        """What there is of an answer so far; the newest draft is what a crash leaves."""
        with self._changing() as execute:
            execute(
                "INSERT OR REPLACE INTO drafts VALUES (?, ?, ?, ?)",
                message_id, self._writer, text, reasoning,
            )  # fmt: skip

    def finish_answer(
        self, message_id: int, text: str, reasoning: str = "",
        details: Mapping[str, Any] | None = None, state: MessageState = "done",
    ) -> Written:  # fmt: skip
        """The answer as it ended. The conversation gets a title if it has none."""
        with self._changing() as execute:
            execute(
                "UPDATE messages SET text = ?, reasoning = ?, details = ?, state = ?"
                " WHERE message_id = ?",
                text, reasoning, json.dumps(dict(details or {})), state, message_id,
            )  # fmt: skip
            execute("DELETE FROM drafts WHERE message_id = ?", message_id)
            row = execute(
                "SELECT c.chat_id, c.is_named, p.text FROM messages m"
                " JOIN chats c ON c.chat_id = m.chat_id"
                " LEFT JOIN messages p ON p.message_id = m.parent_id WHERE m.message_id = ?",
                message_id,
            ).fetchone()  # fmt: skip
            if row is None:
                raise _not_found()
            if not row[1]:
                execute(
                    "UPDATE chats SET title = ?, is_named = 1 WHERE chat_id = ?",
                    make_title(row[2] or "", text), row[0],
                )  # fmt: skip
            return Written(row[0], self._touch(row[0]), message_id)

    def choose(self, chat_id: str, revision: int, message_id: int) -> Written:
        """Show a version of a turn, with the newest of what followed it."""
        with self._changing():
            self._check(chat_id, revision)
            parents = self._parents(chat_id)
            if message_id not in parents:
                raise _not_found()
            return self._show(chat_id, newest_below(message_id, parents))

    def rename(self, chat_id: str, title: str) -> None:
        """Give a title; an empty one changes nothing."""
        if title.strip():
            self._set(chat_id, "title = ?, is_named = 1", shorten(title, 200))

    def pin(self, chat_id: str, is_pinned: bool) -> None:
        """Keep a conversation at the top, or no longer."""
        self._set(chat_id, "is_pinned = ?", is_pinned)

    def delete(self, chat_id: str) -> None:
        """Take a conversation off the list; UNDO_S long that can be undone."""
        self._set(chat_id, "deleted_at = ?", self._now_at())

    def undo_delete(self, chat_id: str) -> None:
        """Bring a deleted conversation back."""
        self._set(chat_id, "deleted_at = ?", None)

    def _set(self, chat_id: str, change: str, *values: object) -> None:
        with self._changing() as execute:
            if not execute(
                f"UPDATE chats SET {change} WHERE chat_id = ?", *values, chat_id
            ).rowcount:  # fmt: skip
                raise _not_found()

    def _check(self, chat_id: str, revision: int) -> None:
        row = self._connection.execute(
            "SELECT revision FROM chats WHERE chat_id = ? AND deleted_at IS NULL", (chat_id,)
        ).fetchone()
        if row is None:
            raise _not_found()
        if row[0] != revision:
            raise ChatChanged(
                "This chat was changed in another tab.",
                "It is shown as it is now; your message was kept, send it again.",
            )

    def _show(self, chat_id: str, leaf_id: int) -> Written:
        self._connection.execute(
            "UPDATE chats SET leaf_id = ? WHERE chat_id = ?", (leaf_id, chat_id)
        )
        return Written(chat_id, self._touch(chat_id), leaf_id)

    def _touch(self, chat_id: str) -> int:
        (revision,) = self._connection.execute(
            "UPDATE chats SET revision = revision + 1, updated_at = ? WHERE chat_id = ?"
            " RETURNING revision", (self._now_at(), chat_id),
        ).fetchone()  # fmt: skip
        return int(revision)

    def _parents(self, chat_id: str) -> dict[int, int | None]:
        return dict(
            self._connection.execute(
                "SELECT message_id, parent_id FROM messages WHERE chat_id = ?", (chat_id,)
            ).fetchall()
        )

    def _messages(self, chat_id: str, wanted: set[int]) -> Iterator[StoredMessage]:
        for row in self._connection.execute(
            "SELECT m.message_id, role, coalesce(d.text, m.text),"
            " coalesce(d.reasoning, m.reasoning), model_id, details, state, created_at, parent_id"
            " FROM messages m LEFT JOIN drafts d ON d.message_id = m.message_id"
            " WHERE chat_id = ? ORDER BY m.message_id", (chat_id,),
        ).fetchall():  # fmt: skip
            if row[0] in wanted:
                yield StoredMessage(
                    row[0], row[1], row[2], row[3], row[4], json.loads(row[5]), row[6],
                    created_at=row[7], parent_id=row[8],
                )  # fmt: skip

    @contextmanager
    def _reading(self) -> Iterator[Callable[..., sqlite3.Cursor]]:
        with self._lock, _foreign_errors():
            yield lambda sql, *values: self._connection.execute(sql, values)

    @contextmanager
    def _changing(self) -> Iterator[Callable[..., sqlite3.Cursor]]:
        """One transaction; within another one, a part of it."""
        with self._lock, _foreign_errors():
            is_outer = not self._connection.in_transaction
            if is_outer:
                self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield lambda sql, *values: self._connection.execute(sql, values)
            except BaseException:
                if is_outer and self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
            if is_outer:
                self._commit()

    def _commit(self) -> None:
        try:
            self._connection.execute("COMMIT")
        except sqlite3.Error:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise


@contextmanager
def _foreign_errors() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        reason = "The disk is full." if "full" in str(error) else "The log has the details."
        if "locked" in str(error):
            reason = "Another program keeps the file locked."
        raise ChatsUnavailable(
            "The chat could not be saved or read.", f"{reason} What is on the page stays there."
        ) from error


def _not_found() -> ChatNotFound:
    return ChatNotFound("This chat is not there any more.", "Choose another one, or begin anew.")
