"""Files whose text goes with a message: how they are kept, and how the model reads them. Pure.

They are kept beside the message, in its details, so that what a person typed stays what it was:
to be edited, searched, copied and made a title of.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from engine.chats.fences import longer_fence
from engine.chats.records import StoredMessage
from engine.foreign_json import writable

MAX_FILES = 10
MAX_TEXT_CHARS = 300_000  # of all files of one message; a conversation may have some more
MAX_NAME_CHARS = 120
_KEY = "attachments"


@dataclass(frozen=True)
class Attachment:
    """A file's text, and the name that it had. ``tokens`` is about how many the text takes."""

    name: str
    text: str
    tokens: int = 0


def attachments_of(message: StoredMessage) -> tuple[Attachment, ...]:
    """The files that go with a message."""
    return read_attachments(message.details.get(_KEY))


def attachment_details(attachments: Sequence[Attachment]) -> dict[str, Any]:
    """What a message's details hold of its files, as JSON values."""
    if not attachments:
        return {}
    return {_KEY: [asdict(one) for one in attachments]}


def read_attachments(value: object) -> tuple[Attachment, ...]:
    """Files from JSON values, wherever they come from: those that are whole, as many as may be."""
    found: list[Attachment] = []
    chars = 0
    for one in value if isinstance(value, list) else ():
        if not isinstance(one, Mapping):
            continue
        name, text, tokens = one.get("name"), one.get("text"), one.get("tokens")
        if isinstance(name, str) and isinstance(text, str) and text.strip():
            chars += len(text)
            if chars > MAX_TEXT_CHARS or len(found) == MAX_FILES:
                break
            count = tokens if type(tokens) is int and 0 <= tokens <= MAX_TEXT_CHARS else 0
            found.append(Attachment(plain_name(name), writable(text), count))
    return tuple(found)


def plain_name(name: str) -> str:
    """A file's name on one line, of printable characters, its folders left out."""
    last = name.replace("\\", "/").rstrip("/").rpartition("/")[2]
    kept = "".join(c if c.isprintable() else " " for c in writable(last))
    line = " ".join(kept.split())
    if len(line) > MAX_NAME_CHARS:
        line = f"{line[: MAX_NAME_CHARS - 20]}…{line[-19:]}"
    return line or "file"


def with_attachments(text: str, attachments: Sequence[Attachment]) -> str:
    """What the model reads: each file in a fence that its text cannot end, then the message."""
    parts = [as_block(one) for one in attachments]
    return "\n\n".join([*parts, text] if text.strip() else parts)


def as_block(attachment: Attachment) -> str:
    """A file in Markdown: its name, and its text as code."""
    fence = longer_fence(attachment.text)
    body = attachment.text.strip("\n")
    return f"File “{attachment.name}”:\n{fence}\n{body}\n{fence}"
