"""Store conversations, and open stores that are closed in the end."""

from collections.abc import Callable

from engine.chats import Chats, Written

Opening = Callable[..., Chats]


def exchange(chats: Chats, question: str, answer: str, after: Written | None = None) -> Written:
    """One question with its answer, in a new conversation or under a message."""
    at = after or chats.create("org/model")
    parent_id = at.message_id or None
    asked = chats.add(at.chat_id, at.revision, parent_id, "user", question)
    begun = chats.begin_answer(asked.chat_id, asked.revision, asked.message_id, "org/model", {})
    return chats.finish_answer(begun.message_id, answer)


def said(chats: Chats, chat_id: str) -> list[str]:
    """The texts along the shown path."""
    return [message.text for message in chats.read(chat_id).messages]
