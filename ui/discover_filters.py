"""The filters of the Discover tab."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from engine.records import SearchQuery

_TYPES: list[Any] = [
    ("any", ""), ("text generation", "text-generation"), ("vision and language",
    "image-text-to-text"), ("any to any", "any-to-any"), ("embedding", "feature-extraction"),
    ("sentence similarity", "sentence-similarity"), ("image generation", "text-to-image"),
    ("speech recognition", "automatic-speech-recognition"), ("text to speech", "text-to-speech"),
    ("translation", "translation"), ("summarisation", "summarization"),
]  # fmt: skip
_SIZES: list[Any] = [
    ("any", ""), ("tiny, under 100M", "tiny"), ("small, 100M to 1B", "small"),
    ("medium, 1B to 7B", "medium"), ("large, 7B to 13B", "large"),
    ("extra large, over 13B", "extra large"),
]  # fmt: skip
_QUANTIZATIONS: list[Any] = [
    ("any", ""), "2-bit", "3-bit", "4-bit", "5-bit", "6-bit", "8-bit", "mxfp4", "nvfp4",
    "bf16/fp16", "fp32", "DWQ", "QAT",
]  # fmt: skip
_SORTS: list[Any] = [
    ("best for this computer", "score"),
    "downloads",
    "likes",
    "trending",
    "newest",
    "size",
]


@dataclass(frozen=True)
class Filters:
    """The search box and every filter, in the order that read_query takes."""

    text: gr.Textbox
    sort: gr.Dropdown
    fits_only: gr.Checkbox
    chat_ready_only: gr.Checkbox
    model_type: gr.Dropdown
    size_class: gr.Dropdown
    quantization: gr.Dropdown
    architecture: gr.Dropdown
    exclude_architectures: gr.Dropdown
    tags: gr.Textbox
    min_downloads: gr.Number
    min_likes: gr.Number
    max_gb: gr.Number

    def inputs(self) -> list[Any]:
        """All of them."""
        return [self.text, *self.quick()]

    def quick(self) -> list[Any]:
        """Those that act as soon as they are changed."""
        return [self.sort, self.fits_only, self.chat_ready_only, self.model_type, self.size_class,
                self.quantization, self.architecture, self.exclude_architectures, self.tags,
                self.min_downloads, self.min_likes, self.max_gb]  # fmt: skip


def build_filters() -> Filters:
    """Lay the search box and the filters out; the filters fold away."""
    with gr.Row(elem_id="search-bar"):
        text = gr.Textbox(
            label="Search models", show_label=False, container=False, scale=4, min_width=220,
            placeholder="Search models, for example qwen 4b", elem_id="search", max_length=200,
            submit_btn=True,
        )  # fmt: skip
        sort = gr.Dropdown(
            _SORTS, value="score", label="Sort by", show_label=False, container=False, scale=1,
            min_width=170, elem_id="sort", filterable=False,
        )  # fmt: skip
    with gr.Row(elem_id="quick-filters"):
        fits_only = gr.Checkbox(True, label="Only what fits", elem_id="fits-only", min_width=130)
        chat_ready = gr.Checkbox(
            True, label="Only what will chat", elem_id="chat-only", min_width=150
        )
    with gr.Accordion("More filters", open=False, elem_id="filters"), gr.Row():
        model_type = gr.Dropdown(_TYPES, value="", label="Type", elem_id="f-type")
        size_class = gr.Dropdown(_SIZES, value="", label="Size", elem_id="f-size")
        quantization = gr.Dropdown(
            _QUANTIZATIONS, value="", label="Quantisation", elem_id="f-quantisation"
        )
        architecture = gr.Dropdown([("any", "")], value="", label="Architecture", elem_id="f-arch")
        excluded = gr.Dropdown(
            [], value=[], label="Leave out", multiselect=True, elem_id="f-excluded"
        )
        tags = gr.Textbox(label="Tags, with commas", elem_id="f-tags", max_length=200)
        min_downloads = gr.Number(0, label="Downloads, at least", minimum=0, precision=0)
        min_likes = gr.Number(0, label="Likes, at least", minimum=0, precision=0)
        max_gb = gr.Number(0, label="GB, at most (0: any)", minimum=0, elem_id="f-max")
    return Filters(
        text, sort, fits_only, chat_ready, model_type, size_class, quantization, architecture,
        excluded, tags, min_downloads, min_likes, max_gb,
    )  # fmt: skip


def read_query(values: Sequence[Any]) -> SearchQuery:
    """A query from the values of ``Filters.inputs``."""
    (text, sort, fits_only, chat_ready, model_type, size_class, quantization, architecture,
     excluded, tags, min_downloads, min_likes, max_gb) = values  # fmt: skip
    return SearchQuery(
        text=str(text or "")[:200],
        sort=sort,
        fits_only=bool(fits_only),
        chat_ready_only=bool(chat_ready),
        model_type=model_type or "",
        size_class=size_class or "",
        quantization=quantization or "",
        architecture=architecture or "",
        exclude_architectures=tuple(excluded or ()),
        tags=tuple(tag.strip() for tag in str(tags or "").split(",") if tag.strip()),
        min_downloads=int(min_downloads or 0),
        min_likes=int(min_likes or 0),
        max_weights_bytes=int(max_gb * 1e9) if max_gb else None,
    )
