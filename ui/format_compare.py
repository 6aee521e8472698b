"""Answers side by side: what stands over and between the columns. Pure; all text is escaped."""

import html
from collections.abc import Sequence

from engine.chats import StoredMessage
from engine.comparing import Comparison
from engine.settings import GUIDE_ID
from ui.format import model_title

_LETTERS = "ABC"
_ONE_BY_ONE = "These models do not fit into memory together, so they answer one after another."
_QUESTION_CHARS = 2_000


def column_names(messages: Sequence[StoredMessage], is_blind: bool) -> list[str]:
    """Who answered, by column: letters where that is hidden, numbered where names repeat."""
    if is_blind:
        return [f"Model {letter}" for letter in _LETTERS[: len(messages)]]
    names = [
        model_title(m.model_id, m.model_id == GUIDE_ID) if m.model_id else "Answer"
        for m in messages
    ]
    if len(set(names)) == len(names):
        return names
    return [f"{name}, {position}" for position, name in enumerate(names, start=1)]


def format_question(text: str, comparison: Comparison) -> str:
    """What was asked, over the columns, and why they may come one by one."""
    shown = text if len(text) <= _QUESTION_CHARS else text[:_QUESTION_CHARS] + "…"
    note = "" if comparison.is_together else f'<p class="note" role="status">{_ONE_BY_ONE}</p>'
    return f'<p class="asked" dir="auto">{html.escape(shown)}</p>{note}'


def format_column_name(name: str) -> str:
    """The heading of a column."""
    return f'<h3 class="who">{html.escape(name)}</h3>'


def reveal(messages: Sequence[StoredMessage], chosen: int) -> str:
    """Plain text that says whose answers they were, the chosen one first."""
    names = column_names(messages, is_blind=False)
    others = [
        f"model {letter} was {name}"
        for place, (letter, name) in enumerate(zip(_LETTERS, names, strict=False))
        if place != chosen
    ]
    return f"You chose {names[chosen]}; {' and '.join(others)}."
