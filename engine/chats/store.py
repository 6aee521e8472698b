"""The store of conversations: one SQLite file, short transactions, nothing overwritten unseen."""

import json
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.chats.planting import plant_messages
from engine.chats.reading import ReadChats, not_found
from engine.chats.records import ChatTree, MessageState, Written
from engine.chats.schema import open_chats
from engine.chats.titles import UNTITLED, make_title, shorten
from engine.chats.transactions import Transactions
from engine.chats.tree import below, children_of, newest_below
from engine.errors import ChatChanged
from engine.records import Role

UNDO_S = 3600.0  # what was deleted earlier than this is gone for good at the next start


class Chats(ReadChats):
    """Conversations in ``path``, or in memory alone without one. Safe to call from any thread.

    Changes take the ``revision`` that their author has seen and raise ChatChanged when there is a
    newer one, ChatNotFound when the conversation is gone, ChatsUnavailable when the disk refuses.
    """

    def __init__(self, path: Path | None, now_at: Callable[[], float] = time.time) -> None:
        connection, self.problem = open_chats(path)
        super().__init__(Transactions(connection))
        self._now_at = now_at
        self.is_on_disk = path is not None
        self._writer = secrets.token_hex(8)
        with self._file.changing() as execute:
            execute(
                "UPDATE messages SET state = 'cut', text = d.text, reasoning = d.reasoning"
                " FROM drafts d WHERE d.message_id = messages.message_id",
            )
            execute("DELETE FROM drafts")
            execute("UPDATE messages SET state = 'cut' WHERE state = 'writing'")
            execute("DELETE FROM chats WHERE deleted_at < ?", self._now_at() - UNDO_S)

    def close(self) -> None:
        """End; answers being written count as cut at the next start."""
        self._file.close()

    def create(self, model_id: str = "", title: str = "") -> Written:
        """Begin a conversation. A given title is not replaced by one made from what is said."""
        chat_id, now_at = secrets.token_urlsafe(12), self._now_at()
        with self._file.changing() as execute:
            execute(
                "INSERT INTO chats (chat_id, title, is_named, model_id, created_at, updated_at)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                chat_id, shorten(title) or UNTITLED, bool(title.strip()), model_id, now_at, now_at,
            )  # fmt: skip
        return Written(chat_id, 1)

    def plant(self, tree: ChatTree) -> Written:
        """Begin a conversation that holds all of a tree, or, when the disk refuses, nothing."""
        with self._file.changing() as execute:
            chat_id = self.create(tree.model_id, tree.title).chat_id
            leaf_id = plant_messages(self._file.connection, chat_id, tree)
            execute(
                "UPDATE chats SET leaf_id = ?, params = ?, created_at = ? WHERE chat_id = ?",
                leaf_id, json.dumps(tree.params), tree.created_at or self._now_at(), chat_id,
            )  # fmt: skip
            return Written(chat_id, self._touch(chat_id), leaf_id or 0)

    def plant_all(self, trees: Sequence[ChatTree]) -> tuple[Written, ...]:
        """Begin a conversation for each tree, or, when the disk refuses, none."""
        with self._file.changing():
            return tuple(self.plant(tree) for tree in trees)

    def add(
        self, chat_id: str, revision: int, parent_id: int | None, role: Role, text: str,
        state: MessageState = "done", model_id: str = "", details: Mapping[str, Any] | None = None,
        reasoning: str = "",
    ) -> Written:  # fmt: skip
        """Put a message under another one, None at the very beginning, and show it.

        Under a message that has others below it, this makes a new version of that turn.
        """
        with self._file.changing() as execute:
            self._check(chat_id, revision)
            if parent_id is not None and parent_id not in self._parents(chat_id):
                raise not_found()
            message_id = execute(
                "INSERT INTO messages (chat_id, parent_id, role, text, reasoning, model_id,"
                " details, state, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                chat_id, parent_id, role, text, reasoning, model_id,
                json.dumps(dict(details or {})), state, self._now_at(),
            ).lastrowid or 0  # fmt: skip
            if role == "user":  # until the first answer is whole, and makes a better one
                execute(
                    "UPDATE chats SET title = ? WHERE chat_id = ? AND title = ? AND NOT is_named",
                    make_title(text), chat_id, UNTITLED,
                )  # fmt: skip
            return self._show(chat_id, message_id)

    def begin_answer(
        self, chat_id: str, revision: int, parent_id: int, model_id: str, params: Mapping[str, Any]
    ) -> Written:
        """Make room for an answer to ``parent_id``; it is "writing" until it is finished."""
        with self._file.changing() as execute:
            written = self.add(
                chat_id, revision, parent_id, "assistant", "", "writing", model_id
            )  # fmt: skip
            execute(
                "UPDATE chats SET model_id = ?, params = ? WHERE chat_id = ?",
                model_id, json.dumps(dict(params)), chat_id,
            )  # fmt: skip
            return written

    def begin_answers(
        self, chat_id: str, revision: int, parent_id: int, model_ids: Sequence[str],
        params: Mapping[str, Any],
    ) -> tuple[Written, ...]:  # fmt: skip
        """Make room for an answer of each model, versions of one turn; all of them or none."""
        with self._file.changing():
            places: list[Written] = []
            for model_id in model_ids:
                seen = places[-1].revision if places else revision
                places.append(self.begin_answer(chat_id, seen, parent_id, model_id, params))
            return tuple(places)

    def resume_answer(self, chat_id: str, revision: int, message_id: int) -> Written:
        """Let an answer be written on from where it ended."""
        with self._file.changing() as execute:
            self._check(chat_id, revision)
            execute(
                "UPDATE messages SET state = 'writing' WHERE message_id = ? AND chat_id = ?",
                message_id, chat_id,
            )  # fmt: skip
            return self._show(chat_id, message_id)

    def save_draft(self, message_id: int, text: str, reasoning: str = "") -> None:
        """What there is of an answer so far; the newest draft is what a crash leaves."""
        with self._file.changing() as execute:
            execute(
                "INSERT OR REPLACE INTO drafts VALUES (?, ?, ?, ?)",
                message_id, self._writer, text, reasoning,
            )  # fmt: skip

    def finish_answer(
        self, message_id: int, text: str, reasoning: str = "",
        details: Mapping[str, Any] | None = None, state: MessageState = "done",
    ) -> Written:  # fmt: skip
        """The answer as it ended. The conversation gets a title if it has none."""
        with self._file.changing() as execute:
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
                raise not_found()
            if not row[1]:
                execute(
                    "UPDATE chats SET title = ?, is_named = 1 WHERE chat_id = ?",
                    make_title(row[2] or "", text), row[0],
                )  # fmt: skip
            return Written(row[0], self._touch(row[0]), message_id)

    def take_back(self, chat_id: str, revision: int, message_id: int) -> Written | None:
        """Remove a message with all that followed it; None when nothing is left and all is gone.

        Another version of its turn is shown instead, the newest, or what stood before it.
        """
        with self._file.changing() as execute:
            self._check(chat_id, revision)
            parents = self._parents(chat_id)
            if message_id not in parents:
                raise not_found()
            gone = below(message_id, parents)
            execute(f"DELETE FROM messages WHERE message_id IN ({','.join(map(str, gone))})")
            rest = {one: up for one, up in parents.items() if one not in gone}
            if not rest:
                execute("DELETE FROM chats WHERE chat_id = ?", chat_id)
                return None
            brothers = children_of(rest.items())[parents[message_id]]
            leaf = newest_below(brothers[-1], rest) if brothers else parents[message_id]
            return self._show(chat_id, leaf or 0)

    def choose(self, chat_id: str, revision: int, message_id: int) -> Written:
        """Show a version of a turn, with the newest of what followed it."""
        with self._file.changing():
            self._check(chat_id, revision)
            parents = self._parents(chat_id)
            if message_id not in parents:
                raise not_found()
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
        with self._file.changing() as execute:
            if not execute(
                f"UPDATE chats SET {change} WHERE chat_id = ?", *values, chat_id
            ).rowcount:  # fmt: skip
                raise not_found()

    def _check(self, chat_id: str, revision: int) -> None:
        row = self._file.connection.execute(
            "SELECT revision FROM chats WHERE chat_id = ? AND deleted_at IS NULL", (chat_id,)
        ).fetchone()
        if row is None:
            raise not_found()
        if row[0] != revision:
            raise ChatChanged(
                "This chat was changed in another tab.",
                "It is shown as it is now; your message was kept, send it again.",
            )

    def _show(self, chat_id: str, leaf_id: int) -> Written:
        self._file.connection.execute(
            "UPDATE chats SET leaf_id = ? WHERE chat_id = ?", (leaf_id, chat_id)
        )
        return Written(chat_id, self._touch(chat_id), leaf_id)

    def _touch(self, chat_id: str) -> int:
        (revision,) = self._file.connection.execute(
            "UPDATE chats SET revision = revision + 1, updated_at = ? WHERE chat_id = ?"
            " RETURNING revision", (self._now_at(), chat_id),
        ).fetchone()  # fmt: skip
        return int(revision)
