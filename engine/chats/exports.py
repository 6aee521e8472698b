"""Conversations on their way out: Markdown, Pomona's own JSON, and a page of HTML.

Pure, but for ``write_export``. Markdown and HTML show the path that is shown; JSON holds every
version of every turn, and ``engine.chats.imports`` reads it back.
"""

import json
import re
import time
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from engine.chats.attached import as_block, attachments_of
from engine.chats.fences import open_fence
from engine.chats.html_page import html_page, speaker
from engine.chats.records import ChatTree, StoredMessage
from engine.errors import ChatsUnavailable

ExportKind = Literal["markdown", "json", "html"]
EXPORT_KINDS: Mapping[ExportKind, str] = {
    "markdown": "Markdown", "json": "JSON, to import it again", "html": "Web page",
}  # fmt: skip
FORMAT = "pomona-chats"
FORMAT_VERSION = 1
_SUFFIXES: Mapping[ExportKind, str] = {"markdown": ".md", "json": ".json", "html": ".html"}
_MAX_NAME_CHARS = 60
_MAX_NAME_BYTES = 180  # most disks allow 255 in a name, its suffix included


def export_chat(tree: ChatTree, kind: ExportKind) -> str:
    """A conversation as the text of a file."""
    if kind == "json":
        return export_all([tree])
    return html_page(tree) if kind == "html" else _markdown(tree)


def export_all(trees: Iterable[ChatTree]) -> str:
    """Several conversations as one JSON file, with every version of every turn."""
    value = {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "exported_at": round(time.time()),
        "chats": [_tree_json(tree) for tree in trees],
    }
    return json.dumps(value, ensure_ascii=False, indent=1) + "\n"


def export_name(title: str, kind: ExportKind) -> str:
    """A file name that any disk takes, from a title that may hold anything."""
    kept = "".join(c for c in unicodedata.normalize("NFC", title) if c.isalnum() or c in " -_")
    name = re.sub(r"\s+", " ", kept)[:_MAX_NAME_CHARS].strip(" -")
    name = name.encode()[:_MAX_NAME_BYTES].decode(errors="ignore").strip(" -")
    return (name or "chat") + _SUFFIXES[kind]


def write_export(tree: ChatTree, kind: ExportKind, folder: Path) -> Path:
    """Write a conversation into a folder, under its title's name. Raises ChatsUnavailable."""
    path = folder / export_name(tree.title, kind)
    try:
        path.write_text(export_chat(tree, kind), encoding="utf-8", errors="replace")
    except OSError as error:
        raise ChatsUnavailable(
            f"The chat could not be exported: {error.strerror}.", "Make room, and try again."
        ) from error
    return path


def _tree_json(tree: ChatTree) -> dict[str, Any]:
    return {
        "title": tree.title, "model_id": tree.model_id, "params": tree.params,
        "created_at": tree.created_at, "shown_id": tree.leaf_id,
        "messages": [_message_json(message) for message in tree.messages],
    }  # fmt: skip


def _message_json(message: StoredMessage) -> dict[str, Any]:
    """Without the numbering of versions, which follows from the parents."""
    values = asdict(message)
    del values["version"], values["versions"]
    return {"id": values.pop("message_id"), "parent_id": values.pop("parent_id"), **values}


def _markdown(tree: ChatTree) -> str:
    parts = [f"# {tree.title}"]
    if prompt := str(tree.params.get("system_prompt") or "").strip():
        parts += ["## System", _closed(prompt)]
    for message in tree.shown():
        parts.append(f"## {speaker(message)}")
        if message.reasoning.strip():
            lines = _closed(message.reasoning.strip()).split("\n")
            parts.append("\n".join(f"> {line}".rstrip() for line in ["*Thinking*", "", *lines]))
        parts += map(as_block, attachments_of(message))
        if message.text.strip():
            parts.append(_closed(message.text.strip("\n")))
        if message.state != "done":
            parts.append("*This answer was cut off.*")
    return "\n\n".join(parts) + "\n"


def _closed(text: str) -> str:
    """A text whose last code block ends, so that what follows is not taken for code."""
    fence = open_fence(text)
    return f"{text}\n{fence}" if fence else text
