"""Conversations, kept on disk as they are written."""

from engine.chats.attached import (
    MAX_FILES,
    MAX_TEXT_CHARS,
    Attachment,
    as_block,
    attachment_details,
    attachments_of,
    with_attachments,
)
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
    "LISTED", "MAX_FILES", "MAX_TEXT_CHARS", "Attachment", "ChatSummary", "ChatTree", "Chats",
    "MessageState", "StoredChat", "StoredMessage", "Written", "as_block", "attachment_details",
    "attachments_of", "with_attachments",
]  # fmt: skip
