"""One visitor's conversation on the server, and how it looks in the chat log."""

import time
from dataclasses import dataclass, field
from typing import Any

from engine import ChatTicket
from engine.records import (
    ChatEvent,
    Finished,
    Loading,
    Message,
    Prefill,
    Queued,
    ReasoningDelta,
    TextDelta,
)
from ui.format import format_bytes, format_stats, format_stats_html, format_status


@dataclass
class Answer:
    """An answer being written, or written."""

    text: str = ""
    reasoning: str = ""
    reasoning_s: float | None = None
    status: str = "Thinking about where to start…"
    stats: str = ""
    is_done: bool = False
    _reasoning_at: float = 0.0

    def apply(self, event: ChatEvent) -> None:
        """Take one event into account."""
        match event:
            case TextDelta(text):
                self._end_reasoning()
                self.text += text
            case ReasoningDelta(text):
                self._reasoning_at = self._reasoning_at or time.perf_counter()
                self.reasoning += text
            case Loading(done, total):
                self.status = f"Loading the model: {format_bytes(done)} of {format_bytes(total)}"
            case Queued(position):
                self.status = "You are next" if position == 1 else f"{position - 1} before you"
            case Prefill(done, total, _):
                self.status = f"Reading: {done:,} of {total:,} tokens"
            case Finished(reason, stats):
                self._end_reasoning()
                self.stats = format_stats(stats, reason)
                self.is_done = True

    def fail(self) -> None:
        """End with what there is."""
        self._end_reasoning()
        self.stats = "cut by an error"
        self.is_done = True

    def message(self) -> Message:
        """The turn as it is sent back to the model."""
        text = self.text.lstrip("\n") if self.reasoning else self.text
        return Message("assistant", text, self.reasoning)

    def blocks(self) -> list[dict[str, Any]]:
        """Chatbot messages: the reasoning in a folded block, the answer, the quiet line.

        The line is a message of its own, so that copying the answer copies nothing else.
        """
        blocks = []
        if self.reasoning.strip():
            blocks.append(self._reasoning_block())
        text = self.text.strip("\n") if self.reasoning else self.text
        if not text and not self.reasoning and not self.is_done:
            text = format_status(self.status)
        if text:
            blocks.append({"role": "assistant", "content": text})
        if self.stats:
            blocks.append({"role": "assistant", "content": format_stats_html(self.stats)})
        return blocks

    def _reasoning_block(self) -> dict[str, Any]:
        metadata: dict[str, Any] = {"title": "Thinking", "status": "pending"}
        if self.reasoning_s is not None:
            metadata = {"title": "Thought", "status": "done", "duration": self.reasoning_s}
        return {"role": "assistant", "content": self.reasoning.strip(), "metadata": metadata}

    def _end_reasoning(self) -> None:
        if self._reasoning_at and self.reasoning_s is None:
            self.reasoning_s = round(time.perf_counter() - self._reasoning_at, 1)


@dataclass
class Conversation:
    """What one visitor said and heard. Lives in that visitor's session alone.

    ``epoch`` counts new chats, so that an answer to an old one no longer reaches the page.
    ``offered`` is what the model picker lists: label and id.
    """

    turns: list[tuple[str, Answer]] = field(default_factory=list)
    ticket: ChatTicket | None = None
    epoch: int = 0
    model_id: str = ""
    offered: tuple[tuple[str, str], ...] = ()

    @property
    def is_answering(self) -> bool:
        """Whether an answer is being written."""
        return self.ticket is not None

    def stop(self) -> None:
        """Ask for the end of the answer being written."""
        if self.ticket is not None:
            self.ticket.cancel()

    def clear(self) -> None:
        """Begin a new chat."""
        self.stop()
        self.ticket = None
        self.turns = []
        self.epoch += 1

    def messages(self) -> list[Message]:
        """The conversation for the model; the last turn's empty answer is left out."""
        messages = []
        for text, answer in self.turns:
            messages.append(Message("user", text))
            if answer.text or answer.is_done:
                messages.append(answer.message())
        return messages

    def blocks(self) -> list[dict[str, Any]]:
        """The whole log for the Chatbot."""
        blocks: list[dict[str, Any]] = []
        for text, answer in self.turns:
            blocks.append({"role": "user", "content": text})
            blocks.extend(answer.blocks())
        return blocks
