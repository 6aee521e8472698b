"""What comparing does: ask several models the same, show them in columns, go on with one."""

import asyncio
import dataclasses
import random
from collections.abc import AsyncIterator, Sequence
from typing import Any

import gradio as gr

from engine import Engine
from engine.answers import RunningAnswer
from engine.chats import StoredMessage, Written
from engine.comparing import FEWEST_COMPARED, MOST_COMPARED, Comparison
from engine.errors import ChatChanged, EngineError
from engine.records import SamplingParams
from ui.answering import BUSY_BOX, IDLE_BOX, Answering, Updates
from ui.conversation import Conversation, message_blocks
from ui.errors import show_toast
from ui.format_compare import column_names, format_column_name, format_question, reveal
from ui.settings_panel import read_settings

_COLUMN_PARTS = 4
_VIEW_PARTS = 2 + MOST_COMPARED * _COLUMN_PARTS
_NOT_NOW = "The answers are still being written: wait for them, or press Stop."


class CompareHandlers:
    """Acts on the conversation as ChatHandlers does; values for the columns are a "view"."""

    def __init__(self, engine: Engine, chatting: Answering) -> None:
        self._engine = engine
        self._chatting = chatting

    def toggle(self, conversation: Conversation) -> Any:
        """Open the choice of models, or close it."""
        conversation.is_comparing = not conversation.is_comparing
        if not conversation.is_comparing:
            return gr.Row(visible=False)
        if len(conversation.offered) < FEWEST_COMPARED:
            conversation.is_comparing = False
            gr.Info("There is one model here: download another one in Discover to compare them.")
            return gr.skip()
        return gr.Row(visible=True)

    def offer(self, conversation: Conversation) -> Any:
        """Fill the choice once it is open, with the model of the picker chosen.

        Sent together with what opens it, the page may lose it.
        """
        if not conversation.is_comparing:
            return gr.skip()
        return gr.Dropdown(choices=list(conversation.offered), value=[conversation.model_id])

    async def ask(
        self, text: str, conversation: Conversation, model_ids: Sequence[str] | None,
        is_blind: bool, *settings: Any,
    ) -> Updates:  # fmt: skip
        """Ask all chosen models: values for the log, the box, the choice and the columns."""
        skipped = _skips(3 + _VIEW_PARTS)
        if conversation.compared is not None:
            gr.Info("Choose the answer to go on with first, or go back to the chat.")
            yield skipped
            return
        if not conversation.is_comparing or not (text or "").strip():
            yield skipped
            return
        if self._chatting.is_busy(conversation):
            yield skipped
            return
        asked = self._ask(
            conversation, text, list(model_ids or ()), bool(is_blind), read_settings(settings)
        )
        async for update in self._chatting.unless_stale(conversation, asked, text):
            yield *update, *_skips(len(skipped) - len(update))

    async def come_back(self, conversation: Conversation) -> Updates:
        """Show the answers of an opened chat that are written side by side: box and columns."""
        if not conversation.comes_back or conversation.compared is None:
            yield _skips(1 + _VIEW_PARTS)
            return
        conversation.comes_back = False
        async for box, view in self._follow(conversation):
            yield box, *view

    def side_by_side(self, data: gr.EventData, conversation: Conversation) -> tuple[Any, ...]:
        """A link in the log that puts the versions of a turn side by side."""
        kind, _, number = str(getattr(data, "target_link", ""))[:80].partition("-")
        chat = conversation.chat
        message = chat.message(int(number)) if chat and number.isdecimal() else None
        if kind != "compare" or chat is None or message is None or message.versions < 2:
            return _skips(_VIEW_PARTS)
        if self._chatting.is_busy(conversation):
            return _skips(_VIEW_PARTS)
        versions = self._chatting.chats_of(conversation).versions(chat.chat_id, message.message_id)
        first = max(0, min(message.version - 2, len(versions) - MOST_COMPARED))
        shown = versions[first : first + MOST_COMPARED]
        conversation.compared = Comparison(chat.chat_id, tuple(m.message_id for m in shown))
        return self._view(conversation)

    def stop(self, conversation: Conversation) -> None:
        """End all answers that are being written side by side; what was written stays."""
        for running in self._running(conversation):
            running.stop()

    def choose(self, place: int, conversation: Conversation) -> tuple[Any, ...]:
        """Go on with one: values for the columns' panel, the log, the picker and the list."""
        compared, chat = conversation.compared, conversation.chat
        if compared is None or chat is None or place >= len(compared.message_ids):
            return _skips(3)
        if self._running(conversation):
            gr.Info(_NOT_NOW)
            return _skips(3)
        chats = self._chatting.chats_of(conversation)
        messages = self._messages(conversation)
        try:
            chats.choose(chat.chat_id, chat.revision, compared.message_ids[place])
        except ChatChanged as error:
            show_toast(error)
        else:
            if compared.is_blind:
                gr.Info(reveal(messages, place))
        return self._closed(conversation, messages[place].model_id)

    def back(self, conversation: Conversation) -> tuple[Any, ...]:
        """Leave the columns without a choice; the version that was shown last is shown."""
        if self._running(conversation):
            gr.Info(_NOT_NOW)
            return _skips(3)
        return self._closed(conversation, "")

    def leave(self, data: gr.EventData) -> Any:
        """Take the columns away before another conversation of the list is shown."""
        is_left = getattr(data, "act", "") in ("open", "delete")
        return gr.Column(visible=False) if is_left else gr.skip()

    def close(self) -> Any:
        """Take the columns away for a new conversation."""
        return gr.Column(visible=False)

    async def _ask(
        self, conversation: Conversation, text: str, model_ids: list[str], is_blind: bool,
        params: SamplingParams,
    ) -> Updates:  # fmt: skip
        if is_blind:
            random.shuffle(model_ids)
        plan = self._engine.comparing.plan(model_ids)
        chats = self._chatting.chats_of(conversation)
        said = self._chatting.say(conversation, text)
        chat = conversation.chat
        assert chat is not None
        places = chats.begin_answers(
            chat.chat_id, chat.revision, said, plan.model_ids, dataclasses.asdict(params)
        )
        conversation.chat = chats.read(chat.chat_id)
        conversation.compared = self._engine.comparing.begin(
            chats, places, conversation.messages(before=said), params, plan, is_blind
        )
        conversation.is_comparing = False
        yield gr.skip(), "", gr.Row(visible=False)
        closed, epoch = gr.Row(visible=False), conversation.epoch
        async for box, view in self._follow(conversation):
            yield gr.skip(), box, closed, *view
        if conversation.epoch != epoch:
            return
        if not any(m.text or m.reasoning for m in self._messages(conversation)):
            yield self._nothing_came(conversation, said, text)

    def _nothing_came(self, conversation: Conversation, said: int, text: str) -> tuple[Any, ...]:
        """Say why, and give the message back."""
        errors = [m.details.get("error") for m in self._messages(conversation)]
        if error := next((str(one) for one in errors if one), ""):
            show_toast(EngineError(error))
        assert conversation.chat is not None
        place = Written(conversation.chat.chat_id, conversation.chat.revision)
        log, box = self._chatting.take_back(conversation, place, said, text)
        conversation.compared, conversation.is_comparing = None, True
        return log, box, gr.Row(visible=True), gr.Column(visible=False), *_skips(_VIEW_PARTS - 1)

    async def _follow(self, conversation: Conversation) -> AsyncIterator[tuple[Any, Any]]:
        """The box and views as the answers come, until all are whole or the page turns away."""
        epoch, compared = conversation.epoch, conversation.compared
        assert compared is not None
        conversation.answering_id = compared.message_ids[-1]
        yield gr.Textbox(**BUSY_BOX), self._view(conversation)
        seen: dict[int, int] = {}
        while running := self._running(conversation):
            versions = {one.message_id: one.wait(-1, 0) for one in running}
            changed = {n for n in seen.keys() | versions.keys() if seen.get(n) != versions.get(n)}
            if changed:
                yield gr.Textbox(**BUSY_BOX), self._view(conversation, changed)
            seen = versions
            await asyncio.sleep(self._chatting.pause_s())
            if conversation.epoch != epoch:
                yield gr.skip(), _skips(_VIEW_PARTS)  # Gradio sends the last value once more
                return
        conversation.answering_id = 0
        conversation.chat = self._chatting.chats_of(conversation).read(compared.chat_id)
        yield gr.Textbox(**IDLE_BOX), self._view(conversation)

    def _closed(self, conversation: Conversation, model_id: str) -> tuple[Any, ...]:
        """The log again instead of the columns; the picker shows the model to go on with."""
        conversation.compared = None
        if conversation.chat is not None:
            chats = self._chatting.chats_of(conversation)
            conversation.chat = chats.read(conversation.chat.chat_id)
        is_offered = model_id in [one for _, one in conversation.offered]
        picker = gr.Dropdown(value=model_id) if is_offered else gr.skip()
        return gr.Column(visible=False), self._chatting.blocks(conversation), picker

    def _view(self, conversation: Conversation, changed: set[int] | None = None) -> tuple[Any, ...]:
        """The columns; of answers that have not changed without their text.

        The page may lose an update of what it is about to show, so each one says what is seen. An
        answer can be chosen once all are whole.
        """
        compared = conversation.compared
        assert compared is not None
        running = {one.message_id: one.state() for one in self._running(conversation)}
        messages = self._messages(conversation)
        view: list[Any] = [gr.Column(visible=True), self._question(conversation, messages[0])]
        names = column_names(messages, compared.is_blind)
        for name, message in zip(names, messages, strict=True):
            state = running.get(message.message_id)
            is_changed = changed is None or message.message_id in changed
            blocks = message_blocks(message, state, has_links=False) if is_changed else gr.skip()
            heading = gr.Column(visible=True), format_column_name(name)
            view += [*heading, blocks, gr.Button(interactive=not running)]
        unused = gr.Column(visible=False), *_skips(_COLUMN_PARTS - 1)
        return tuple(view + (MOST_COMPARED - len(messages)) * list(unused))

    def _question(self, conversation: Conversation, answer: StoredMessage) -> str:
        assert conversation.chat is not None and conversation.compared is not None
        asked = conversation.chat.message(answer.parent_id or 0)
        return format_question(asked.text if asked else "", conversation.compared)

    def _messages(self, conversation: Conversation) -> list[StoredMessage]:
        """The compared answers as they are stored, in the order of the columns."""
        compared = conversation.compared
        assert compared is not None
        chats = self._chatting.chats_of(conversation)
        versions = chats.versions(compared.chat_id, compared.message_ids[0])
        known = {message.message_id: message for message in versions}
        return [known[number] for number in compared.message_ids if number in known]

    def _running(self, conversation: Conversation) -> tuple[RunningAnswer, ...]:
        if conversation.compared is None:
            return ()
        chats = self._chatting.chats_of(conversation)
        return self._engine.comparing.running(chats, conversation.compared)


def _skips(count: int) -> tuple[Any, ...]:
    return tuple(gr.skip() for _ in range(count))
