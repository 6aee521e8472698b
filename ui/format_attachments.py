"""From attached files to what the page shows of them. Pure; names and texts are escaped here."""

import html
from collections.abc import Collection, Sequence
from typing import Any

from engine.chats import Attachment, as_block
from engine.estimates import ContextFit

SHOWN_CHARS = 6_000


def format_chips(attached: Sequence[Attachment], reading: str = "", warning: str = "") -> str:
    """The files above the box, each with a button that takes it off again."""
    items = [_chip(place, one) for place, one in enumerate(attached)]
    if reading:
        items.append(f'<li class="busy">Reading {html.escape(reading)}…</li>')
    parts = [f'<ul class="files">{"".join(items)}</ul>'] if items else []
    if warning:
        parts.append(f'<p class="warning">{html.escape(warning)}</p>')
    return "".join(parts)


def format_file_blocks(
    message_id: int, attached: Sequence[Attachment], unfolded: Collection[int]
) -> list[dict[str, Any]]:
    """The files of a message in the log: a line of links, and the text of those unfolded."""
    if not attached:
        return []
    links = " ".join(
        f'<a href="#file-{message_id}-{place}">{_named(one)}</a>'
        for place, one in enumerate(attached)
    )
    blocks = [{"role": "user", "content": f'<span class="files">{links}</span>'}]
    for place, one in enumerate(attached):
        if place in unfolded:
            hidden = len(one.text) - SHOWN_CHARS
            shown = as_block(Attachment(one.name, one.text[:SHOWN_CHARS])).partition("\n")[2]
            more = f"\n\n<small>… and {hidden:,} more characters</small>" if hidden > 0 else ""
            blocks.append({"role": "user", "content": f"{shown}{more}"})
    return blocks


def format_misfit(fit: ContextFit, model: str) -> str:
    """A warning before a message does not fit, or nothing."""
    if fit.will_be_answered:
        return ""
    about = "" if fit.is_exact else "about "
    return (
        f"This will not fit: {about}{fit.whole_tokens:,} tokens with the chat so far, and {model} "
        f"takes {fit.context_tokens:,}. Take a file off, or choose a model with a longer context."
    )


def _chip(place: int, one: Attachment) -> str:
    name = html.escape(one.name)
    return (
        f'<li>{_named(one)}<button data-act="remove" data-id="{place}" '
        f'aria-label="Remove {name}">×</button></li>'
    )


def _named(one: Attachment) -> str:
    return f"<bdi>{html.escape(one.name)}</bdi> <small>about {one.tokens:,} tokens</small>"
