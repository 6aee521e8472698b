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
class CompareColumns:
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


@dataclass(frozen=True)
class CompareView:
    """All of it: the button below the box, the choice above it, and the columns."""

    button: gr.Button
    choice: CompareChoice
    columns: CompareColumns

    @property
    def panel(self) -> gr.Column:
        """What holds the columns."""
        return self.columns.panel


@dataclass(frozen=True)
class ComparePage:
    """What of the Chat tab comparing reads and changes."""

    log: gr.Chatbot
    box: gr.Textbox
    model: gr.Dropdown
    entries: gr.HTML
    conversation: gr.State
    settings: list[Any]


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


def build_compare_columns(latex: list[dict[str, str | bool]]) -> CompareColumns:
    """Lay the columns out, closed."""
    with gr.Column(visible=False, elem_id="compare") as panel:
        with gr.Row(elem_id="compare-head"):
            question = gr.HTML("", elem_id="compare-question")
            back = gr.Button("Back to the chat", elem_id="compare-back", scale=0, size="sm")
        with gr.Row(elem_id="compare-columns"):
            columns = tuple(_build_column(place, latex) for place in range(MOST_COMPARED))
    return CompareColumns(panel, question, back, columns)


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
    view: CompareView, page: ComparePage, handlers: CompareHandlers, listing: ChatListHandlers,
    opened: Any,
) -> None:  # fmt: skip
    """Which event calls which handler; ``opened`` is the event that opens a conversation."""
    private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    direct = {**private, "queue": False}
    choice, columns, conversation = view.choice, view.columns, page.conversation
    view.button.click(shows_errors(handlers.toggle), conversation, choice.panel, **private).then(
        shows_errors(handlers.offer), conversation, choice.models, **private
    )
    page.box.submit(
        shows_errors(listing.beside(handlers.ask)),
        [page.box, conversation, choice.models, choice.is_blind, *page.settings],
        [page.log, page.box, choice.panel, *columns.outputs(), page.entries],
        trigger_mode="multiple", **private,
    )  # fmt: skip
    page.box.stop(shows_errors(handlers.stop), conversation, None, **direct)
    closed = [columns.panel, page.log, page.model]
    columns.back.click(shows_errors(handlers.back), conversation, closed, **private)
    for place, column in enumerate(columns.columns):
        choose = functools.partial(handlers.choose, place)
        column.choose.click(shows_errors(choose), conversation, closed, **private)
    page.entries.like(
        shows_errors(handlers.side_by_side), conversation, columns.outputs(), **private
    )
    page.entries.select(shows_errors(handlers.leave), None, columns.panel, **direct)
    opened.then(
        shows_errors(handlers.come_back), conversation, [page.box, *columns.outputs()], **private
    )
