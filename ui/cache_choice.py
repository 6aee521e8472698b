"""How a model keeps what it has read: chosen beside the chat, with the memory each way takes."""

import gradio as gr

from engine.errors import EngineError
from engine.preferences import PLAIN_KV_BITS
from ui.format import format_bytes
from ui.model_choice import ModelChoice

_PACKED = (
    "What a whole context takes. Packed: one answer at a time, slower on a processor; 4 bits may"
    " cost quality"
)


def build_cache_choice() -> gr.Radio:
    """The control, hidden until a model is there whose cache can be packed."""
    return gr.Radio(
        [("Full", PLAIN_KV_BITS)], value=PLAIN_KV_BITS, visible=False, elem_id="kv-bits",
        label="Memory for what was read", info=_PACKED,
    )  # fmt: skip


class CacheChoice(ModelChoice):
    """The bits of a model's cache, at its own context."""

    def show(self, model_id: str) -> gr.Radio:
        """The ways there are; hidden where there is one alone."""
        try:
            sizes = self._engine.library.kv_choices(model_id)
        except EngineError:
            sizes = {}
        return gr.Radio(
            choices=[(_choice(bits, size), bits) for bits, size in sizes.items()],
            value=self.chosen(model_id),
            visible=len(sizes) > 1,
        )

    def chosen(self, model_id: str) -> int:
        """The bits of a value."""
        return self._engine.preferences.kv_bits(model_id)

    def apply(self, model_id: str, value: int) -> None:
        """Keep what is read in so many bits."""
        self._engine.choose_kv_bits(model_id, value)


def _choice(bits: int, size_bytes: int) -> str:
    name = "Full" if bits == PLAIN_KV_BITS else f"{bits} bits"
    return f"{name}: {format_bytes(size_bytes)}"
