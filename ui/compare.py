"""Comparing in the Chat tab: which models to ask, and their answers in columns."""

import functools
from dataclasses import dataclass
from typing import Any

import gradio as gr

from engine.comparing import MOST_COMPARED
from ui.chat_list import ChatListHandlers
from ui.compare_handlers import CompareHandlers
from ui.errors import shows_errors


@dataclass(frozen=True)
class CompareChoice:
    """Above the box: which models to ask, and whether they are named."""

    panel: gr.Row
    models: gr.Dropdown
    is_blind: gr.Checkbox


@dataclass(frozen=True)
class CompareColumn:
    """One model's answer."""

    column: gr.Column
    name: gr.HTML
    answer: gr.Chatbot
    choose: gr.Button


@dataclass(frozen=True)
class CompareView:
    """The columns, which lie where the log is otherwise."""

    panel: gr.Column
    question: gr.HTML
    back: gr.Button
    columns: tuple[CompareColumn, ...]

    def outputs(self) -> list[Any]:
        """The components that CompareHandlers' values are for."""
        parts: list[Any] = [self.panel, self.question]
        for one in self.columns:
            parts += [one.column, one.name, one.answer, one.choose]
        return parts


def build_compare_button() -> gr.Button:
    """The button that opens and closes the choice of models."""
    return gr.Button("Compare", elem_id="compare-button", scale=0, min_width=80, size="sm")


def build_compare_choice() -> CompareChoice:
    """Lay the choice of models out, closed."""
    with gr.Row(visible=False, elem_id="compare-choice") as panel:
        models = gr.Dropdown(
            label="Ask these models the same", multiselect=True, max_choices=MOST_COMPARED,
            elem_id="compare-models", scale=3, min_width=220,
        )  # fmt: skip
        is_blind = gr.Checkbox(
            False, label="Hide the names until I choose", elem_id="compare-blind", scale=1,
            min_width=200,
        )  # fmt: skip
    return CompareChoice(panel, models, is_blind)


def build_compare_view(latex: list[dict[str, str | bool]]) -> CompareView:
    """Lay the columns out, closed."""
    with gr.Column(visible=False, elem_id="compare") as panel:
        with gr.Row(elem_id="compare-head"):
            question = gr.HTML("", elem_id="compare-question")
            back = gr.Button("Back to the chat", elem_id="compare-back", scale=0, size="sm")
        with gr.Row(elem_id="compare-columns"):
            columns = tuple(_build_column(place, latex) for place in range(MOST_COMPARED))
    return CompareView(panel, question, back, columns)


def _build_column(place: int, latex: list[dict[str, str | bool]]) -> CompareColumn:
    with gr.Column(elem_id=f"compare-{place}", elem_classes="compare-column", min_width=240) as box:
        name = gr.HTML("", elem_classes="compare-name")
        answer = gr.Chatbot(
            elem_classes="compare-answer", label=f"Answer {place + 1}", show_label=False,
            layout="panel", buttons=["copy"], feedback_options=None, latex_delimiters=latex,
            group_consecutive_messages=False, height="100%", autoscroll=True, allow_tags=False,
        )  # fmt: skip
        choose = gr.Button("Go on with this one", elem_classes="compare-choose", size="sm")
    return CompareColumn(box, name, answer, choose)


def wire_compare(
    choice: CompareChoice, view: CompareView, handlers: CompareHandlers, listing: ChatListHandlers,
    asked: list[Any], shown: list[Any], opened: Any, new_chat: gr.Button, bring: gr.UploadButton,
) -> None:  # fmt: skip
    """Which event calls which handler.

    ``asked`` are the conversation, the model picker and the settings; ``shown`` are the log, the
    box and the list of conversations; ``opened`` is the event that opens one,
    and ``new_chat`` and ``bring`` are the buttons that begin one or read one from a file.
    """
    private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    direct = {**private, "queue": False}
    conversation, model, *settings = asked
    log, box, entries = shown
    box.submit(
        shows_errors(listing.beside(handlers.ask)),
        [box, conversation, choice.models, choice.is_blind, *settings],
        [log, box, choice.panel, *view.outputs(), entries],
        trigger_mode="multiple", **private,
    )  # fmt: skip
    box.stop(shows_errors(handlers.stop), conversation, None, **direct)
    closed = [view.panel, log, model]
    view.back.click(shows_errors(handlers.back), conversation, closed, **private)
    for place, column in enumerate(view.columns):
        column.choose.click(
            shows_errors(functools.partial(handlers.choose, place)), conversation, closed,
            **private,
        )  # fmt: skip
    entries.like(shows_errors(handlers.side_by_side), conversation, view.outputs(), **private)
    entries.select(shows_errors(handlers.leave), None, view.panel, **direct)
    for event in (new_chat.click, bring.upload):
        event(shows_errors(handlers.close), None, view.panel, **direct)
    opened.then(
        shows_errors(handlers.come_back), conversation, [box, *view.outputs()], **private
    )  # fmt: skip
