"""One visitor's page of the Chat tab: which conversation it shows, and how it looks in the log."""

import html
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, fields
from typing import Any

from engine.answers import AnswerState
from engine.chats import (
    LISTED,
    Attachment,
    ChatSummary,
    StoredChat,
    StoredMessage,
    attachments_of,
    with_attachments,
)
from engine.comparing import Comparison
from engine.records import (
    ChatEvent,
    GenerationStats,
    Loading,
    Message,
    Prefill,
    Queued,
    SamplingParams,
)
from engine.settings import GUIDE_ID
from ui.format import format_bytes, format_left_out, format_stats, format_status, model_title
from ui.format_attachments import format_file_blocks

SHOWN_MESSAGES = 60
_WAITING = "Thinking about where to start…"
_CONTINUABLE = ("length", "cancelled")
_STATS = {one.name for one in fields(GenerationStats)}
Running = Callable[[int], AnswerState | None]


@dataclass
class Conversation:
    """What one page of the Chat tab shows and offers. Lives in that visitor's session alone.

    ``chat`` is the conversation as the page has seen it; None is a new one. ``epoch`` rises when
    another one is shown, so that an answer to the old one no longer reaches the page. ``offered``
    is what the model picker lists: label and id. ``owners`` are the messages behind the blocks of
    the log. ``attached`` are the files that go with the next message; ``unfolded`` are those in the
    log whose text is shown, by message and place. ``preset`` is the name of the chosen one.
    ``is_comparing`` is whether the next message goes to several models; ``compared`` are
    answers that stand in columns instead of the log, and ``comes_back`` whether the page has yet to
    follow them. ``own_params`` are the page's own settings while those of an opened conversation
    stand in their place; ``unloaded_id`` is a model that came with one, and is loaded when asked.
    """

    model_id: str = ""
    offered: tuple[tuple[str, str], ...] = ()
    chat: StoredChat | None = None
    epoch: int = 0
    answering_id: int = 0
    owners: list[int] = field(default_factory=list)
    shown_messages: int = SHOWN_MESSAGES
    search: str = ""
    listed: int = LISTED
    is_renaming: bool = False
    deleted: ChatSummary | None = None
    attached: tuple[Attachment, ...] = ()
    unfolded: set[tuple[int, int]] = field(default_factory=set)
    preset: str = ""
    is_comparing: bool = False
    compared: Comparison | None = None
    comes_back: bool = False
    own_params: SamplingParams | None = None
    unloaded_id: str = ""

    def show(self, chat: StoredChat | None) -> None:
        """Turn to another conversation."""
        self.chat = chat
        self.epoch += 1
        self.answering_id = 0
        self.compared, self.comes_back = None, False
        self.shown_messages = SHOWN_MESSAGES
        self.is_renaming = False

    def messages(self, before: int | None = None) -> list[Message]:
        """The conversation for the model, up to and with message ``before``; all without one."""
        found = []
        for message in self.chat.messages if self.chat else ():
            if message.text or message.role == "user":
                text = message.text.lstrip("\n") if message.reasoning else message.text
                text = with_attachments(text, attachments_of(message))
                found.append(Message(message.role, text, message.reasoning))
            if message.message_id == before:
                break
        return found

    def blocks(self, running: Running = lambda _: None) -> list[dict[str, Any]]:
        """The log for the Chatbot, the last messages of a long conversation alone."""
        self.owners = []
        messages = self.chat.messages if self.chat else ()
        blocks: list[dict[str, Any]] = []
        if hidden := len(messages) - self.shown_messages:
            if hidden > 0:
                text = f"{hidden:,} earlier message{'s' if hidden > 1 else ''}"
                self._put(blocks, 0, [_line(f'<a href="#earlier">Show {text}</a>')])
        for message in messages[-self.shown_messages :]:
            state = running(message.message_id) if message.state == "writing" else None
            unfolded = {at for number, at in self.unfolded if number == message.message_id}
            self._put(blocks, message.message_id, message_blocks(message, state, unfolded))
        return blocks

    def fold(self, message_id: int, place: int) -> None:
        """Show the text of a file in the log, or hide it again."""
        self.unfolded ^= {(message_id, place)}

    def _put(self, blocks: list[dict[str, Any]], owner: int, new: list[dict[str, Any]]) -> None:
        blocks.extend(new)
        self.owners.extend(owner for _ in new)


def message_blocks(
    message: StoredMessage,
    state: AnswerState | None,
    unfolded: Collection[int] = (),
    has_links: bool = True,
) -> list[dict[str, Any]]:
    """One message as blocks: reasoning folded, the text, and a quiet line of figures and links.

    The line is a block of its own, so that copying the answer copies nothing else.
    """
    if message.role == "user":
        blocks = format_file_blocks(message.message_id, attachments_of(message), unfolded)
        blocks.append({"role": "user", "content": message.text})
        return [*blocks, _line(_versions(message))] if message.versions > 1 else blocks
    text = state.text if state else message.text
    reasoning = state.reasoning if state else message.reasoning
    is_writing = state is not None and not state.is_done
    blocks = []
    if reasoning.strip():
        seconds = state.reasoning_s if state else message.details.get("reasoning_s")
        blocks.append(_reasoning_block(reasoning, seconds, is_writing and not text))
    text = text.strip("\n") if reasoning else text
    if not text and not reasoning and is_writing and state is not None:
        text = format_status(_step(state.step))
    if text:
        blocks.append({"role": "assistant", "content": text})
    if not is_writing and (footer := _footer(message, has_links)):
        blocks.append(_line(footer))
    return blocks


def _reasoning_block(text: str, seconds: float | None, is_pending: bool) -> dict[str, Any]:
    metadata: dict[str, Any] = {"title": "Thinking", "status": "pending"}
    if not is_pending:
        metadata = {"title": "Thought", "status": "done"}
        if seconds is not None:
            metadata["duration"] = seconds
    return {"role": "assistant", "content": text.strip(), "metadata": metadata}


def _footer(message: StoredMessage, has_links: bool) -> str:
    details = message.details
    parts = []
    if message.versions > 1 and has_links:
        parts.append(_versions(message))
        parts.append(f'<a href="#compare-{message.message_id}">Side by side</a>')
        if message.model_id:
            parts.append(html.escape(model_title(message.model_id, message.model_id == GUIDE_ID)))
    if isinstance(details.get("stats"), dict):
        stats = GenerationStats(**{k: v for k, v in details["stats"].items() if k in _STATS})
        parts.append(html.escape(format_stats(stats, details.get("reason") or "cancelled")))
        if isinstance(details.get("left_out"), dict):
            parts.append(format_left_out(details["left_out"]))
    elif details.get("edited"):
        parts.append("edited by you")
    if details.get("error"):
        parts.append(f"cut by an error: {html.escape(str(details['error'])[:300])}")
    if message.state == "cut":
        parts.append("cut: Pomona ended while this was written")
    is_cut = message.state == "cut" or details.get("reason") in _CONTINUABLE
    if message.text and is_cut and has_links:
        parts.append(f'<a href="#continue-{message.message_id}">Continue</a>')
    return " · ".join(parts)


def _versions(message: StoredMessage) -> str:
    """Links to the versions of a turn before and after this one."""
    at, count = message.version, message.versions
    links = []
    for step, sign, name in ((-1, "‹", "Earlier"), (1, "›", "Later")):
        is_there = 1 <= at + step <= count
        target = f"#version-{message.message_id}-{'before' if step < 0 else 'after'}"
        link = f'<a href="{target}" title="{name} version">{sign}</a>'
        links.append(link if is_there else f"<i>{sign}</i>")
    return f"{links[0]} {at} of {count} {links[1]}"


def _line(markup: str) -> dict[str, Any]:
    return {"role": "assistant", "content": f'<span class="stats">{markup}</span>'}


def _step(event: ChatEvent | None) -> str:
    """What happens before the first word."""
    match event:
        case Loading(_, 0):
            return "Loading the model"
        case Loading(done, total):
            return f"Loading the model: {format_bytes(done)} of {format_bytes(total)}"
        case Queued(position):
            return "You are next" if position == 1 else f"{position - 1} before you"
        case Prefill(done, total, _):
            return f"Reading: {done:,} of {total:,} tokens"
        case _:
            return _WAITING
