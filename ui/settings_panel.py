"""The sampling settings beside the chat."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from engine.records import SamplingParams
from ui.cache_choice import build_cache_choice
from ui.draft_choice import build_draft_choice
from ui.format import format_note

FROM_CHAT = "These are what this chat was last asked with."
_FROM_MODEL = "These start from what this model's makers recommend."
_FROM_US = "This model recommends nothing, so these are Pomona's own."

_OVERFLOW_CHOICES: list[tuple[str, str | int | float]] = [
    ("Stop and say so", "stop"), ("Leave out the middle", "leave_out"),
]  # fmt: skip


@dataclass(frozen=True)
class SettingsPanel:
    """The panel and its controls."""

    panel: gr.Column
    is_open: gr.State
    note: gr.HTML
    system_prompt: gr.Textbox
    temperature: gr.Slider
    top_p: gr.Slider
    top_k: gr.Slider
    min_p: gr.Slider
    repetition_penalty: gr.Slider
    max_tokens: gr.Number
    seed: gr.Number
    overflow: gr.Radio
    stop: gr.Textbox
    kv_bits: gr.Radio
    draft: gr.Radio
    reset: gr.Button

    def inputs(self) -> list[Any]:
        """Components that a request reads, in the order that read_settings takes."""
        return [self.system_prompt, *self._suggested(), self.seed, self.overflow, self.stop]

    def outputs(self) -> list[Any]:
        """Components that a choice of model changes, in the order of settings_updates."""
        return [self.note, *self._suggested()]

    def _suggested(self) -> list[Any]:
        return [self.temperature, self.top_p, self.top_k, self.min_p,
                self.repetition_penalty, self.max_tokens]  # fmt: skip


def build_settings() -> SettingsPanel:
    """The controls, hidden until asked for."""
    ours = SamplingParams()
    with gr.Column(visible=False, scale=0, min_width=300, elem_id="settings") as panel:
        note = gr.HTML(where_from(has_suggestions=False), elem_id="settings-note")
        system_prompt = gr.Textbox(
            label="System prompt", lines=3, max_lines=8, elem_id="system-prompt",
            placeholder="How the model should behave, for example: answer in short sentences",
        )  # fmt: skip
        temperature = gr.Slider(
            0, 2, ours.temperature, step=0.05, label="Temperature", elem_id="temperature",
            info="0 always takes the likeliest word; higher is freer",
        )  # fmt: skip
        max_tokens = gr.Number(
            ours.max_tokens, label="Max tokens", minimum=1, maximum=1_000_000, precision=0,
            elem_id="max-tokens", info="Where an answer is cut at the latest",
        )  # fmt: skip
        with gr.Accordion("More", open=False, elem_id="settings-more"):
            top_p = gr.Slider(
                0.01, 1, ours.top_p, step=0.01, label="Top-p", elem_id="top-p",
                info="Keep the likeliest words that together reach this share; 1 is off",
            )  # fmt: skip
            top_k = gr.Slider(
                0, 1000, ours.top_k, step=1, label="Top-k", elem_id="top-k",
                info="Keep this many of the likeliest words; 0 is off",
            )  # fmt: skip
            min_p = gr.Slider(
                0, 1, ours.min_p, step=0.01, label="Min-p", elem_id="min-p",
                info="Drop words less likely than this share of the best; 0 is off",
            )  # fmt: skip
            repetition_penalty = gr.Slider(
                1, 2, ours.repetition_penalty, step=0.01, label="Repetition penalty",
                elem_id="repetition-penalty", info="Makes words said before less likely; 1 is off",
            )  # fmt: skip
            seed = gr.Number(
                None, label="Seed", minimum=0, maximum=2**32 - 1, precision=0, elem_id="seed",
                info="The same number gives the same answer again; empty is a new draw each time",
            )  # fmt: skip
            overflow = _build_overflow()
            stop = _build_stop()
            kv_bits = build_cache_choice()
            draft = build_draft_choice()
        reset = gr.Button("Back to the recommended values", size="sm", elem_id="settings-reset")
    return SettingsPanel(
        panel, gr.State(False), note, system_prompt, temperature, top_p, top_k, min_p,
        repetition_penalty, max_tokens, seed, overflow, stop, kv_bits, draft, reset,
    )  # fmt: skip


def _build_overflow() -> gr.Radio:
    return gr.Radio(
        _OVERFLOW_CHOICES, value=SamplingParams().overflow, elem_id="overflow",
        label="When a chat outgrows the context",
        info="The line under an answer says what the model did not see",
    )  # fmt: skip


def _build_stop() -> gr.Textbox:
    return gr.Textbox(
        label="Stop at", lines=2, max_lines=4, elem_id="stop-strings",
        info="An answer ends before any of these texts, one a line",
    )  # fmt: skip


def read_settings(values: Sequence[Any]) -> SamplingParams:
    """Sampling settings from the values of ``SettingsPanel.inputs``; emptied ones are ours.

    A page without the panel gives no values at all.
    """
    if not values:
        return SamplingParams()
    system_prompt, temperature, top_p, top_k, min_p, penalty, max_tokens, seed, *rest = values
    overflow, stop = rest
    ours = SamplingParams()
    return SamplingParams(
        temperature=ours.temperature if temperature is None else temperature,
        top_p=ours.top_p if top_p is None else top_p,
        top_k=ours.top_k if top_k is None else int(top_k),
        min_p=ours.min_p if min_p is None else min_p,
        repetition_penalty=ours.repetition_penalty if penalty is None else penalty,
        max_tokens=int(max_tokens) if max_tokens else ours.max_tokens,
        seed=None if seed is None else int(seed),
        system_prompt=system_prompt or "",
        overflow=overflow or ours.overflow,
        stop=_stops(stop),
    )


def settings_from(params: SamplingParams | None) -> tuple[Any, ...]:
    """Values for ``SettingsPanel.inputs``; without settings an empty system prompt alone."""
    if params is None:
        return "", *settings_left()[1:]
    return (
        params.system_prompt, params.temperature, params.top_p, params.top_k, params.min_p,
        params.repetition_penalty, params.max_tokens, params.seed, params.overflow,
        "\n".join(params.stop),
    )  # fmt: skip


def settings_left() -> tuple[Any, ...]:
    """Leave every value of ``SettingsPanel.inputs`` as it is."""
    return tuple(gr.skip() for _ in settings_from(SamplingParams()))


def _stops(text: str | None) -> tuple[str, ...]:
    """One stop string a line, spaces around it included; empty lines say nothing."""
    return tuple(line for line in (text or "").split("\n") if line)


def settings_updates(params: SamplingParams, has_suggestions: bool) -> tuple[Any, ...]:
    """Values for ``SettingsPanel.outputs``."""
    return (
        where_from(has_suggestions), params.temperature, params.top_p, params.top_k, params.min_p,
        params.repetition_penalty, params.max_tokens,
    )  # fmt: skip


def settings_skips() -> tuple[Any, ...]:
    """Leave every setting as it is."""
    return tuple(gr.skip() for _ in settings_updates(SamplingParams(), has_suggestions=False))


def wire_settings(
    settings: SettingsPanel, button: gr.Button, suggest: Callable[..., Any], model: gr.Dropdown
) -> None:
    """Open and close the panel; bring the recommended values back."""
    private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    button.click(
        _toggle, settings.is_open, [settings.is_open, settings.panel], queue=False, **private
    )
    settings.reset.click(suggest, model, settings.outputs(), **private)


def _toggle(is_open: bool) -> tuple[bool, Any]:
    return not is_open, gr.Column(visible=not is_open)


def where_from(has_suggestions: bool) -> str:
    """What the panel says of its values."""
    return format_note(_FROM_MODEL if has_suggestions else _FROM_US)
