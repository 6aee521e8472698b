"""Presets in the Chat tab: chosen below the box, kept and exchanged in the settings."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from engine import Engine
from engine.errors import EngineError
from engine.presets import MAX_NAME_CHARS, export_presets, read_presets
from ui.chat_files import SAVE_JS
from ui.conversation import Conversation
from ui.errors import show_toast, shows_errors
from ui.settings_panel import SettingsPanel, read_settings, settings_from, settings_left

_NONE = ("No preset", "")


@dataclass(frozen=True)
class PresetView:
    """The choice below the box, and the controls in the settings."""

    choice: gr.Dropdown
    name: gr.Textbox
    save: gr.Button
    delete: gr.Button
    export: gr.Button
    bring: gr.UploadButton
    saved: gr.JSON


def build_preset_choice() -> gr.Dropdown:
    """The choice of a preset."""
    return gr.Dropdown(
        [_NONE], value="", label="Preset", show_label=False, container=False, filterable=True,
        elem_id="preset", scale=0, min_width=150,
    )  # fmt: skip


def build_presets(choice: gr.Dropdown) -> PresetView:
    """The controls that keep presets and exchange them; call inside the settings."""
    with gr.Accordion("Presets", open=False, elem_id="presets"):
        name = gr.Textbox(
            label="Name", max_lines=1, max_length=MAX_NAME_CHARS, elem_id="preset-name",
            info="Keeps the system prompt and the settings of this panel",
        )  # fmt: skip
        with gr.Row(elem_classes="preset-buttons"):
            save = gr.Button("Save", size="sm", min_width=60, elem_id="preset-save")
            delete = gr.Button("Delete", size="sm", min_width=60, elem_id="preset-delete")
        with gr.Row(elem_classes="preset-buttons"):
            export = gr.Button("Export all", size="sm", min_width=60, elem_id="preset-export")
            bring = gr.UploadButton("Import", size="sm", min_width=60, elem_id="preset-import")
    return PresetView(choice, name, save, delete, export, bring, gr.JSON(visible=False))


class PresetHandlers:
    """Holds the engine; which preset is chosen is in the visitor's Conversation."""

    def __init__(self, engine: Engine) -> None:
        self._presets = engine.presets

    def listed(self, conversation: Conversation) -> Any:
        """The choice as it is now; another tab may have changed it."""
        if problem := self._presets.tell_problem():
            show_toast(EngineError(problem))
        names = [preset.name for preset in self._presets.list()]
        if conversation.preset not in names:
            conversation.preset = ""
        return gr.Dropdown(
            choices=[_NONE, *((name, name) for name in names)], value=conversation.preset
        )

    def choose(self, name: str | None, conversation: Conversation) -> tuple[Any, ...]:
        """Take a preset's settings over: the values of the panel, and its name for changes.

        Without one the system prompt is emptied; everything else stays as it is.
        """
        name = name or ""
        if name == conversation.preset:  # the page was told of a choice, it made none
            return *settings_left(), gr.skip()
        params = self._presets.find(name).params if name else None
        conversation.preset = name
        return *settings_from(params), name

    def save(self, name: str, conversation: Conversation, *settings: Any) -> Any:
        """Keep the settings of the panel under a name, and show it as chosen."""
        kept = self._presets.save(name or "", read_settings(settings))
        conversation.preset = kept.name
        gr.Info("Saved.")
        return self.listed(conversation)

    def delete(self, name: str, conversation: Conversation) -> tuple[Any, Any]:
        """Take the preset of this name away; the settings stay as they are."""
        self._presets.find((name or "").strip())
        self._presets.delete(name.strip())
        return self.listed(conversation), ""

    def export(self) -> dict[str, str]:
        """All presets as a file for the browser to save."""
        text = export_presets(self._presets.list())
        return {"name": "pomona-presets.json", "type": "application/json", "text": text}

    async def bring(
        self, path: str | None, conversation: Conversation
    ) -> AsyncIterator[tuple[Any, Any]]:
        """Keep the presets of a file: values for the choice and the button."""
        if path is None:
            yield gr.skip(), gr.skip()
            return
        try:
            found = await asyncio.to_thread(read_presets, Path(path))
            count = await asyncio.to_thread(self._presets.bring, found)
        finally:
            with contextlib.suppress(OSError):
                Path(path).unlink()
        gr.Info(f"{count} preset{'s' if count > 1 else ''} imported.")
        yield self.listed(conversation), gr.UploadButton(value=None)

    def forget(self, conversation: Conversation) -> Any:
        """The recommended values are back: no preset is chosen."""
        conversation.preset = ""
        return self.listed(conversation)


def wire_presets(
    view: PresetView, handlers: PresetHandlers, settings: SettingsPanel, conversation: gr.State,
    shown: Any,
) -> Any:  # fmt: skip
    """Which event calls which handler; ``shown`` are the events on which the tab is shown.

    Gives the event that takes a preset's settings over.
    """
    private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    listed = shows_errors(handlers.listed), conversation, view.choice
    for event in shown:
        event(*listed, **private)
    chosen = view.choice.change(
        shows_errors(handlers.choose), [view.choice, conversation],
        [*settings.inputs(), view.name], **private,
    )  # fmt: skip
    view.save.click(
        shows_errors(handlers.save), [view.name, conversation, *settings.inputs()], view.choice,
        **private,
    )  # fmt: skip
    view.delete.click(
        shows_errors(handlers.delete), [view.name, conversation], [view.choice, view.name],
        **private,
    )  # fmt: skip
    view.export.click(shows_errors(handlers.export), None, view.saved, **private).then(
        None, view.saved, None, js=SAVE_JS, **private
    )
    view.bring.upload(
        shows_errors(handlers.bring), [view.bring, conversation], [view.choice, view.bring],
        **private,
    )  # fmt: skip
    settings.reset.click(shows_errors(handlers.forget), conversation, view.choice, **private)
    return chosen
