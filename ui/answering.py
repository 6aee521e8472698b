"""Asking for answers and following them: what every handler of a conversation builds on."""

import asyncio
import dataclasses
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import gradio as gr

from engine import Engine
from engine.answers import AnswerState, RunningAnswer
from engine.chats import Attachment, Chats, Written, attachment_details, attachments_of
from engine.errors import ChatChanged, EngineError
from engine.records import SamplingParams
from ui.conversation import Conversation
from ui.errors import show_toast
from ui.pacing import UPDATE_S, update_pause_s

FIRST_POLL_S = 0.03
BUSY_BOX: dict[str, Any] = {"submit_btn": False, "stop_btn": True}
IDLE_BOX: dict[str, Any] = {"submit_btn": True, "stop_btn": False}
Updates = AsyncIterator[tuple[Any, ...]]


class Answering:
    """Holds the engine; what one page shows is in its Conversation.

    Updates are values for the log and the box. No update of the box leaves out what the one before
    it has set: Gradio's page makes each value out of the one before, in place, and where several
    come at once it never shows what the last one lacks. A text is therefore sent by itself.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def chats_of(self, conversation: Conversation) -> Chats:
        """Where this visitor's conversations are."""
        return self._engine.chats

    def say(self, conversation: Conversation, text: str) -> int:
        """Store a message with its files at the end; its number. Raises ChatChanged."""
        chat = conversation.chat
        last_id = chat.messages[-1].message_id if chat else None
        said = self.say_under(conversation, last_id, text, conversation.attached)
        conversation.attached = ()
        return said

    def say_under(
        self, conversation: Conversation, parent_id: int | None, text: str,
        attachments: tuple[Attachment, ...],
    ) -> int:  # fmt: skip
        """Store a message under another one, in a new conversation if there is none."""
        chats, chat = self.chats_of(conversation), conversation.chat
        at = Written(chat.chat_id, chat.revision) if chat else chats.create(conversation.model_id)
        said = chats.add(
            at.chat_id, at.revision, parent_id, "user", text,
            details=attachment_details(attachments),
        )  # fmt: skip
        conversation.chat = chats.read(at.chat_id)
        return said.message_id

    async def answer(
        self, conversation: Conversation, parent_id: int, model_id: str, params: SamplingParams,
        taken_back: str = "",
    ) -> Updates:  # fmt: skip
        """Ask for an answer to a stored message, and show it as it comes."""
        chats, chat = self.chats_of(conversation), conversation.chat
        assert chat is not None
        place = chats.begin_answer(
            chat.chat_id, chat.revision, parent_id, model_id, dataclasses.asdict(params)
        )
        conversation.chat = chats.read(chat.chat_id)
        asked = conversation.messages(before=parent_id)
        try:
            running = self._engine.answers.begin(chats, place, asked, params, model_id)
        except EngineError as error:
            show_toast(error)
            yield self.take_back(conversation, place, parent_id, taken_back)
            return
        if taken_back:
            yield self.blocks(conversation), ""
        yield self.blocks(conversation), gr.Textbox(**BUSY_BOX)
        async for update in self.follow(conversation, running, parent_id, taken_back):
            yield update

    async def follow(
        self, conversation: Conversation, running: RunningAnswer, parent_id: int = 0,
        taken_back: str = "",
    ) -> Updates:  # fmt: skip
        """Show an answer as it comes, until it is whole or the page turns to another chat."""
        chats, message_id = self.chats_of(conversation), running.message_id
        epoch, conversation.answering_id = conversation.epoch, message_id

        def pause_s(chars: int) -> float:
            return self.pause_s(len(conversation.owners), chars)

        async for _ in _changes(running, pause_s):
            if conversation.epoch != epoch:
                break
            yield self.blocks(conversation), gr.Textbox(**BUSY_BOX)
        if conversation.epoch != epoch or conversation.chat is None:
            yield gr.skip(), gr.skip()  # Gradio sends the last value once more at the end
            return
        conversation.answering_id = 0
        conversation.chat = chats.read(conversation.chat.chat_id)
        state = running.state()
        if state.error is not None:
            show_toast(state.error)
            if not state.text and not state.reasoning and parent_id:
                place = Written(conversation.chat.chat_id, conversation.chat.revision, message_id)
                yield self.take_back(conversation, place, parent_id, taken_back)
                return
        yield self.blocks(conversation), gr.Textbox(**IDLE_BOX)

    def pause_s(self, blocks: int = 0, chars: int = 0) -> float:
        """Seconds until an answer's next update, see update_pause_s."""
        return update_pause_s(self._engine.answers.count, blocks, chars)

    def stop(self, conversation: Conversation) -> None:
        """End the answer being written; what was written stays."""
        answer = self._engine.answers.find(
            self.chats_of(conversation), conversation.answering_id
        )  # fmt: skip
        if answer is not None:
            answer.stop()

    def running_at_end(self, conversation: Conversation) -> RunningAnswer | None:
        """The answer that is being written to the last message that is shown."""
        chats, chat = self.chats_of(conversation), conversation.chat
        if chat is None or not chat.messages or chat.messages[-1].state != "writing":
            return None
        running = self._engine.answers.find(chats, chat.messages[-1].message_id)
        if running is None:  # it ended just now
            conversation.chat = chats.read(chat.chat_id)
        return running

    def blocks(self, conversation: Conversation) -> list[dict[str, Any]]:
        """The log as it is now."""
        chats = self.chats_of(conversation)

        def running(message_id: int) -> AnswerState | None:
            answer = self._engine.answers.find(chats, message_id)
            return answer.state() if answer else None

        return conversation.blocks(running)

    def is_busy(self, conversation: Conversation) -> bool:
        """Whether an answer is being written on this page; it is then told to wait."""
        if not conversation.answering_id:
            return False
        gr.Info("One answer at a time: wait for it, or press Stop.")
        return True

    async def unless_stale(
        self, conversation: Conversation, updates: Updates, typed: str = ""
    ) -> Updates:
        """Show what was written in another tab in the meantime; what was typed is kept."""
        try:
            async for update in updates:
                yield update
            return
        except ChatChanged as error:
            show_toast(error)
        assert conversation.chat is not None
        conversation.chat = self.chats_of(conversation).read(conversation.chat.chat_id)
        running = self.running_at_end(conversation)
        if typed:
            yield self.blocks(conversation), typed
        yield self.blocks(conversation), gr.Textbox(**(BUSY_BOX if running else IDLE_BOX))
        if running is not None:
            async for update in self.follow(conversation, running):
                yield update

    def take_back(
        self, conversation: Conversation, place: Written, parent_id: int, taken_back: str
    ) -> tuple[Any, ...]:
        """Nothing came: give the typed message back, or show the version before this one."""
        chats = self.chats_of(conversation)
        revision = chats.read(place.chat_id).revision
        gone = parent_id if taken_back else place.message_id
        asked = conversation.chat.message(parent_id) if conversation.chat else None
        if taken_back and asked is not None:
            conversation.attached = attachments_of(asked) + conversation.attached
        left = chats.take_back(place.chat_id, revision, gone)
        conversation.chat = chats.read(place.chat_id) if left else None
        conversation.answering_id = 0
        kept: dict[str, Any] = {"value": taken_back} if taken_back else {}
        return self.blocks(conversation), gr.Textbox(**IDLE_BOX, **kept)


async def _changes(answer: RunningAnswer, pause_s: Callable[[int], float]) -> AsyncIterator[None]:
    """Say when there is something new to show; ends with the answer.

    ``pause_s`` is how long to rest after so many characters.
    """
    version = 0
    while True:
        newest = answer.wait(version, 0)
        state = answer.state()
        if newest > version:
            version = newest
            yield None
        if state.is_done:
            return
        chars = len(state.text) + len(state.reasoning)
        await _rest(answer, pause_s(chars) if chars else FIRST_POLL_S)


async def _rest(answer: RunningAnswer, seconds: float) -> None:
    """Wait, no longer than until the answer is whole."""
    until = time.monotonic() + seconds
    while not answer.ends_within(0) and (left_s := until - time.monotonic()) > 0:
        await asyncio.sleep(min(left_s, UPDATE_S))
