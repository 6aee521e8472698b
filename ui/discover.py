"""The Discover tab. Searching the Hub is not built yet, and the page says so."""

import gradio as gr

_TEXT = """### Finding models is on its way
This version does not search or download yet. To use a model of your own now, put its folder into
the models folder (**Manage** shows where that is), or start with `python app.py --model FOLDER`.
Models that you downloaded with other tools into the Hugging Face cache or LM Studio's folder are
found by themselves.
"""


def build_discover() -> None:
    """The layout."""
    gr.Markdown(_TEXT, elem_id="discover-note")
