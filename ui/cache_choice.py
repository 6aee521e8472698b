"""How a model keeps what it has read: chosen beside the chat, with the memory each way takes."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import gradio as gr

from engine import Engine
from engine.errors import EngineError
from engine.preferences import PLAIN_KV_BITS
from ui.conversation import Conversation
from ui.errors import show_toast, shows_errors
from ui.format import format_bytes

FollowLoad = Callable[[str, Conversation], AsyncIterator[str]]
_PACKED = (
    "What a whole context takes. Packed: one answer at a time, slower on a processor; 4 bits may"
    " cost quality"
)


def build_cache_choice() -> gr.Radio:
    """The control, hidden until a model is there whose cache can be packed."""
    return gr.Radio(
        [("Full", PLAIN_KV_BITS)], value=PLAIN_KV_BITS, visible=False, elem_id="kv-bits",
        label="Memory for what was read", info=_PACKED,
    )  # fmt: skip


class CacheChoiceHandlers:
    """Shows and changes the choice of the model that a page shows.

    ``follow_load`` says in pills how far the load of a model is.
    """

    def __init__(self, engine: Engine, follow_load: FollowLoad) -> None:
        self._engine = engine
        self._follow_load = follow_load

    def show(self, model_id: str) -> Any:
        """What this model can choose from, at its own context."""
        try:
            sizes = self._engine.library.kv_choices(model_id)
        except EngineError:
            sizes = {}
        return gr.Radio(
            choices=[(_choice(bits, size), bits) for bits, size in sizes.items()],
            value=self._engine.preferences.kv_bits(model_id),
            visible=len(sizes) > 1,
        )

    async def choose(
        self, bits: int, model_id: str, conversation: Conversation
    ) -> AsyncIterator[tuple[Any, Any]]:
        """Load the model anew so; where that cannot be, as it was before."""
        before = self._engine.preferences.kv_bits(model_id)
        try:
            await asyncio.to_thread(self._engine.choose_kv_bits, model_id, bits)
            async for pill in self._follow_load(model_id, conversation):
                yield pill, gr.skip()
            return
        except EngineError as error:
            show_toast(error)
        if self._engine.preferences.kv_bits(model_id) != before:
            await asyncio.to_thread(self._engine.choose_kv_bits, model_id, before)
        async for pill in self._follow_load(model_id, conversation):
            yield pill, gr.skip()
        yield gr.skip(), self.show(model_id)


def _choice(bits: int, size_bytes: int) -> str:
    name = "Full" if bits == PLAIN_KV_BITS else f"{bits} bits"
    return f"{name}: {format_bytes(size_bytes)}"


def wire_cache_choice(
    choice: gr.Radio, handlers: CacheChoiceHandlers, model: gr.Dropdown, status: gr.HTML,
    conversation: gr.State,
) -> None:  # fmt: skip
    """Show what the chosen model can do, and do what is chosen."""
    private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    model.change(shows_errors(handlers.show), model, choice, **private)
    choice.input(
        shows_errors(handlers.choose), [choice, model, conversation], [status, choice], **private
    )
