"""Buttons inside a piece of markup: one component instead of many, and which button was pressed.

A page of many components is slow to change: the browser looks at each output of an event.
"""

import html

import gradio as gr

ON_LOAD = """
element.addEventListener('click', (event) => {
  const button = event.target.closest('button[data-place]');
  if (button) trigger('select', {place: Number(button.dataset.place)});
});
"""


def format_button(place: int, text: str, css: str, name: str) -> str:
    """A button that says ``text``, and to a screen reader ``name``."""
    return (
        f'<button type="button" class="{css}" data-place="{place}"'
        f' aria-label="{html.escape(name)}">{html.escape(text)}</button>'
    )


def pressed_place(data: gr.EventData) -> int:
    """The place of the button that was pressed; -1 for what is no place."""
    place = getattr(data, "place", None)
    return place if isinstance(place, int) and not isinstance(place, bool) and place >= 0 else -1
