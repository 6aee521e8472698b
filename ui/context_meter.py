"""The context meter: how much of the model's window the next message would use.

The page asks when somebody has stopped typing, and when the chat, the model or the settings have
changed; never at every key.
"""

import asyncio
import html
import itertools
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

import gradio as gr

from engine import Engine
from engine.chats import with_attachments
from engine.errors import EngineError
from engine.records import ContextFit, Message
from ui.conversation import Conversation
from ui.errors import shows_errors
from ui.settings_panel import SettingsPanel, read_settings

TIGHT = 0.85
WAIT_S = 5.0
POLL_S = 0.05
_EXCERPT_CHARS = 40
# One question when the typing has paused; the box's value goes with the event. Until the answer is
# there the figures are of another text, and look so.
_ON_LOAD = """
let timer = 0;
window.pomonaTyped = (event) => {
  if (!event.target.closest?.('#message, #system-prompt')) return;
  clearTimeout(timer);
  element.dataset.stale = '';
  timer = setTimeout(() => { timer = 0; trigger('select', {}); }, 700);
};
watch('value', () => { if (!timer) delete element.dataset.stale; });
if (!window.pomonaMeters) {
  window.pomonaMeters = true;
  document.addEventListener('input', (event) => window.pomonaTyped(event), true);
}
"""


def build_meter() -> gr.HTML:
    """The meter below the box, empty until there is something to say."""
    return gr.HTML("", elem_id="context-meter", js_on_load=_ON_LOAD)


class MeterHandlers:
    """Asks the engine how a conversation fits, and waits a bounded time for it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._serial = itertools.count()

    async def measure(
        self, text: str | None, conversation: Conversation, model_id: str | None, *settings: Any
    ) -> AsyncIterator[str]:
        """What the chat with the text and the files of the box would take.

        Nothing where nobody knows: what another server counts and cuts off is not told to us.
        """
        messages = conversation.messages()
        said = with_attachments(text or "", conversation.attached)
        if said.strip():
            messages.append(Message("user", said))
        if not model_id or not messages or self._engine.remote.knows(model_id):
            yield ""
            return
        if messages[-1].role != "user":  # what the next question would stand behind
            messages.append(Message("user", "?"))
        try:
            asked = self._engine.inference.context_fit(messages, read_settings(settings), model_id)
            give_up_at = time.monotonic() + WAIT_S
            while not asked.done() and time.monotonic() < give_up_at:
                await asyncio.sleep(POLL_S)
            shown = format_meter(asked.result(0), messages) if asked.done() else ""
            yield f"{shown}<!--{next(self._serial)}-->"  # the page is to see that it is new
        except EngineError:  # it will be told when the message is sent
            yield ""


def format_meter(fit: ContextFit, messages: Sequence[Message]) -> str:
    """The figures with a bar, and a sentence on what will not be seen or not be answered."""
    if not fit.context_tokens:
        return ""
    share = min(1.0, fit.prompt_tokens / fit.context_tokens)
    about = "" if fit.is_exact else "about "
    state = "tight" if share >= TIGHT or fit.left_out or not fit.will_be_answered else ""
    line = (
        f'<span class="ctx {state}"><span class="bar"><i style="width:{share:.0%}"></i></span>'
        f"{about}{fit.prompt_tokens:,} of {fit.context_tokens:,} tokens</span>"
    )
    if warning := _warning(fit, messages):
        line += f'<span class="ctx-warning" role="status">{html.escape(warning)}</span>'
    return line


def _warning(fit: ContextFit, messages: Sequence[Message]) -> str:
    if not fit.will_be_answered:
        return "This does not fit into the model's context and would not be answered."
    if not fit.left_out:
        return ""
    first, last = (_excerpt(messages[place].text) for place in (fit.left_out[0], fit.left_out[-1]))
    count = len(fit.left_out)
    return (
        f"The next answer will not see {count:,} of {len(messages):,} messages,"
        f" from “{first}” to “{last}”."
    )


def _excerpt(text: str) -> str:
    line = " ".join(text[: 20 * _EXCERPT_CHARS].split())
    return line if len(line) <= _EXCERPT_CHARS else line[:_EXCERPT_CHARS].rstrip() + "…"


def wire_meter(
    meter: gr.HTML, handlers: MeterHandlers, box: gr.Textbox, conversation: gr.State,
    model: gr.Dropdown, settings: SettingsPanel, files: gr.HTML, after: Sequence[Any],
) -> None:  # fmt: skip
    """Which event asks anew; ``after`` are events that change the chat or the settings."""
    ask: dict[str, Any] = {
        "fn": shows_errors(handlers.measure),
        "inputs": [box, conversation, model, *settings.inputs()], "outputs": meter,
        "api_visibility": "private", "show_progress": "hidden",
    }  # fmt: skip
    for event in (meter.select, model.change, settings.overflow.change, files.change):
        event(**ask, trigger_mode="always_last")
    for event in after:
        event.then(**ask)
