"""The model picker of the Chat tab: what can be chosen, and loading it with visible progress."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import gradio as gr

from engine import Engine
from engine.errors import EngineError
from engine.settings import GUIDE_ID
from ui.conversation import Conversation
from ui.format import format_bytes, format_choice, format_pill, format_progress, model_title
from ui.pacing import UPDATE_S
from ui.settings_panel import settings_skips, settings_updates

HERE = "## What is on your mind?\nEverything you write stays on this computer."
ELSEWHERE = "## What is on your mind?\nWhat you write is sent to “%s”."
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


def examples_for(model_id: str) -> list[Any]:
    """What can be asked with one click in an empty chat."""
    texts = _GUIDE_EXAMPLES if model_id == GUIDE_ID else _EXAMPLES
    return [{"text": text} for text in texts]


class ModelHandlers:
    """Holds the engine; the chosen model is in the visitor's Conversation."""

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
        here = [(format_choice(model), model.repo_id) for model in self._engine.library.list()]
        elsewhere = [
            (f"{model.name} · {model.source}", model.model_id)
            for model in self._engine.remote.models()
        ]
        return here + elsewhere

    async def choose_model(
        self, model_id: str, conversation: Conversation
    ) -> AsyncIterator[tuple[Any, ...]]:
        """Offer the model's own settings, and load it with visible progress."""
        conversation.model_id = model_id
        comes_with_chat = model_id == conversation.unloaded_id
        if not comes_with_chat:
            conversation.unloaded_id = ""
        examples = gr.Chatbot(
            examples=examples_for(model_id), placeholder=self._placeholder(model_id)
        )
        if comes_with_chat:
            yield self.pill(conversation), examples, *settings_skips()
            return
        suggested = await asyncio.to_thread(self.suggest, model_id)
        if conversation.preset:  # what was chosen by name stays
            suggested = settings_skips()
        yield format_pill("opening", "busy"), examples, *suggested
        async for pill in self.follow_load(model_id, conversation):
            yield pill, examples, *settings_skips()

    def pill(self, conversation: Conversation) -> Any:
        """What there is to say of a model that came with a chat; of others nothing new."""
        model_id = conversation.unloaded_id
        if not model_id:
            return gr.skip()
        if self._engine.remote.knows(model_id):
            return _format_elsewhere(model_id)
        if model_id in {model.repo_id for model in self._engine.inference.loaded()}:
            return format_pill("ready", "ready")
        return format_pill("loads with your next message", "empty")

    def suggest(self, model_id: str) -> tuple[Any, ...]:
        """The settings that the model's makers recommend."""
        try:
            return settings_updates(*self._engine.suggested(model_id))
        except EngineError:
            return settings_skips()

    def _placeholder(self, model_id: str) -> str:
        """What an empty chat says of where its messages go."""
        if self._engine.remote.knows(model_id):
            return ELSEWHERE % model_id.partition(":")[0]
        return HERE

    async def follow_load(self, model_id: str, conversation: Conversation) -> AsyncIterator[str]:
        """Pills on the way to a loaded model, until another one is chosen."""
        if self._engine.remote.knows(model_id):
            yield _format_elsewhere(model_id)
            return
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


def _format_elsewhere(model_id: str) -> str:
    return format_pill(f"on {model_id.partition(':')[0]}", "ready")
