"""A choice that is made for a model, beside the chat, and that loads the model anew."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from typing import Any

import gradio as gr

from engine import Engine
from engine.errors import EngineError
from ui.conversation import Conversation
from ui.errors import show_toast, shows_errors

FollowLoad = Callable[[str, Conversation], AsyncIterator[str]]


class ModelChoice(ABC):
    """Shows and changes the choice of the model that a page shows.

    ``follow_load`` says in pills how far the load of a model is.
    """

    def __init__(self, engine: Engine, follow_load: FollowLoad) -> None:
        self._engine = engine
        self._follow_load = follow_load

    @abstractmethod
    def show(self, model_id: str) -> gr.Radio:
        """What this model can choose from, and what is chosen."""

    @abstractmethod
    def chosen(self, model_id: str) -> Any:
        """What is chosen for this model now."""

    @abstractmethod
    def apply(self, model_id: str, value: Any) -> None:
        """Choose, and begin to load the model anew. Raises InUse while it answers."""

    async def choose(
        self, value: Any, model_id: str, conversation: Conversation
    ) -> AsyncIterator[tuple[Any, Any]]:
        """Load the model anew so; where that cannot be, as it was before."""
        before = self.chosen(model_id)
        try:
            await asyncio.to_thread(self.apply, model_id, value)
            async for pill in self._follow_load(model_id, conversation):
                yield pill, gr.skip()
            return
        except EngineError as error:
            show_toast(error)
        if self.chosen(model_id) != before:
            await asyncio.to_thread(self.apply, model_id, before)
        async for pill in self._follow_load(model_id, conversation):
            yield pill, gr.skip()
        yield gr.skip(), await asyncio.to_thread(self.show, model_id)


def wire_model_choice(
    choice: gr.Radio, handlers: ModelChoice, model: gr.Dropdown, status: gr.HTML,
    conversation: gr.State,
) -> None:  # fmt: skip
    """Show what there is for the chosen model, and do what is chosen."""
    private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    model.change(shows_errors(handlers.show), model, choice, **private)
    choice.input(
        shows_errors(handlers.choose), [choice, model, conversation], [status, choice], **private
    )
