"""A smaller model that guesses the words of the chosen one: chosen beside the chat, if any."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import gradio as gr

from engine import Engine
from engine.errors import EngineError
from ui.cache_choice import FollowLoad
from ui.conversation import Conversation
from ui.errors import show_toast, shows_errors

_NONE = ("None", "")
_MOST_OFFERED = 8
_INFO = (
    "Guesses words, which the model checks. The line under an answer says what it gains; one that"
    " loses is switched off. One answer at a time"
)


def build_draft_choice() -> gr.Radio:
    """The control, hidden until there is a model that could draft.

    No list that opens: at the end of a panel that scrolls it would open out of sight.
    """
    return gr.Radio(
        [_NONE], value="", visible=False, elem_id="draft-model",
        label="Draft model", info=_INFO,
    )  # fmt: skip


class DraftChoiceHandlers:
    """Shows and changes the draft of the model that a page shows.

    ``follow_load`` says in pills how far the load of a model is.
    """

    def __init__(self, engine: Engine, follow_load: FollowLoad) -> None:
        self._engine = engine
        self._follow_load = follow_load

    def show(self, model_id: str) -> Any:
        """Models that could draft for this one, where both fit into memory."""
        try:
            names = self._engine.library.draft_choices(model_id)[:_MOST_OFFERED]
        except EngineError:
            names = ()
        chosen = self._engine.preferences.draft(model_id)
        return gr.Radio(
            choices=[_NONE, *((name, name) for name in names)],
            value=chosen if chosen in names else "",
            visible=bool(names),
        )

    async def choose(
        self, draft_id: str, model_id: str, conversation: Conversation
    ) -> AsyncIterator[tuple[Any, Any]]:
        """Load the model anew with it; while it answers all stays as it is."""
        try:
            await asyncio.to_thread(self._engine.choose_draft, model_id, draft_id)
        except EngineError as error:
            show_toast(error)
            yield gr.skip(), await asyncio.to_thread(self.show, model_id)
            return
        async for pill in self._follow_load(model_id, conversation):
            yield pill, gr.skip()


def wire_draft_choice(
    choice: gr.Radio, handlers: DraftChoiceHandlers, model: gr.Dropdown, status: gr.HTML,
    conversation: gr.State,
) -> None:  # fmt: skip
    """Show what there is for the chosen model, and do what is chosen."""
    private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    model.change(shows_errors(handlers.show), model, choice, **private)
    choice.input(
        shows_errors(handlers.choose), [choice, model, conversation], [status, choice], **private
    )
