"""A modal question, which Gradio lacks: a column over the page with two buttons.

Escape and a click beside it mean the careful answer, Tab stays inside, and the focus goes back to
where it was. The look is ``.dialog`` in style.css.
"""

from dataclasses import dataclass

import gradio as gr

# Waits for the column to be drawn, then makes a dialogue of it.
_OPEN_JS = """() => {
  const opener = document.activeElement;
  const give_up_at = Date.now() + 3000;
  const open = () => {
    const dialog = document.getElementById("%s");
    if (!dialog) { if (Date.now() < give_up_at) requestAnimationFrame(open); return; }
    const keep = dialog.querySelector(".keep");
    const title = dialog.querySelector("h3");
    dialog.setAttribute("role", "dialog");
    dialog.setAttribute("aria-modal", "true");
    if (title) dialog.setAttribute("aria-label", title.textContent);
    dialog.onclick = (event) => { if (event.target === dialog) keep.click(); };
    dialog.onkeydown = (event) => {
      if (event.key === "Escape") { event.preventDefault(); keep.click(); }
      if (event.key !== "Tab") return;
      const stops = [...dialog.querySelectorAll("button:not([disabled])")];
      const next = stops.indexOf(document.activeElement) + (event.shiftKey ? -1 : 1);
      event.preventDefault();
      stops.at(next %% stops.length).focus();
    };
    const back = () => setTimeout(() => { if (opener && opener.isConnected) opener.focus(); }, 150);
    for (const button of dialog.querySelectorAll("button")) button.addEventListener("click", back);
    keep.focus();
  };
  open();
}"""


@dataclass(frozen=True)
class Dialog:
    """The column, its text and its two answers."""

    panel: gr.Column
    text: gr.HTML
    keep: gr.Button
    confirm: gr.Button
    open_js: str


def build_dialog(elem_id: str, keep_label: str, confirm_label: str) -> Dialog:
    """Lay a dialogue out, closed. ``open_js`` is to be run after its column is made visible."""
    with gr.Column(visible=False, elem_id=elem_id, elem_classes="dialog") as panel:
        with gr.Column(elem_classes="dialog-card"):
            text = gr.HTML("", elem_id=f"{elem_id}-text")
            with gr.Row(elem_classes="dialog-buttons"):
                keep = gr.Button(keep_label, elem_id=f"{elem_id}-keep", elem_classes="keep")
                confirm = gr.Button(confirm_label, variant="stop", elem_id=f"{elem_id}-confirm")
    return Dialog(panel, text, keep, confirm, _OPEN_JS % elem_id)
