"""The model and the settings of a conversation: they come with it, and go when a new one begins.

Opening a conversation loads no model: many are opened to be read. The next message does.
"""

from dataclasses import dataclass
from typing import Any

import gradio as gr

from engine import Engine
from engine.errors import EngineError, InvalidRequest
from engine.sampling_json import params_from_json
from ui.answering import Answering
from ui.conversation import Conversation
from ui.errors import shows_errors
from ui.format import format_note
from ui.settings_panel import (
    FROM_CHAT,
    SettingsPanel,
    read_settings,
    settings_from,
    settings_left,
    where_from,
)


class ChatSettingsHandlers:
    """Values for the picker, the choice of presets, the settings' note, and the settings."""

    def __init__(self, engine: Engine, chatting: Answering) -> None:
        self._engine = engine
        self._chatting = chatting

    def act(self, data: gr.EventData, conversation: Conversation, *settings: Any) -> Any:
        """A press in the list: the one that opens a conversation, or deletes the one shown."""
        act, chat_id = str(getattr(data, "act", "")), str(getattr(data, "id", ""))[:64]
        if act == "open":
            return self._come(chat_id, conversation, settings)
        shown_id = conversation.chat.chat_id if conversation.chat else chat_id
        return self.leave(conversation) if act == "delete" and chat_id == shown_id else _left()

    def leave(self, conversation: Conversation) -> tuple[Any, ...]:
        """For a new conversation the settings of the page as they were, and the model of now."""
        own, conversation.own_params = conversation.own_params, None
        if own is None:
            return _left()
        note = where_from(self._has_suggestions(conversation.model_id))
        return gr.skip(), gr.skip(), note, *settings_from(own)

    def _come(
        self, chat_id: str, conversation: Conversation, settings: tuple[Any, ...]
    ) -> tuple[Any, ...]:
        model_id, kept = self._chatting.chats_of(conversation).asked_with(chat_id)
        try:
            params = params_from_json(kept) if kept else None
        except InvalidRequest:  # from an imported file
            params = None
        if params is None:
            return self.leave(conversation)
        if conversation.own_params is None:
            conversation.own_params = read_settings(settings)
        conversation.preset = ""
        picker: Any = gr.skip()
        if model_id != conversation.model_id and model_id in dict(conversation.offered).values():
            conversation.unloaded_id = model_id
            picker = gr.Dropdown(value=model_id)
        return picker, gr.Dropdown(value=""), format_note(FROM_CHAT), *settings_from(params)

    def _has_suggestions(self, model_id: str) -> bool:
        try:
            return self._engine.suggested(model_id)[1]
        except EngineError:
            return False


def _left() -> tuple[Any, ...]:
    return gr.skip(), gr.skip(), gr.skip(), *settings_left()


@dataclass(frozen=True)
class ChatSettingsPage:
    """What of the Chat tab is read and changed."""

    conversation: gr.State
    entries: gr.HTML
    new_chat: gr.Button
    model: gr.Dropdown
    preset: gr.Dropdown
    settings: SettingsPanel


def wire_chat_settings(page: ChatSettingsPage, handlers: ChatSettingsHandlers) -> list[Any]:
    """Which event calls which handler; gives the events after which the settings are others."""
    private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    inputs = page.settings.inputs()
    outputs = [page.model, page.preset, page.settings.note, *inputs]
    return [
        page.entries.select(
            shows_errors(handlers.act), [page.conversation, *inputs], outputs, **private
        ),
        page.new_chat.click(shows_errors(handlers.leave), page.conversation, outputs, **private),
    ]
