"""From search results to rows, badges and the detail panel. Pure; foreign text is escaped here."""

import html
import re
import time
from collections.abc import Collection, Sequence
from typing import Any

from engine.discover import Inspection, Listing, RankedModel
from engine.records import LocalModel, ModelSummary, RepoFile
from ui.format import badge, format_age, format_bytes, format_memory_of, name_cell

HEADERS = ["Model", "Fit", "Chat", "Score", "Download", "Parameters", "Quantisation",
           "Downloads", "Updated"]  # fmt: skip
DATATYPES: list[Any] = ["html", "html", "html", "number", "str", "str", "str", "str", "str"]
COLUMN_WIDTHS: list[str | int] = [
    "26%", "9%", "11%", "7%", "9%", "9%", "10%", "9%", "10%",
]  # fmt: skip
SHOWN_FILES = 30
_FIT_CLASS = {"fits": "ok", "tight": "mid", "too large": "no", "unknown": "dim"}
_HTML_TAG = re.compile(r"<[^>]{0,2000}>")
_IMAGE = re.compile(r"!\[([^\]]{0,300})\]\([^)]{0,2000}\)")
_FRONT_MATTER = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)


def format_count(count: float | None) -> str:
    """``812``, ``15.3K``, ``2.1M``, ``8.0B``; a dash when unknown."""
    if count is None:
        return "–"
    for limit, unit in ((1e9, "B"), (1e6, "M"), (1e3, "K")):
        if count >= limit * 0.9995:
            return f"{count / limit:.1f}{unit}"
    return f"{count:.0f}"


def format_date(at: float | None) -> str:
    """A day, or a dash."""
    return time.strftime("%d %b %Y", time.gmtime(at)) if at else "–"


def table_rows(models: Sequence[RankedModel], installed: Collection[str]) -> list[list[Any]]:
    """One row per model, in the order of HEADERS."""
    return [_row(model, model.summary.repo_id in installed) for model in models]


def _row(model: RankedModel, is_installed: bool) -> list[Any]:
    facts = model.summary
    chat = badge("will chat", "ok") if model.readiness.ok else badge(_short(model), "no")
    fit = badge("installed", "ok") if is_installed else badge(model.fit, _FIT_CLASS[model.fit])
    size = "–" if facts.weights_bytes is None else format_bytes(facts.weights_bytes)
    quantization = _quantization(facts)
    return [
        name_cell(facts.repo_id, f"{fit} {chat}", (size, quantization)),
        fit,
        chat,
        model.score.total,
        size,
        format_count(facts.parameters) + ("?" if "parameters" in facts.guessed else ""),
        quantization,
        format_count(facts.downloads),
        format_date(facts.updated_at),
    ]


def _short(model: RankedModel) -> str:
    return "ask first" if model.summary.is_gated else "will not chat"


def _quantization(facts: ModelSummary) -> str:
    mark = "?" if "quantization" in facts.guessed else ""
    return " ".join((facts.quantization.replace("unknown", "–") + mark, *facts.methods))


def format_source(listing: Listing, shown: int, now_at: float) -> str:
    """Where the rows come from and how old they are, and what went wrong."""
    sources = {"hub": "Hugging Face Hub", "cache": "kept from the Hub", "bundled": "bundled list"}
    age = format_age(max(0.0, now_at - listing.fetched_at))
    if listing.source == "bundled":
        age = f"as of {format_date(listing.fetched_at)}"
    text = f"{shown:,} model{'' if shown == 1 else 's'} · {sources[listing.source]}, {age}"
    notice = f'<span class="notice">{html.escape(listing.notice)}</span>' if listing.notice else ""
    return f'<p class="note" role="status">{html.escape(text)}{notice}</p>'


def format_head(inspection: Inspection, local: LocalModel | None = None) -> str:
    """Name, verdict and blockers of one model; ``local`` when it is installed."""
    ranked = inspection.ranked
    verdict = badge("installed", "ok") + " " if local is not None else ""
    verdict += badge(ranked.fit, _FIT_CLASS[ranked.fit]) + " "
    if inspection.is_slow:
        verdict += badge("fits packed only: slower answers", "mid") + " "
    verdict += badge("will chat", "ok") if ranked.readiness.ok else badge("will not chat", "no")
    reasons = "".join(f"<li>{html.escape(text)}</li>" for text in ranked.readiness.blockers)
    return (
        f'<div class="detail"><h3>{html.escape(ranked.summary.repo_id)}</h3><p>{verdict}</p>'
        f"<ul>{reasons}</ul></div>"
    )


def format_facts(inspection: Inspection, local: LocalModel | None = None) -> str:
    """Facts and score of one model; of an installed one also what it takes here."""
    facts = inspection.ranked.summary
    rows = {
        "Parameters": format_count(facts.parameters),
        "Quantisation": _quantization(facts),
        "Architecture": facts.architecture,
        "Weights": format_bytes(facts.weights_bytes) if facts.weights_bytes else "–",
        "Licence": facts.license or "not stated",
        "Made from": ", ".join(facts.base_models) or "not stated",
        "Downloads, likes": f"{facts.downloads:,}, {facts.likes:,}",
        "Updated": format_date(facts.updated_at),
    }
    if local is not None:
        rows["Memory"] = format_memory_of(local)
    table = "".join(
        f"<tr><th>{html.escape(name)}</th><td>{html.escape(str(value))}</td></tr>"
        for name, value in rows.items()
    )
    guessed = (
        f'<p class="note">Taken from the name alone: {html.escape(", ".join(facts.guessed))}.</p>'
        if facts.guessed
        else ""
    )
    score = _score_bars(inspection.ranked)
    plot_title = "<h4>Memory by context</h4>" if inspection.memory else ""
    return f'<div class="detail"><table>{table}</table>{guessed}{score}{plot_title}</div>'


def _score_bars(ranked: RankedModel) -> str:
    most = {"fit": 25, "readiness": 25, "popularity": 25, "momentum": 15, "provenance": 10}
    bars = "".join(
        f"<tr><th>{html.escape(name)}</th><td>{points:g} of {most[name]}"
        f'<span class="bar"><i style="width:{100 * points / most[name]:.0f}%"></i></span></td></tr>'
        for name, points in ranked.score.parts.items()
    )
    return f"<h4>Score {ranked.score.total:g} of 100</h4><table>{bars}</table>"


def memory_contexts(inspection: Inspection) -> list[str]:
    """The contexts of the memory plot, in rising order."""
    return [f"{estimate.context_tokens:,}" for estimate in inspection.memory]


def memory_rows(inspection: Inspection) -> list[dict[str, Any]]:
    """Points of the memory plot: gigabytes by context, split into their parts."""
    rows: list[dict[str, Any]] = []
    for estimate in inspection.memory:
        context = f"{estimate.context_tokens:,}"
        parts = {
            "weights": estimate.weights_bytes,
            "working": estimate.working_bytes or 0,
            "context": estimate.kv_bytes or 0,
        }
        rows.extend({"context": context, "part": p, "GB": b / 1e9} for p, b in parts.items())
    return rows


def format_files(files: Sequence[RepoFile], wanted: Collection[str]) -> str:
    """The repo's files; what a download leaves out is marked."""
    items = "".join(
        f"<tr><td>{html.escape(file.path[:120])}</td><td>{format_bytes(file.size_bytes)}</td>"
        f"<td>{'' if file.path in wanted else 'not fetched'}</td></tr>"
        for file in files[:SHOWN_FILES]
    )
    more = len(files) - SHOWN_FILES
    rest = f'<p class="note">and {more:,} more</p>' if more > 0 else ""
    return f'<div class="detail"><table>{items}</table>{rest}</div>'


def readable_card(readme: str) -> str:
    """A model card as Markdown without markup, images or front matter: text alone."""
    text = _FRONT_MATTER.sub("", readme.replace("\r\n", "\n"))
    text = _IMAGE.sub(r"\1", text)
    return _HTML_TAG.sub("", text).strip() or "This model has no card."
