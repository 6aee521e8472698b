"""What is read from the store of conversations: frozen records."""

from dataclasses import dataclass, field
from typing import Any, Literal

from engine.records import Role

MessageState = Literal["done", "writing", "cut"]


@dataclass(frozen=True)
class ChatSummary:
    """One line of the list. ``excerpt`` is what a search found in it. Times are Unix seconds."""

    chat_id: str
    title: str
    is_pinned: bool
    updated_at: float
    excerpt: str = ""


@dataclass(frozen=True)
class StoredMessage:
    """A message on the shown path. ``version`` of ``versions`` counts from 1.

    ``details`` of an answer are its figures and what it was made with, as JSON values. "cut" is an
    answer whose writer died.
    """

    message_id: int
    role: Role
    text: str
    reasoning: str = ""
    model_id: str = ""
    details: dict[str, Any] = field(default_factory=dict)
    state: MessageState = "done"
    version: int = 1
    versions: int = 1
    created_at: float = 0.0
    parent_id: int | None = None


@dataclass(frozen=True)
class StoredChat:
    """A conversation as it is shown: one path through the tree of its messages.

    ``revision`` rises with every change; a writer says which one it has seen. ``params`` are the
    settings it was last asked with, as JSON values.
    """

    chat_id: str
    title: str
    is_pinned: bool
    model_id: str
    params: dict[str, Any]
    revision: int
    messages: tuple[StoredMessage, ...] = ()

    def message(self, message_id: int) -> StoredMessage | None:
        """A message of the shown path."""
        return next((m for m in self.messages if m.message_id == message_id), None)


@dataclass(frozen=True)
class Written:
    """Where a change went: the conversation, its revision now, and the message, if one was made."""

    chat_id: str
    revision: int
    message_id: int = 0
