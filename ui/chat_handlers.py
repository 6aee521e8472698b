"""What the Chat tab does with a conversation: ask, stop, change, walk between versions."""

from typing import Any

import gradio as gr

from engine.chats import (
    StoredMessage,
    attachments_of,
)
from engine.records import SamplingParams
from ui.answering import BUSY_BOX, IDLE_BOX, Answering, Updates
from ui.conversation import SHOWN_MESSAGES, Conversation
from ui.settings_panel import read_settings

_CHANGES = ("continue", "version")  # links of the log that change the conversation


class ChatHandlers(Answering):
    """Handlers of the conversation give values for the log and the box."""

    async def send(
        self, text: str, conversation: Conversation, model_id: str, *settings: Any
    ) -> Updates:
        """Answer a new message. When not a word comes, the message goes back into the box."""
        if conversation.is_comparing or conversation.compared is not None:
            yield gr.skip(), gr.skip()  # CompareHandlers answers it
            return
        if not text or not text.strip():
            if conversation.attached:
                gr.Info("Write what the model should do with the file.")
            yield gr.skip(), gr.skip()
            return
        if self.is_busy(conversation):
            yield gr.skip(), gr.skip()
            return
        answered = self._send(conversation, text, model_id, read_settings(settings))
        async for update in self.unless_stale(conversation, answered, text):
            yield update

    async def regenerate(
        self, conversation: Conversation, model_id: str, *settings: Any
    ) -> Updates:
        """Answer the last question once more, as another version."""
        messages = conversation.chat.messages if conversation.chat else ()
        asked = next((m for m in reversed(messages) if m.role == "user"), None)
        if asked is None or self.is_busy(conversation):
            yield gr.skip(), gr.skip()
            return
        answered = self.answer(conversation, asked.message_id, model_id, read_settings(settings))
        async for update in self.unless_stale(conversation, answered):
            yield update

    async def edit(
        self, data: gr.EditData, conversation: Conversation, model_id: str, *settings: Any
    ) -> Updates:
        """Change a message: a question is asked again, an answer stays as it was changed."""
        message = self._behind(conversation, data.index)
        text = str(data.value)
        if message is None or not text.strip() or self.is_busy(conversation):
            yield self.blocks(conversation), gr.skip()
            return
        changed = self._edit(conversation, message, text, model_id, read_settings(settings))
        async for update in self.unless_stale(conversation, changed, text):
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
        if message is None or kind not in _CHANGES or self.is_busy(conversation):
            yield self.blocks(conversation), gr.skip()
            return
        changed = (
            self._continue(conversation, message, settings[0], read_settings(settings[1:]))
            if kind == "continue"
            else self._walk(conversation, message, 1 if direction == "after" else -1)
        )
        async for update in self.unless_stale(conversation, changed):
            yield update

    def new_chat(self, conversation: Conversation) -> tuple[Any, ...]:
        """Begin with an empty log. What stands in the box stays; an answer goes on being kept."""
        conversation.show(None)
        return [], gr.Textbox(**IDLE_BOX)

    def _behind(self, conversation: Conversation, block: Any) -> StoredMessage | None:
        is_one = isinstance(block, int) and 0 <= block < len(conversation.owners)
        return (
            conversation.chat.message(conversation.owners[block])
            if is_one and conversation.chat
            else None
        )

    async def _send(
        self, conversation: Conversation, text: str, model_id: str, params: SamplingParams
    ) -> Updates:
        said = self.say(conversation, text)
        async for update in self.answer(conversation, said, model_id, params, taken_back=text):
            yield update

    async def _edit(
        self, conversation: Conversation, message: StoredMessage, text: str, model_id: str,
        params: SamplingParams,
    ) -> Updates:  # fmt: skip
        if message.role == "user":
            said = self.say_under(conversation, message.parent_id, text, attachments_of(message))
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
