"""From the list of conversations to markup. Pure; what anybody wrote is escaped here."""

import html
from collections.abc import Sequence

from engine.chats import ChatSummary

_ACTIONS = (("rename", "Rename"), ("pin", "Pin"), ("delete", "Delete"))
_EXPORTS = (("export-md", "Markdown"), ("export-html", "HTML"), ("export-json", "JSON"))
_NOT_FOUND = (
    "Nothing was found. The search looks at titles and messages,"
    " not into the texts of attached files."
)


def format_chat_list(
    chats: Sequence[ChatSummary],
    shown_id: str,
    writing: frozenset[str] = frozenset(),
    is_search: bool = False,
    is_renaming: bool = False,
    deleted: ChatSummary | None = None,
    problem: str = "",
    has_more: bool = False,
) -> str:
    """The list: each conversation a button, the shown one with what can be done to it."""
    parts = []
    if problem:
        parts.append(f'<p class="note" role="alert">{html.escape(problem)}</p>')
    if deleted is not None:
        parts.append(
            f'<p class="note" role="status">Deleted “{html.escape(deleted.title)}”. '
            f'<button data-act="undo" data-id="{html.escape(deleted.chat_id)}">Undo</button></p>'
        )
    items = [_item(chat, chat.chat_id == shown_id, chat.chat_id in writing, is_renaming)
             for chat in chats]  # fmt: skip
    if items:
        parts.append(f'<ul class="chats">{"".join(items)}</ul>')
        if has_more:
            parts.append('<p class="note"><button data-act="more">Show more chats</button></p>')
    else:
        empty = _NOT_FOUND if is_search else "Your chats will be kept here."
        parts.append(f'<p class="note" role="status">{empty}</p>')
    return "".join(parts)


def _item(chat: ChatSummary, is_shown: bool, is_writing: bool, is_renaming: bool) -> str:
    chat_id = html.escape(chat.chat_id)
    title = html.escape(chat.title)
    marks = '<span class="mark">pinned</span>' if chat.is_pinned else ""
    marks += '<span class="mark">writing…</span>' if is_writing else ""
    excerpt = f'<span class="excerpt">{html.escape(chat.excerpt)}</span>' if chat.excerpt else ""
    if is_shown and is_renaming:
        return (
            f'<li class="shown"><input data-act="title" data-id="{chat_id}" value="{title}" '
            f'maxlength="200" aria-label="Title of this chat" autofocus></li>'
        )
    current = ' aria-current="true"' if is_shown else ""
    button = (
        f'<button class="chat" data-act="open" data-id="{chat_id}"{current}>'
        f'<span class="title" dir="auto">{title}</span>{marks}{excerpt}</button>'
    )
    return f'<li class="shown">{button}{_actions(chat)}</li>' if is_shown else f"<li>{button}</li>"


def _actions(chat: ChatSummary) -> str:
    """Two lines: what can be done to it, and the files it can be saved as."""
    pin = "Unpin" if chat.is_pinned else "Pin"
    done = [_action(chat, act, pin if act == "pin" else label) for act, label in _ACTIONS]
    saved = [_action(chat, act, label, f"Save as {label}") for act, label in _EXPORTS]
    return (
        f'<div class="actions">{"".join(done)}</div>'
        f'<div class="actions"><span>Save</span>{"".join(saved)}</div>'
    )


def _action(chat: ChatSummary, act: str, label: str, spoken: str = "") -> str:
    name = f' aria-label="{spoken}"' if spoken else ""
    return f'<button data-act="{act}" data-id="{html.escape(chat.chat_id)}"{name}>{label}</button>'
