"""What guests do on their page: the same chat, with the settings of the model's makers."""

from typing import Any, cast

import gradio as gr

from engine import Engine
from engine.errors import InvalidRequest
from engine.guests import Guests
from engine.records import SamplingParams
from ui.answering import BUSY_BOX, IDLE_BOX, Updates
from ui.chat_handlers import ChatHandlers
from ui.conversation import Conversation


class GuestChatHandlers(ChatHandlers):
    """Everything in it is done to the chats of the visitor whose event it is."""

    def __init__(self, guests: Guests) -> None:
        # What Guests lacks of an Engine, a guest's handler cannot do.
        super().__init__(cast(Engine, guests))
        self._guests = guests

    async def ask(self, text: str, conversation: Conversation, model_id: str) -> Updates:
        """Answer a new message."""
        self._check(text)
        async for update in self.send(text, conversation, model_id):
            yield update

    async def ask_again(self, conversation: Conversation, model_id: str) -> Updates:
        """Answer the last question once more."""
        async for update in self.regenerate(conversation, model_id):
            yield update

    async def change(self, data: gr.EditData, conversation: Conversation, model_id: str) -> Updates:
        """Change a question, and ask it again; answers stay as they are."""
        self._check(str(data.value))
        message = self._behind(conversation, data.index)
        if message is None or message.role != "user":
            yield self.blocks(conversation), gr.skip()
            return
        async for update in self.edit(data, conversation, model_id):
            yield update

    async def follow_link_in_log(
        self, data: gr.EventData, conversation: Conversation, model_id: str
    ) -> Updates:
        """A link in the log."""
        async for update in self.follow_link(data, conversation, model_id):
            yield update

    async def come_back(self, conversation: Conversation) -> Updates:
        """Show the visit's newest chat after the page was loaded again."""
        chats = self.chats_of(conversation)
        newest = chats.list("", 1)
        if not newest:
            yield gr.skip(), gr.skip()
            return
        conversation.show(chats.read(newest[0].chat_id))
        running = self.running_at_end(conversation)
        yield self.blocks(conversation), gr.Textbox(**(BUSY_BOX if running else IDLE_BOX))
        if running is not None:
            async for update in self.follow(conversation, running):
                yield update

    def begin_anew(self, conversation: Conversation) -> tuple[Any, ...]:
        """Begin with an empty log. Guests have no list, so the old chat is gone."""
        self.stop(conversation)
        old = conversation.chat
        if old is not None:
            self.chats_of(conversation).delete(old.chat_id)
        return self.new_chat(conversation)

    async def answer(
        self, conversation: Conversation, parent_id: int, model_id: str, params: SamplingParams,
        taken_back: str = "",
    ) -> Updates:  # fmt: skip
        """As for the owner, with what the model's makers recommend."""
        params = self._guests.library.find(model_id).suggested
        async for update in super().answer(conversation, parent_id, model_id, params, taken_back):
            yield update

    def _check(self, text: Any) -> None:
        most = self._guests.limits.message_chars
        if isinstance(text, str) and len(text) > most:
            raise InvalidRequest(
                f"The message has {len(text):,} characters; {most:,} are the most.", "Shorten it."
            )
