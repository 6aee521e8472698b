"""The Chat tab: its components, and what happens on which event."""

from dataclasses import dataclass
from typing import Any

import gradio as gr

from engine.settings import GUIDE_ID
from ui.attachments import (
    AttachmentHandlers,
    Attachments,
    build_button,
    build_chips,
    wire_attachments,
)
from ui.chat_handlers import ChatHandlers
from ui.chat_list import ChatList, ChatListHandlers, build_chat_list, wire_chat_list
from ui.compare import (
    ComparePage,
    CompareView,
    build_compare_button,
    build_compare_choice,
    build_compare_columns,
    wire_compare,
)
from ui.compare_handlers import CompareHandlers
from ui.context_meter import build_meter
from ui.conversation import Conversation
from ui.errors import shows_errors
from ui.format import format_pill
from ui.model_picker import HERE, ModelHandlers, examples_for
from ui.presets import PresetView, build_preset_choice, build_presets
from ui.settings_panel import SettingsPanel, build_settings, wire_settings

LATEX: list[dict[str, str | bool]] = [
    {"left": "$$", "right": "$$", "display": True},
    {"left": "\\[", "right": "\\]", "display": True},
    {"left": "\\(", "right": "\\)", "display": False},
]


@dataclass(frozen=True)
class ChatView:
    """The components of the tab."""

    conversation: gr.State
    chats: ChatList
    model: gr.Dropdown
    model_status: gr.HTML
    new_chat: gr.Button
    settings_button: gr.Button
    settings: SettingsPanel
    log: gr.Chatbot
    box: gr.Textbox
    attachments: Attachments
    compare: CompareView
    presets: PresetView
    meter: gr.HTML


def build_chat() -> ChatView:
    """The layout: a bar with the model, the log, the composer, the settings beside them."""
    with gr.Row(elem_id="chat-bar"):
        toggle = gr.Button("Chats", elem_id="chats-button", scale=0, min_width=80, size="md")
        model = gr.Dropdown(
            label="Model", show_label=False, container=False, elem_id="model", scale=3,
            min_width=180, filterable=True,
        )  # fmt: skip
        model_status = gr.HTML(format_pill("starting", "busy"), elem_id="model-status")
        new_chat = gr.Button("New chat", elem_id="new-chat", scale=0, min_width=96, size="md")
        settings_button = gr.Button(
            "Settings", elem_id="settings-button", scale=0, min_width=96, size="md"
        )
    with gr.Row(elem_id="chat-row"):
        chats = build_chat_list(toggle)
        with gr.Column(scale=1, min_width=280, elem_id="chat-main"):
            log = gr.Chatbot(
                elem_id="log", label="Conversation", show_label=False, layout="panel",
                buttons=["copy"], feedback_options=None, group_consecutive_messages=False,
                placeholder=HERE, examples=examples_for(GUIDE_ID),
                latex_delimiters=LATEX, height="100%", autoscroll=True, allow_tags=False,
                editable="all",
            )  # fmt: skip
            columns = build_compare_columns(LATEX)
            with gr.Column(elem_id="composer"):
                choice = build_compare_choice()
                chips = build_chips()
                with gr.Row(elem_id="composer-row"):
                    attach = build_button()
                    box = gr.Textbox(
                        elem_id="message", label="Message", show_label=False, lines=1,
                        max_lines=8, placeholder="Write a message", submit_btn=True,
                        stop_btn=False, autofocus=True,
                    )  # fmt: skip
                with gr.Row(elem_id="composer-bar"):
                    button = build_compare_button()
                    preset = build_preset_choice()
                    meter = build_meter()
        settings = build_settings()
        with settings.panel:
            presets = build_presets(preset)
    return ChatView(
        gr.State(Conversation()),
        chats, model, model_status, new_chat, settings_button, settings, log, box,
        Attachments(attach, chips), CompareView(button, choice, columns), presets, meter,
    )  # fmt: skip


def wire_chat(
    view: ChatView, chatting: ChatHandlers, models: ModelHandlers, listing: ChatListHandlers,
    attaching: AttachmentHandlers, comparing: CompareHandlers, demo: gr.Blocks, tab: gr.Tab,
) -> list[Any]:  # fmt: skip
    """Which event calls which handler; gives the events after which the chat is another one."""
    private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    conversation, shown = view.conversation, [view.log, view.box]
    chosen = [view.model_status, view.log, *view.settings.outputs()]
    for event in (demo.load, tab.select):
        event(shows_errors(models.list_models), conversation, view.model, **private)
        event(shows_errors(listing.entries), conversation, view.chats.entries, **private)
    # A download may have ended, or a model have been deleted, since the tab was opened.
    view.model.focus(shows_errors(models.add_choices), conversation, view.model, **private)
    # A click on an option fires "input" twice and the keyboard fires no "select".
    view.model.change(
        shows_errors(models.choose_model), [view.model, conversation], chosen, **private
    )
    files = shows_errors(attaching.chips), conversation, view.attachments.chips
    changed = _wire_answers(view, chatting, listing)
    for event in changed:
        event.then(*files, **private)
    wire_attachments(view.attachments, attaching, conversation, view.box, view.model)
    opened = wire_chat_list(view.chats, listing, conversation, shown)
    page = ComparePage(
        view.log, view.box, view.model, view.chats.entries, conversation, view.settings.inputs()
    )
    wire_compare(view.compare, page, comparing, listing, opened)
    for left in (view.new_chat.click, view.chats.files.button.upload):
        left(shows_errors(comparing.close), None, view.compare.panel, queue=False, **private)
    for event in changed:
        event.then(shows_errors(models.pill), conversation, view.model_status, **private)
    wire_settings(view.settings, view.settings_button, shows_errors(models.suggest), view.model)
    return [*changed, opened]


def _wire_answers(view: ChatView, chatting: ChatHandlers, listing: ChatListHandlers) -> list[Any]:
    """What asks for answers or turns to another chat; gives the events, for what follows them."""
    private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    direct = {**private, "queue": False}
    conversation, shown = view.conversation, [view.log, view.box]
    asked = [conversation, view.model, *view.settings.inputs()]
    everything = [*shown, view.chats.entries]
    send = shows_errors(listing.beside(chatting.send)), [view.box, *asked], everything
    view.box.stop(shows_errors(chatting.stop), conversation, None, **direct)
    example = view.log.example_select(example_text, None, view.box, **direct)
    begun = view.new_chat.click(shows_errors(chatting.new_chat), conversation, shown, **direct)
    return [
        view.box.submit(*send, trigger_mode="multiple", **private),
        example.then(*send, **private),
        begun.then(
            shows_errors(listing.entries), conversation, view.chats.entries, **private
        ),
        *(
            event(shows_errors(listing.beside(handler)), asked, everything, **private)
            for event, handler in (
                (view.log.retry, chatting.regenerate), (view.log.edit, chatting.edit),
                (view.chats.entries.like, chatting.follow_link),
            )
        ),
    ]  # fmt: skip


def example_text(event: gr.SelectData) -> str:
    """The question behind an example."""
    return str(event.value["text"])
