"""A smaller model that guesses the words of the chosen one: chosen beside the chat, if any."""

import gradio as gr

from engine.errors import EngineError
from ui.model_choice import ModelChoice

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


class DraftChoice(ModelChoice):
    """The model that drafts for a model."""

    def show(self, model_id: str) -> gr.Radio:
        """Models that could draft for this one, where both fit into memory."""
        try:
            names = self._engine.library.draft_choices(model_id)[:_MOST_OFFERED]
        except EngineError:
            names = ()
        chosen = self.chosen(model_id)
        return gr.Radio(
            choices=[_NONE, *((name, name) for name in names)],
            value=chosen if chosen in names else "",
            visible=bool(names),
        )

    def chosen(self, model_id: str) -> str:
        """Its name; empty for none."""
        return self._engine.preferences.draft(model_id)

    def apply(self, model_id: str, value: str) -> None:
        """Have it draft from now on."""
        self._engine.choose_draft(model_id, value)
