"""Files that go with a message: the button that attaches them, and what stands above the box."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from engine import Engine
from engine.attachments import MAX_FILE_BYTES, estimate_tokens, read_attachment, too_large
from engine.chats import MAX_FILES, MAX_TEXT_CHARS, Attachment, with_attachments
from engine.errors import AttachmentError, EngineError
from engine.estimates import ContextFit
from engine.records import Message, SamplingParams
from engine.settings import GUIDE_ID
from ui.conversation import Conversation
from ui.errors import show_toast, shows_errors
from ui.format import model_title
from ui.format_attachments import format_chips, format_misfit

GUIDE_WARNING = (
    "The Pomona Guide knows only this app and does not read files: choose another model."
)
CLAIM_S = 3.0
CLAIM_POLL_S = 0.03
FIT_S = 2.0  # how long the inference thread may take to count, before it is guessed
# Files that are too large are not sent at all: Gradio would upload them first, or say nothing. What
# is dropped on the chat or pasted into the box goes the way of the button.
_ON_LOAD = """
element.addEventListener('click', (event) => {
  const button = event.target.closest('button[data-act]');
  if (!button) return;
  trigger('select', {act: button.dataset.act, id: button.dataset.id});
  document.querySelector('#message textarea')?.focus();
});
const input = () => document.querySelector('#composer-row input[type=file]');
const put = (files) => {
  const kept = new DataTransfer();
  for (const file of files) {
    if (file.size <= most_bytes) kept.items.add(file);
    else trigger('select', {act: 'large', id: String(file.size), name: file.name});
  }
  input().files = kept.files;
  if (kept.files.length) input().dispatchEvent(new Event('change', {bubbles: true}));
};
window.pomonaFiles = {
  change: (event) => {
    if (event.target !== input()) return;
    if ([...event.target.files].every((file) => file.size <= most_bytes)) return;
    event.stopImmediatePropagation();
    put(event.target.files);
  },
  take: (event) => {
    const files = (event.dataTransfer ?? event.clipboardData)?.files;
    if (!input() || !files?.length || !event.target.closest?.('#chat-main')) return;
    event.preventDefault();
    event.stopPropagation();
    put(files);
  },
  over: (event) => {
    const isFile = event.dataTransfer?.types.includes('Files');
    if (isFile && event.target.closest?.('#chat-main')) event.preventDefault();
  },
};
if (!window.pomonaTakesFiles) {
  window.pomonaTakesFiles = true;
  document.addEventListener('change', (event) => window.pomonaFiles.change(event), true);
  document.addEventListener('dragover', (event) => window.pomonaFiles.over(event), true);
  for (const name of ['drop', 'paste'])
    document.addEventListener(name, (event) => window.pomonaFiles.take(event), true);
}
""".replace("most_bytes", str(MAX_FILE_BYTES))


@dataclass(frozen=True)
class Attachments:
    """The button beside the box, and the files above it."""

    button: gr.UploadButton
    chips: gr.HTML


def build_chips() -> gr.HTML:
    """The files above the box, with the warning when they do not fit."""
    return gr.HTML("", elem_id="attached", js_on_load=_ON_LOAD)


def build_button() -> gr.UploadButton:
    """The button that attaches files; a drop on the chat does the same, see head.html."""
    return gr.UploadButton(
        "Attach", elem_id="attach", file_count="multiple", scale=0, min_width=40, size="md"
    )


class AttachmentHandlers:
    """Reads files; those of the next message are in the visitor's Conversation."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def attach(
        self, paths: Sequence[str] | None, conversation: Conversation
    ) -> AsyncIterator[tuple[Any, Any]]:
        """Read what was uploaded: values for the chips and the button."""
        for path in map(Path, paths or ()):
            yield format_chips(conversation.attached, path.name), gr.skip()
            try:
                read = await asyncio.to_thread(read_attachment, path)
                conversation.attached = _with(conversation.attached, read)
            except EngineError as error:
                show_toast(error)
            finally:
                with contextlib.suppress(OSError):
                    path.unlink()
        yield await asyncio.to_thread(self.chips, conversation), gr.UploadButton(value=None)

    def act(self, data: gr.EventData, conversation: Conversation) -> str:
        """Take a file off, or say that one was too large to be sent here."""
        number = str(getattr(data, "id", ""))[:18]
        if getattr(data, "act", "") == "large" and number.isdecimal():
            raise too_large(str(getattr(data, "name", ""))[:1_000], int(number))
        if number.isdecimal():
            gone = int(number)
            conversation.attached = tuple(
                one for at, one in enumerate(conversation.attached) if at != gone
            )
        return self.chips(conversation)

    def chips(self, conversation: Conversation) -> str:
        """The files above the box as they are now, with a warning when they do not fit."""
        return format_chips(conversation.attached, warning=self._warning(conversation))

    async def after_send(self, conversation: Conversation) -> AsyncIterator[str]:
        """The same, as soon as a message has taken the files with it."""
        for _ in range(round(CLAIM_S / CLAIM_POLL_S)):
            if not conversation.attached or conversation.answering_id:
                break
            await asyncio.sleep(CLAIM_POLL_S)
        yield await asyncio.to_thread(self.chips, conversation)

    def _warning(self, conversation: Conversation) -> str:
        """What a person should know before they send the files, or nothing."""
        if not conversation.attached or not conversation.model_id:
            return ""
        if conversation.model_id == GUIDE_ID:
            return GUIDE_WARNING
        files = Message("user", with_attachments("", conversation.attached))
        messages = [*conversation.messages(), files]
        try:
            fit = self._engine.inference.context_fit(
                messages, SamplingParams(), conversation.model_id
            ).result(FIT_S)
        except TimeoutError:
            fit = self._guess_fit(messages, conversation.model_id)
        except EngineError as error:
            return error.text
        return format_misfit(fit, model_title(conversation.model_id, False))

    def _guess_fit(self, messages: Sequence[Message], model_id: str) -> ContextFit:
        tokens = sum(estimate_tokens(message.text) for message in messages)
        context_tokens = self._engine.library.find(model_id).context_tokens
        return ContextFit(tokens, tokens, context_tokens, is_exact=False)


def wire_attachments(
    view: Attachments, handlers: AttachmentHandlers, conversation: gr.State, box: gr.Textbox,
    model: gr.Dropdown,
) -> None:  # fmt: skip
    """Which event calls which handler."""
    private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    view.button.upload(
        shows_errors(handlers.attach), [view.button, conversation], [view.chips, view.button],
        trigger_mode="multiple", **private,
    )  # fmt: skip
    view.chips.select(shows_errors(handlers.act), conversation, view.chips, **private)
    box.submit(shows_errors(handlers.after_send), conversation, view.chips, **private)
    model.change(shows_errors(handlers.chips), conversation, view.chips, **private)


def _with(attached: tuple[Attachment, ...], new: Attachment) -> tuple[Attachment, ...]:
    """One more file, under a name of its own. Raises AttachmentError for too much at once."""
    if len(attached) >= MAX_FILES:
        raise AttachmentError(
            f"“{new.name}” was left out: a message takes {MAX_FILES} files.", "Send these first."
        )
    if sum(len(one.text) for one in attached) + len(new.text) > MAX_TEXT_CHARS:
        raise AttachmentError(
            f"“{new.name}” was left out: the files of a message may hold {MAX_TEXT_CHARS:,} "
            "characters together.", "Take another one off first.",
        )  # fmt: skip
    return (*attached, new)
