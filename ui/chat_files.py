"""Conversations on their way out of the page, as files to save, and in again."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from engine.chats import Chats, ChatTree
from engine.chats.exports import ExportKind, export_chat, export_name
from engine.chats.imports import read_import
from engine.errors import ImportFailed
from engine.foreign_json import MAX_IMPORT_BYTES
from ui.answering import IDLE_BOX
from ui.chat_handlers import ChatHandlers
from ui.conversation import Conversation
from ui.errors import shows_errors

_KINDS: dict[str, ExportKind] = {
    "export-md": "markdown", "export-html": "html", "export-json": "json",
}  # fmt: skip
_TYPES: dict[ExportKind, str] = {
    "markdown": "text/markdown", "html": "text/html", "json": "application/json",
}  # fmt: skip
# The browser saves the text itself, so that no file of a conversation is left on the server.
SAVE_JS = """(file) => {
  if (!file) return;
  const url = URL.createObjectURL(new Blob([file.text], {type: file.type + ';charset=utf-8'}));
  const link = document.createElement('a');
  Object.assign(link, {href: url, download: file.name});
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}"""


@dataclass(frozen=True)
class ChatFiles:
    """The Import button, and the file to be saved, which nobody sees."""

    button: gr.UploadButton
    saved: gr.JSON


def build_chat_files() -> ChatFiles:
    """Lay them out below the list."""
    button = gr.UploadButton("Import chats", elem_id="import-chats", size="sm", scale=0)
    return ChatFiles(button, gr.JSON(visible=False))


class ChatFileHandlers:
    """Takes conversations out of the store that belongs to the visitor, and puts them into it."""

    def __init__(self, chatting: ChatHandlers) -> None:
        self._chatting = chatting

    async def save(
        self, data: gr.EventData, conversation: Conversation
    ) -> AsyncIterator[dict[str, str]]:
        """A conversation as a file for the browser to save."""
        kind = _KINDS.get(str(getattr(data, "act", "")))
        chat_id = str(getattr(data, "id", ""))[:64]
        if kind is not None:
            tree = self._chatting.chats_of(conversation).tree(chat_id)
            text = await asyncio.to_thread(export_chat, tree, kind)
            yield {"name": export_name(tree.title, kind), "type": _TYPES[kind], "text": text}

    async def bring(
        self, path: str | None, conversation: Conversation
    ) -> AsyncIterator[tuple[Any, ...]]:
        """Read a file, and show the first conversation of it: values for log, box and button."""
        if path is None:
            yield gr.skip(), gr.skip(), gr.skip()
            return
        chats = self._chatting.chats_of(conversation)
        try:
            trees = await asyncio.to_thread(read_import, Path(path))
            chat_id = await asyncio.to_thread(_plant, chats, trees)
        finally:
            with contextlib.suppress(OSError):
                Path(path).unlink()
        conversation.show(chats.read(chat_id))
        count = f"{len(trees):,} chats were" if len(trees) > 1 else "The chat was"
        gr.Info(f"{count} imported.", title="Done")
        yield self._chatting.blocks(conversation), gr.Textbox(**IDLE_BOX), gr.skip()

    def refuse(self, data: gr.EventData) -> None:
        """Say of a file that was not sent here how large it may be."""
        size = str(getattr(data, "id", ""))[:18]
        size_bytes = int(size) if size.isdecimal() else 0
        raise ImportFailed(
            f"The file has {size_bytes / 1e6:,.0f} MB; "
            f"an import may have {MAX_IMPORT_BYTES / 1e6:,.0f} MB.",
            "Split it into smaller files.",
        )  # fmt: skip


def wire_chat_files(
    view: ChatFiles, handlers: ChatFileHandlers, entries: gr.HTML, listing: tuple[Any, ...],
    conversation: gr.State, shown: list[Any],
) -> None:  # fmt: skip
    """Which event calls which handler; ``listing`` is how the list of chats is shown anew."""
    private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    entries.download(shows_errors(handlers.save), conversation, view.saved, **private).success(
        None, view.saved, None, js=SAVE_JS, **private
    )
    entries.upload(shows_errors(handlers.refuse), None, None, **private)
    view.button.upload(
        shows_errors(handlers.bring), [view.button, conversation], [*shown, view.button], **private
    ).then(*listing, **private)


def _plant(chats: Chats, trees: tuple[ChatTree, ...]) -> str:
    """Put conversations into the store, all or none, the first of the file on top."""
    return chats.plant_all(tuple(reversed(trees)))[-1].chat_id
