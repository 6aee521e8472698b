"""Conversations, kept on disk as they are written."""

from engine.chats.records import ChatSummary, MessageState, StoredChat, StoredMessage, Written
from engine.chats.store import Chats

__all__ = ["ChatSummary", "Chats", "MessageState", "StoredChat", "StoredMessage", "Written"]
