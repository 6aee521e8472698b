"""Conversations, kept on disk as they are written."""

from engine.chats.reading import LISTED
from engine.chats.records import (
    ChatSummary,
    ChatTree,
    MessageState,
    StoredChat,
    StoredMessage,
    Written,
)
from engine.chats.store import Chats

__all__ = [
    "LISTED", "ChatSummary", "ChatTree", "Chats", "MessageState", "StoredChat", "StoredMessage",
    "Written",
]  # fmt: skip
