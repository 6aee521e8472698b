"""What is kept on disk so that chats opened again need not be read again: its size, and an end."""

from dataclasses import dataclass
from typing import Any

import gradio as gr

from engine import Engine
from ui.errors import shows_errors
from ui.format import format_bytes, format_note

CLEAR_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class KeptPromptsView:
    """A line and a button."""

    note: gr.HTML
    clear: gr.Button


def build_kept_prompts() -> KeptPromptsView:
    """The layout; filled when the tab is opened."""
    with gr.Row(elem_id="kept-prompts"):
        note = gr.HTML("", elem_id="kept-prompts-note")
        clear = gr.Button("Delete", size="sm", scale=0, min_width=96, elem_id="clear-prompts")
    return KeptPromptsView(note, clear)


class KeptPromptsHandlers:
    """Shows and deletes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def show(self) -> tuple[str, Any]:
        """How much there is now."""
        size_bytes = self._engine.inference.kept_prompts.size_bytes
        limit = format_bytes(self._engine.settings.limits.kept_prompts_bytes)
        text = f"What models have read of your chats, kept on disk: {format_bytes(size_bytes)}"
        more = f" of at most {limit}. Chats opened again go on sooner with it."
        return format_note(text + more), gr.Button(interactive=size_bytes > 0)

    def clear(self) -> tuple[str, Any]:
        """Delete all of it; the chats themselves stay."""
        self._engine.inference.kept_prompts.clear().result(CLEAR_TIMEOUT_S)
        return self.show()


def wire_kept_prompts(view: KeptPromptsView, handlers: KeptPromptsHandlers, tab: gr.Tab) -> None:
    """Look when the tab is opened."""
    private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    shown = [view.note, view.clear]
    tab.select(shows_errors(handlers.show), None, shown, **private)
    view.clear.click(shows_errors(handlers.clear), None, shown, **private)
