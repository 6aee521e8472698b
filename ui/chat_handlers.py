"""What the Chat tab does with a conversation: ask, stop, change, walk between versions."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from typing import Any

import gradio as gr

from engine import Engine
from engine.answers import AnswerState, RunningAnswer
from engine.chats import (
    Attachment,
    Chats,
    StoredMessage,
    Written,
    attachment_details,
    attachments_of,
)
from engine.errors import ChatChanged, EngineError
from engine.records import SamplingParams
from ui.conversation import SHOWN_MESSAGES, Conversation
from ui.errors import show_toast
from ui.settings_panel import read_settings

UPDATE_S = 0.1
FIRST_POLL_S = 0.03
BUSY_BOX: dict[str, Any] = {"submit_btn": False, "stop_btn": True}
IDLE_BOX: dict[str, Any] = {"submit_btn": True, "stop_btn": False}
_CHANGES = ("continue", "version")  # links of the log that change the conversation
Updates = AsyncIterator[tuple[Any, ...]]


class ChatHandlers:
    """Holds the engine; what one page shows is in its Conversation.

    Handlers of the conversation give values for the log and the box.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def chats_of(self, conversation: Conversation) -> Chats:
        """Where this visitor's conversations are."""
        return self._engine.chats

    async def send(
        self, text: str, conversation: Conversation, model_id: str, *settings: Any
    ) -> Updates:
        """Answer a new message. When not a word comes, the message goes back into the box."""
        if not text or not text.strip():
            if conversation.attached:
                gr.Info("Write what the model should do with the file.")
            yield gr.skip(), gr.skip()
            return
        if self._is_busy(conversation):
            yield gr.skip(), gr.skip()
            return
        answered = self._send(conversation, text, model_id, read_settings(settings))
        async for update in self._unless_stale(conversation, answered, text):
            yield update

    async def regenerate(
        self, conversation: Conversation, model_id: str, *settings: Any
    ) -> Updates:
        """Answer the last question once more, as another version."""
        messages = conversation.chat.messages if conversation.chat else ()
        asked = next((m for m in reversed(messages) if m.role == "user"), None)
        if asked is None or self._is_busy(conversation):
            yield gr.skip(), gr.skip()
            return
        answered = self.answer(conversation, asked.message_id, model_id, read_settings(settings))
        async for update in self._unless_stale(conversation, answered):
            yield update

    async def edit(
        self, data: gr.EditData, conversation: Conversation, model_id: str, *settings: Any
    ) -> Updates:
        """Change a message: a question is asked again, an answer stays as it was changed."""
        message = self._behind(conversation, data.index)
        text = str(data.value)
        if message is None or not text.strip() or self._is_busy(conversation):
            yield self.blocks(conversation), gr.skip()
            return
        changed = self._edit(conversation, message, text, model_id, read_settings(settings))
        async for update in self._unless_stale(conversation, changed, text):
            yield update

    async def follow_link(
        self, data: gr.EventData, conversation: Conversation, *settings: Any
    ) -> Updates:
        """A link in the log: earlier messages, another version, or an answer's continuation."""
        kind, _, rest = str(getattr(data, "target_link", ""))[:80].partition("-")
        number, _, direction = rest.partition("-")
        chat = conversation.chat
        if kind == "earlier":
            conversation.shown_messages += 4 * SHOWN_MESSAGES
        if kind == "file" and number.isdecimal() and direction.isdecimal():
            conversation.fold(int(number), int(direction))
        message = chat.message(int(number)) if chat and number.isdecimal() else None
        if message is None or kind not in _CHANGES or self._is_busy(conversation):
            yield self.blocks(conversation), gr.skip()
            return
        changed = (
            self._continue(conversation, message, settings[0], read_settings(settings[1:]))
            if kind == "continue"
            else self._walk(conversation, message, 1 if direction == "after" else -1)
        )
        async for update in self._unless_stale(conversation, changed):
            yield update

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
        empty: dict[str, Any] = {"value": ""} if taken_back else {}
        try:
            running = self._engine.answers.begin(chats, place, asked, params, model_id)
        except EngineError as error:
            show_toast(error)
            yield self._take_back(conversation, place, parent_id, taken_back)
            return
        yield self.blocks(conversation), gr.Textbox(**BUSY_BOX, **empty)
        async for update in self.follow(conversation, running, parent_id, taken_back):
            yield update

    async def follow(
        self, conversation: Conversation, running: RunningAnswer, parent_id: int = 0,
        taken_back: str = "",
    ) -> Updates:  # fmt: skip
        """Show an answer as it comes, until it is whole or the page turns to another chat."""
        chats, message_id = self.chats_of(conversation), running.message_id
        epoch, conversation.answering_id = conversation.epoch, message_id
        async for _ in _changes(running):
            if conversation.epoch != epoch:
                break
            yield self.blocks(conversation), gr.skip()
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
                yield self._take_back(conversation, place, parent_id, taken_back)
                return
        yield self.blocks(conversation), gr.Textbox(**IDLE_BOX)

    def stop(self, conversation: Conversation) -> None:
        """End the answer being written; what was written stays."""
        answer = self._engine.answers.find(
            self.chats_of(conversation), conversation.answering_id
        )  # fmt: skip
        if answer is not None:
            answer.stop()

    def new_chat(self, conversation: Conversation) -> tuple[Any, ...]:
        """Begin with an empty log. What stands in the box stays; an answer goes on being kept."""
        conversation.show(None)
        return [], gr.Textbox(**IDLE_BOX)

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

    def _is_busy(self, conversation: Conversation) -> bool:
        if not conversation.answering_id:
            return False
        gr.Info("One answer at a time: wait for it, or press Stop.")
        return True

    def _behind(self, conversation: Conversation, block: Any) -> StoredMessage | None:
        is_one = isinstance(block, int) and 0 <= block < len(conversation.owners)
        return (
            conversation.chat.message(conversation.owners[block])
            if is_one and conversation.chat
            else None
        )

    def _say(
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

    async def _unless_stale(
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
        kept: dict[str, Any] = {"value": typed} if typed else {}
        yield self.blocks(conversation), gr.Textbox(**(BUSY_BOX if running else IDLE_BOX), **kept)
        if running is not None:
            async for update in self.follow(conversation, running):
                yield update

    async def _send(
        self, conversation: Conversation, text: str, model_id: str, params: SamplingParams
    ) -> Updates:
        chat = conversation.chat
        last_id = chat.messages[-1].message_id if chat else None
        said = self._say(conversation, last_id, text, conversation.attached)
        conversation.attached = ()
        async for update in self.answer(conversation, said, model_id, params, taken_back=text):
            yield update

    async def _edit(
        self, conversation: Conversation, message: StoredMessage, text: str, model_id: str,
        params: SamplingParams,
    ) -> Updates:  # fmt: skip
        if message.role == "user":
            said = self._say(conversation, message.parent_id, text, attachments_of(message))
            async for update in self.answer(conversation, said, model_id, params):
                yield update
            return
        chats, chat = self.chats_of(conversation), conversation.chat
        assert chat is not None
        chats.add(
            chat.chat_id, chat.revision, message.parent_id, "assistant", text,
            model_id=message.model_id, details={"edited": True},
        )  # fmt: skip
        conversation.chat = chats.read(chat.chat_id)
        yield self.blocks(conversation), gr.skip()

    async def _walk(self, conversation: Conversation, message: StoredMessage, step: int) -> Updates:
        """Show the version of a turn that stands before or after this one."""
        chats, chat = self.chats_of(conversation), conversation.chat
        assert chat is not None
        brothers = chats.versions(chat.chat_id, message.message_id)
        at = message.version - 1 + step
        if 0 <= at < len(brothers):
            chats.choose(chat.chat_id, chat.revision, brothers[at].message_id)
            conversation.chat = chats.read(chat.chat_id)
        yield self.blocks(conversation), gr.skip()

    async def _continue(
        self, conversation: Conversation, message: StoredMessage, model_id: str,
        params: SamplingParams,
    ) -> Updates:  # fmt: skip
        """Let the model write on where an answer ended."""
        chats, chat = self.chats_of(conversation), conversation.chat
        assert chat is not None
        asked = conversation.messages(before=message.message_id)
        place = chats.resume_answer(chat.chat_id, chat.revision, message.message_id)
        try:
            running = self._engine.answers.begin(
                chats, place, asked, params, model_id, message.text, message.reasoning
            )
        finally:
            conversation.chat = chats.read(chat.chat_id)
        yield self.blocks(conversation), gr.Textbox(**BUSY_BOX)
        async for update in self.follow(conversation, running):
            yield update

    def _take_back(
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


async def _changes(answer: RunningAnswer) -> AsyncIterator[None]:
    """Say when there is something new to show, at most each UPDATE_S; ends with the answer."""
    version = 0
    while True:
        newest = answer.wait(version, 0)
        state = answer.state()
        if newest > version:
            version = newest
            yield None
        if state.is_done:
            return
        await asyncio.sleep(UPDATE_S if state.text or state.reasoning else FIRST_POLL_S)
