"""From search results to rows, badges and the detail panel. Pure; foreign text is escaped here."""

import html
import re
import time
from collections.abc import Collection, Sequence
from typing import Any

from engine.discover import Inspection, Listing, RankedModel
from engine.records import LocalModel, ModelSummary, RepoFile, SearchQuery
from ui.format import (
    FIT_KINDS,
    badge,
    format_age,
    format_bytes,
    format_memory_of,
    format_note,
    name_cell,
)

HEADERS = ["Model", "Fit", "Chat", "Score", "Download", "Parameters", "Quantisation",
           "Downloads", "Updated"]  # fmt: skip
DATATYPES: list[Any] = ["html", "html", "html", "number", "str", "str", "str", "str", "str"]
COLUMN_WIDTHS: list[str | int] = [
    "26%", "9%", "11%", "7%", "9%", "9%", "10%", "9%", "10%",
]  # fmt: skip
SHOWN_FILES = 30
KEPT = "Nothing else is known here; below is what was found last."
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


def table_rows(
    models: Sequence[RankedModel], installed: Collection[str], row_ids: Sequence[str]
) -> list[list[Any]]:
    """One row per model, in the order of HEADERS."""
    return [
        _row(model, model.summary.repo_id in installed, row_id)
        for model, row_id in zip(models, row_ids, strict=True)
    ]


def _row(model: RankedModel, is_installed: bool, row_id: str) -> list[Any]:
    facts = model.summary
    chat = badge("will chat", "ok") if model.readiness.ok else badge(_short(model), "no")
    fit = badge("installed", "ok") if is_installed else badge(model.fit, FIT_KINDS[model.fit])
    size = "–" if facts.weights_bytes is None else format_bytes(facts.weights_bytes)
    quantization = _quantization(facts)
    return [
        name_cell(facts.repo_id, f"{fit} {chat}", (size, quantization), row_id),
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


def format_source(listing: Listing, now_at: float, has_older_rows: bool = False) -> str:
    """How many there are, where they come from, how old they are, and what went wrong."""
    sources = {"hub": "Hugging Face Hub", "cache": "kept from the Hub", "bundled": "bundled list"}
    age = format_age(max(0.0, now_at - listing.fetched_at))
    if listing.source == "bundled":
        age = f"as of {format_date(listing.fetched_at)}"
    count, shown = listing.found, len(listing.models)
    text = f"{count:,} model{'' if count == 1 else 's'}"
    text += f", the first {shown:,} shown" if shown < count else ""
    text += f" · {sources[listing.source]}, {age}"
    notice = " ".join(filter(None, (listing.notice, KEPT if has_older_rows else "")))
    notice = f'<span class="notice">{html.escape(notice)}</span>' if notice else ""
    return f'<p class="note" role="status">{html.escape(text)}{notice}</p>'


def format_empty(listing: Listing, query: SearchQuery) -> str:
    """What to do where nothing was found; empty where something was."""
    if listing.models:
        return ""
    text = query.text.strip()[:60]
    what = f"No model matches “{text}”." if text else "No model is known here."
    next_step = "Try fewer words, or only a part of the name."
    if listing.hidden:
        match = f"match “{text}”" if text else "are there"
        verb = (
            match
            if listing.hidden != 1
            else match.replace("match", "matches").replace("are there", "is there")
        )
        what = "The filters hide everything."
        next_step = f"{listing.hidden:,} {verb} without them: take one away above."
    return (
        f'<div class="nothing" role="status"><b>{html.escape(what)}</b>'
        f"<p>{html.escape(next_step)}</p></div>"
    )


def format_opening(repo_id: str, known: Inspection | None, sentence: str) -> str:
    """A model's head while the Hub is asked about it."""
    head = (
        format_head(known)
        if known
        else f'<div class="detail"><h3>{html.escape(repo_id)}</h3></div>'
    )
    return head + format_note(sentence)


def format_head(inspection: Inspection, local: LocalModel | None = None) -> str:
    """Name, verdict and blockers of one model; ``local`` when it is installed."""
    ranked = inspection.ranked
    verdict = badge("installed", "ok") + " " if local is not None else ""
    verdict += badge(ranked.fit, FIT_KINDS[ranked.fit]) + " "
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
        "Made for": facts.model_type.replace("-", " "),
        "Context": f"{facts.context_tokens:,} tokens" if facts.context_tokens else "not stated",
        "Weights": format_bytes(facts.weights_bytes) if facts.weights_bytes else "–",
        "Licence": facts.license or "not stated",
        "Access": "its makers want to be asked first" if facts.is_gated else "open to everybody",
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
    return (
        f'<div class="detail"><table>{table}</table>{guessed}{_score_bars(inspection.ranked)}</div>'
    )


def _score_bars(ranked: RankedModel) -> str:
    most = {"fit": 25, "readiness": 25, "popularity": 25, "momentum": 15, "provenance": 10}
    bars = "".join(
        f"<tr><th>{html.escape(name)}</th>"
        f'<td><div class="scale" aria-hidden="true"><i class="points"'
        f' style="width:{100 * points / most[name]:.0f}%"></i></div></td>'
        f"<td>{points:g} of {most[name]}</td></tr>"
        for name, points in ranked.score.parts.items()
    )
    return f'<h4>Score {ranked.score.total:g} of 100</h4><table class="bars">{bars}</table>'


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
