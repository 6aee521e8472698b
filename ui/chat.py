"""The Chat tab: its components, its handlers, and what happens on which event."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import gradio as gr

from engine import ChatTicket, Engine
from engine.errors import EngineError
from engine.records import SamplingParams
from engine.settings import GUIDE_ID
from ui.conversation import Answer, Conversation
from ui.errors import show_toast, shows_errors
from ui.format import format_bytes, format_choice, format_pill, format_progress, model_title
from ui.settings_panel import (
    SettingsPanel,
    build_settings,
    read_settings,
    settings_skips,
    settings_updates,
    wire_settings,
)

UPDATE_S = 0.1
FIRST_POLL_S = 0.03
_GUIDE_EXAMPLES = (
    "What can I do here?",
    "Which model should I download?",
    "What does quantisation mean?",
)
_EXAMPLES = (
    "Explain how a rainbow forms, in plain words",
    "Plan a quiet weekend by the sea",
    "Write a Python function that finds prime numbers",
)
_PLACEHOLDER = "## What is on your mind?\nEverything you write stays on this computer."
_LATEX: list[dict[str, str | bool]] = [
    {"left": "$$", "right": "$$", "display": True},
    {"left": "\\[", "right": "\\]", "display": True},
    {"left": "\\(", "right": "\\)", "display": False},
]
_BUSY_BOX: dict[str, Any] = {"submit_btn": False, "stop_btn": True}
_IDLE_BOX: dict[str, Any] = {"submit_btn": True, "stop_btn": False}


@dataclass(frozen=True)
class ChatView:
    """The components of the tab."""

    conversation: gr.State
    model: gr.Dropdown
    model_status: gr.HTML
    new_chat: gr.Button
    settings_button: gr.Button
    settings: SettingsPanel
    log: gr.Chatbot
    box: gr.Textbox


def build_chat() -> ChatView:
    """The layout: a bar with the model, the log, the composer, the settings beside them."""
    with gr.Row(elem_id="chat-bar"):
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
        with gr.Column(scale=1, min_width=280, elem_id="chat-main"):
            log = gr.Chatbot(
                elem_id="log", label="Conversation", show_label=False, layout="panel",
                buttons=["copy"], feedback_options=None, group_consecutive_messages=False,
                placeholder=_PLACEHOLDER, examples=_examples_for(GUIDE_ID),
                latex_delimiters=_LATEX, height="100%", autoscroll=True, allow_tags=False,
            )  # fmt: skip
            with gr.Column(elem_id="composer"):
                box = gr.Textbox(
                    elem_id="message", label="Message", show_label=False, lines=1, max_lines=8,
                    placeholder="Write a message", submit_btn=True, stop_btn=False, autofocus=True,
                )  # fmt: skip
        settings = build_settings()
    return ChatView(
        gr.State(Conversation(), delete_callback=Conversation.stop),
        model, model_status, new_chat, settings_button, settings, log, box,
    )  # fmt: skip


def _examples_for(model_id: str) -> list[Any]:
    texts = _GUIDE_EXAMPLES if model_id == GUIDE_ID else _EXAMPLES
    return [{"text": text} for text in texts]


class ChatHandlers:
    """What the tab does. Holds the engine; a visitor's own things are in the Conversation."""

    def __init__(self, engine: Engine, default_model: str) -> None:
        self._engine = engine
        self._default_model = default_model

    def list_models(self, conversation: Conversation) -> Any:
        """Fill the model picker with what is installed now; a first choice then loads it."""
        choices = self._choices()
        conversation.offered = tuple(choices)
        names = [repo_id for _, repo_id in choices]
        chosen = conversation.model_id or self._default_model
        if chosen not in names:
            chosen = self._default_model if self._default_model in names else names[0]
        return gr.Dropdown(choices=choices, value=chosen)

    def add_choices(self, conversation: Conversation) -> Any:
        """Offer what was installed since; nothing is taken away under an open list.

        Gradio 6's Dropdown fails in the page when its open list becomes shorter.
        """
        choices = self._choices()
        names = {repo_id for _, repo_id in choices}
        choices += [old for old in conversation.offered if old[1] not in names]
        if choices == list(conversation.offered):
            return gr.skip()
        conversation.offered = tuple(choices)
        return gr.Dropdown(choices=choices)

    def talk_to(self, repo_id: str, conversation: Conversation) -> Any:
        """Pick a model for this visitor, as if from the list."""
        conversation.model_id = repo_id
        return self.list_models(conversation)

    def _choices(self) -> list[tuple[str, str]]:
        return [(format_choice(model), model.repo_id) for model in self._engine.library.list()]

    async def choose_model(
        self, model_id: str, conversation: Conversation
    ) -> AsyncIterator[tuple[Any, ...]]:
        """Offer the model's own settings, and load it with visible progress."""
        conversation.model_id = model_id
        examples = gr.Chatbot(examples=_examples_for(model_id))
        suggested = await asyncio.to_thread(self.suggest, model_id)
        yield format_pill("opening", "busy"), examples, *suggested
        async for pill in self._follow_load(model_id, conversation):
            yield pill, gr.skip(), *settings_skips()

    async def send(
        self, text: str, conversation: Conversation, model_id: str, *settings: Any
    ) -> AsyncIterator[tuple[Any, ...]]:
        """Answer a new message. On failure the message goes back into the box."""
        if not text or not text.strip():
            yield gr.skip(), gr.skip()
            return
        if conversation.is_answering:
            gr.Info("One answer at a time: wait for it, or press Stop.")
            yield gr.skip(), gr.skip()
            return
        conversation.turns.append((text, Answer()))
        async for update in self._answer(conversation, model_id, read_settings(settings)):
            yield update

    async def regenerate(
        self, conversation: Conversation, model_id: str, *settings: Any
    ) -> AsyncIterator[tuple[Any, ...]]:
        """Answer the last message once more."""
        if not conversation.turns or conversation.is_answering:
            yield gr.skip(), gr.skip()
            return
        text, old = conversation.turns[-1]
        conversation.turns[-1] = (text, Answer())
        params = read_settings(settings)
        async for update in self._answer(conversation, model_id, params, fallback=old):
            yield update

    async def _answer(
        self,
        conversation: Conversation,
        model_id: str,
        params: SamplingParams,
        fallback: Answer | None = None,
    ) -> AsyncIterator[tuple[Any, ...]]:
        """Stream the answer to the last turn; take the turn back when not a word came."""
        text, answer = conversation.turns[-1]
        epoch = conversation.epoch
        ticket = None
        try:
            ticket = self._engine.inference.chat(conversation.messages(), params, model_id)
            conversation.ticket = ticket
            emptied: dict[str, Any] = {} if fallback else {"value": ""}
            yield conversation.blocks(), gr.Textbox(**_BUSY_BOX, **emptied)
            async for _ in _follow_answer(ticket, answer):
                if conversation.epoch != epoch:
                    return
                yield conversation.blocks(), gr.skip()
            yield conversation.blocks(), gr.Textbox(**_IDLE_BOX)
        except EngineError as error:
            show_toast(error)
            if conversation.epoch == epoch:
                yield _after_failure(conversation, text, answer, fallback)
        finally:
            if ticket is not None:
                ticket.cancel()
            if conversation.ticket is ticket:
                conversation.ticket = None

    def stop(self, conversation: Conversation) -> None:
        """End the answer being written; what was written stays."""
        conversation.stop()

    def new_chat(self, conversation: Conversation) -> tuple[Any, ...]:
        """Begin with an empty log. What stands in the box stays."""
        conversation.clear()
        return [], gr.Textbox(**_IDLE_BOX)

    def suggest(self, model_id: str) -> tuple[Any, ...]:
        """The settings that the model's makers recommend."""
        try:
            model = self._engine.library.find(model_id)
        except EngineError:
            return settings_skips()
        return settings_updates(model.suggested, model.has_suggestions)

    async def _follow_load(self, model_id: str, conversation: Conversation) -> AsyncIterator[str]:
        """Pills on the way to a loaded model, until another one is chosen."""
        loading = self._engine.inference.load(model_id)
        title = model_title(model_id, model_id == GUIDE_ID)
        while not loading.done():
            if conversation.model_id != model_id:
                return
            progress = self._engine.inference.loading().get(model_id)
            if progress and progress.total_bytes:
                done = progress.done_bytes / progress.total_bytes
                yield format_progress(f"loading {format_bytes(progress.total_bytes)}", done)
            await asyncio.sleep(UPDATE_S)
        if conversation.model_id != model_id:
            return
        error = loading.exception()
        if error is None:
            can_chat = loading.result().has_chat_template
            yield (
                format_pill("ready", "ready") if can_chat else format_pill("cannot chat", "failed")
            )
            return
        yield format_pill(f"{title} could not be loaded", "failed")
        raise error


async def _follow_answer(ticket: ChatTicket, answer: Answer) -> AsyncIterator[None]:
    """Apply events as they come, and say when there is something new to show."""
    while not answer.is_done:
        started_at = time.perf_counter()
        events = ticket.drain(timeout_s=0)
        for event in events:
            answer.apply(event)
        if events:
            yield None
        if answer.is_done:
            return
        pause_s = UPDATE_S if answer.text or answer.reasoning else FIRST_POLL_S
        await asyncio.sleep(max(0.0, pause_s - (time.perf_counter() - started_at)))


def _after_failure(
    conversation: Conversation, text: str, answer: Answer, fallback: Answer | None
) -> tuple[Any, ...]:
    """Keep a partial answer, marked; otherwise give the typed message back."""
    if answer.text or answer.reasoning:
        answer.fail()
        return conversation.blocks(), gr.Textbox(**_IDLE_BOX)
    if fallback is not None:
        conversation.turns[-1] = (text, fallback)
        return conversation.blocks(), gr.Textbox(**_IDLE_BOX)
    conversation.turns.pop()
    return conversation.blocks(), gr.Textbox(value=text, **_IDLE_BOX)


def wire_chat(view: ChatView, handlers: ChatHandlers, demo: gr.Blocks, tab: gr.Tab) -> None:
    """Which event calls which handler."""
    private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    direct = {**private, "queue": False}
    asked = [view.conversation, view.model, *view.settings.inputs()]
    shown = [view.log, view.box]
    chosen = [view.model_status, view.log, *view.settings.outputs()]
    for event in (demo.load, tab.select):
        event(shows_errors(handlers.list_models), view.conversation, view.model, **private)
    # A download may have ended, or a model have been deleted, since the tab was opened.
    view.model.focus(shows_errors(handlers.add_choices), view.conversation, view.model, **private)
    # A click on an option fires "input" twice and the keyboard fires no "select".
    view.model.change(
        shows_errors(handlers.choose_model), [view.model, view.conversation], chosen, **private
    )
    view.box.submit(
        shows_errors(handlers.send), [view.box, *asked], shown, trigger_mode="multiple", **private
    )
    view.log.example_select(_example_text, None, view.box, **direct).then(
        shows_errors(handlers.send), [view.box, *asked], shown, **private
    )
    view.log.retry(shows_errors(handlers.regenerate), asked, shown, **private)
    view.box.stop(shows_errors(handlers.stop), view.conversation, None, **direct)
    view.new_chat.click(shows_errors(handlers.new_chat), view.conversation, shown, **direct)
    wire_settings(view.settings, view.settings_button, shows_errors(handlers.suggest), view.model)


def _example_text(event: gr.SelectData) -> str:
    return str(event.value["text"])
