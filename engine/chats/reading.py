"""What is read of the conversations: the list, a shown path, versions of a turn, a whole tree."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

from engine.chats.records import ChatSummary, ChatTree, StoredChat, StoredMessage
from engine.chats.search import find_chats
from engine.chats.transactions import Transactions
from engine.chats.tree import path_to, versions_of
from engine.errors import ChatNotFound

LISTED = 200


class _Row(NamedTuple):
    """A conversation's own row."""

    title: str
    is_pinned: bool
    model_id: str
    params: dict[str, Any]
    revision: int
    leaf_id: int | None
    created_at: float


class ReadChats:
    """The half of ``Chats`` that changes nothing. Raises ChatNotFound and ChatsUnavailable."""

    def __init__(self, file: Transactions) -> None:
        self._file = file

    def list(self, search: str = "", limit: int = LISTED) -> tuple[ChatSummary, ...]:
        """Pinned ones first, then the newest; with ``search``, those that hold all its words."""
        with self._file.reading() as execute:
            excerpts = find_chats(self._file.connection, search, limit) if search.strip() else None
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

    def read(self, chat_id: str) -> StoredChat:
        """A conversation along its shown path."""
        with self._file.reading():
            chat = self._chat(chat_id)
            parents = self._parents(chat_id)
            path = path_to(chat.leaf_id, parents)
            versions = versions_of(path, parents)
            messages = {m.message_id: m for m in self._messages(chat_id, set(path))}
        shown = tuple(
            replace(messages[one], version=versions[one][0], versions=versions[one][1])
            for one in path
        )
        return StoredChat(
            chat_id, chat.title, chat.is_pinned, chat.model_id, chat.params, chat.revision, shown
        )

    def asked_with(self, chat_id: str) -> tuple[str, dict[str, Any]]:
        """The model that gave the last shown answer, and the settings of the last question."""
        with self._file.reading() as execute:
            chat = self._chat(chat_id)
            last = execute("SELECT model_id FROM messages WHERE message_id = ?", chat.leaf_id)
            (model_id,) = last.fetchone() or ("",)
        return model_id or chat.model_id, chat.params

    def versions(self, chat_id: str, message_id: int) -> tuple[StoredMessage, ...]:
        """All versions of a message's turn, the oldest first, wherever the shown path goes."""
        with self._file.reading():
            parents = self._parents(chat_id)
            if message_id not in parents:
                raise not_found()
            brothers = {one for one, up in parents.items() if up == parents[message_id]}
            return tuple(self._messages(chat_id, brothers))

    def tree(self, chat_id: str) -> ChatTree:
        """A conversation with every version of every turn."""
        with self._file.reading():
            chat = self._chat(chat_id)
            messages = tuple(self._messages(chat_id, set(self._parents(chat_id))))
        return ChatTree(
            chat.title, messages, chat.leaf_id, chat.model_id, chat.params, chat.created_at
        )

    def _chat(self, chat_id: str) -> _Row:
        row = self._file.connection.execute(
            "SELECT title, is_pinned, model_id, params, revision, leaf_id, created_at FROM chats"
            " WHERE chat_id = ? AND deleted_at IS NULL", (chat_id,),
        ).fetchone()  # fmt: skip
        if row is None:
            raise not_found()
        title, is_pinned, model_id, params, *rest = row
        return _Row(title, bool(is_pinned), model_id, json.loads(params), *rest)

    def _parents(self, chat_id: str) -> dict[int, int | None]:
        return dict(
            self._file.connection.execute(
                "SELECT message_id, parent_id FROM messages WHERE chat_id = ?", (chat_id,)
            ).fetchall()
        )

    def _messages(self, chat_id: str, wanted: set[int]) -> Iterator[StoredMessage]:
        for row in self._file.connection.execute(
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


def not_found() -> ChatNotFound:
    """What a person reads when a conversation or a message is gone."""
    return ChatNotFound("This chat is not there any more.", "Choose another one, or begin anew.")
