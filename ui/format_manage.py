"""From the library's records to what Manage shows of it. Pure; foreign text is escaped here."""

import html
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.records import DeletePlan, LocalModel, Source
from ui.format import badge, format_age, format_bytes, format_memory_of, format_rate, name_cell

HEADERS = ["Model", "State", "Size", "Quantisation", "Context", "Memory", "Last used", "From"]
DATATYPES: list[Any] = ["html", "html", "str", "str", "str", "html", "str", "str"]
COLUMN_WIDTHS: list[str | int] = ["24%", "11%", "8%", "14%", "9%", "11%", "11%", "12%"]
SOURCES: dict[Source, str] = {
    "pomona": "Pomona",
    "built-in": "built in",
    "huggingface": "Hugging Face",
    "lmstudio": "LM Studio",
    "path": "your folder",
}
SHADES = 6
SHOWN_PATHS = 12
SHOWN_SEGMENTS = 7
SHOWN_CACHE_BYTES = 100_000


def installed_rows(
    models: Sequence[LocalModel],
    loaded: Mapping[str, int],
    busy: Collection[str],
    newest: Mapping[str, str],
    now_at: float,
    row_ids: Sequence[str],
) -> list[list[Any]]:
    """One row per model in the order of HEADERS.

    ``loaded`` has measured bytes by model, ``busy`` the models that a download works on, ``newest``
    the revisions that are newer on the Hub.
    """
    return [
        _row(m, m.repo_id in loaded, m.repo_id in busy, m.repo_id in newest, now_at, row_id)
        for m, row_id in zip(models, row_ids, strict=True)
    ]  # fmt: skip


def _row(
    model: LocalModel, is_loaded: bool, is_busy: bool, has_newer: bool, now_at: float, row_id: str
) -> list[Any]:
    size = format_bytes(model.size_bytes)
    state = state_badge(model, is_loaded, is_busy, has_newer)
    return [
        name_cell(
            model.repo_id, state, (size, model.quantization, last_used(model, now_at)), row_id
        ),
        state,
        size,
        model.quantization,
        f"{model.context_tokens:,}" if model.context_tokens else "–",
        _memory_cell(model),
        last_used(model, now_at),
        SOURCES[model.source],
    ]


def state_badge(model: LocalModel, is_loaded: bool, is_busy: bool, has_newer: bool) -> str:
    """One word on a model, the most pressing one."""
    if is_busy:
        return badge("downloading", "mid")
    if model.is_damaged:
        return badge("damaged", "no")
    if is_loaded:
        return badge("loaded", "ok")
    if not model.will_chat:
        return badge("will not chat", "mid")
    return badge("update there", "mid") if has_newer else badge("ready", "dim")


def last_used(model: LocalModel, now_at: float) -> str:
    """When somebody last talked to it."""
    if model.last_used_at is None:
        return "not yet"
    return format_age(max(0.0, now_at - model.last_used_at))


def _memory_cell(model: LocalModel) -> str:
    measured = model.measured_memory_bytes
    estimate = model.memory.total_bytes if model.memory else None
    if measured is None and estimate is None:
        return "–"
    text = format_bytes(measured if measured is not None else estimate or 0)
    fit = model.memory.fit if model.memory else "unknown"
    kind = {"tight": "mid", "too large": "no"}.get(fit)
    if kind is None:
        return text
    return f'<span title="{html.escape(fit)} for this computer">{badge(text, kind)}</span>'


def format_model(model: LocalModel, loaded_bytes: int | None, newest: str, now_at: float) -> str:
    """The chosen model: what is wrong with it, what it takes, where it is."""
    used = last_used(model, now_at)
    times = f", {model.times_used:,} answer{'' if model.times_used == 1 else 's'} in all"
    rows = {
        "In memory": format_bytes(loaded_bytes) if loaded_bytes is not None else "no",
        "Memory": format_memory_of(model),
        "Speed here": format_rate(model.decode_per_s) if model.decode_per_s else "not measured yet",
        "Last used": used + (times if model.times_used else ""),
        "Architecture": model.architecture,
        "From": SOURCES[model.source],
        "Revision": f"{model.revision[:10]}" if model.revision else "not known",
        "Folder": str(model.path),
    }
    if newest:
        rows["Newer on the Hub"] = newest[:10]
    table = "".join(
        f"<tr><th>{html.escape(name)}</th><td>{html.escape(value)}</td></tr>"
        for name, value in rows.items()
    )
    wrong = [*([model.problem] if model.problem else []), *model.blockers]
    reasons = "".join(f"<li>{html.escape(text)}</li>" for text in wrong)
    return (
        f'<div class="detail"><h3>{html.escape(model.repo_id)}</h3><ul>{reasons}</ul>'
        f"<table>{table}</table></div>"
    )


def why_not_deleted(model: LocalModel, is_loaded: bool) -> str:
    """Why Pomona does not delete this model now; empty when it may."""
    if model.source == "pomona":
        return "To delete it, unload it first." if is_loaded else ""
    if model.source == "built-in":
        return "The Guide comes with Pomona and stays."
    if model.source == "path":
        return "This folder is your own; Pomona leaves it as it is."
    return f"It belongs to {SOURCES[model.source]}: delete it there."


def format_delete(plan: DeletePlan) -> str:
    """What deleting a model would do: the dialogue's text."""
    shown = [_inside(path, plan.folder) for path in plan.paths[:SHOWN_PATHS]]
    items = "".join(f"<li>{html.escape(path)}</li>" for path in shown)
    more = len(plan.paths) - SHOWN_PATHS
    rest = f"<li>and {more:,} more</li>" if more > 0 else ""
    files = f"{len(plan.paths):,} file{'' if len(plan.paths) == 1 else 's'}"
    return (
        f"<h3>Delete {html.escape(plan.repo_id)}?</h3>"
        f"<p>This frees {format_bytes(plan.freed_bytes)} and cannot be undone. You can download"
        f" the model again.</p><p class='note'>{files} in"
        f" <code>{html.escape(str(plan.folder))}</code></p><ul class='paths'>{items}{rest}</ul>"
    )


def _inside(path: Path, folder: Path | None) -> str:
    return str(path.relative_to(folder)) if folder and path.is_relative_to(folder) else str(path)


def format_disk(models: Sequence[LocalModel], free_bytes: int) -> str:
    """A bar of the disk by model."""
    sizes = {model.repo_id: model.size_bytes for model in models}
    total = sum(sizes.values())
    head = f"{format_bytes(total)} in models, {format_bytes(free_bytes)} free"
    return _bar("Disk", head, _largest(sizes), {})


def format_memory(models: Mapping[str, int], cache_bytes: int, budget_bytes: int | None) -> str:
    """A bar of the memory: each loaded model, what is kept of conversations, what is free."""
    used = sum(models.values()) + cache_bytes
    rest = {"conversations kept": cache_bytes} if cache_bytes >= SHOWN_CACHE_BYTES else {}
    if budget_bytes is None:
        return _bar("Memory", f"{format_bytes(used)} in use", _largest(models), rest)
    free = max(0, budget_bytes - used)
    head = f"{format_bytes(used)} of {format_bytes(budget_bytes)} in use"
    return _bar("Memory", head, _largest(models), {**rest, "free": free})


def _largest(sizes: Mapping[str, int]) -> dict[str, int]:
    """The largest, with the rest put together, so that a bar stays readable."""
    ordered = sorted(sizes.items(), key=lambda item: (-item[1], item[0]))
    shown, rest = ordered[:SHOWN_SEGMENTS], ordered[SHOWN_SEGMENTS:]
    others = {f"{len(rest)} others": sum(size for _, size in rest)} if rest else {}
    return {**dict(shown), **others}


def _bar(title: str, head: str, parts: Mapping[str, int], rest: Mapping[str, int]) -> str:
    """A stacked bar whose legend says everything that its colours say."""
    kinds = [(name, size, f"s{n % SHADES}") for n, (name, size) in enumerate(parts.items())]
    kinds += [(name, size, "rest" if name == "free" else "cache") for name, size in rest.items()]
    strips = "".join(
        f'<i class="{kind}" style="flex-grow:{size}"></i>' for _, size, kind in kinds if size > 0
    )
    legend = "".join(
        f'<li><i class="{kind}"></i><span>{html.escape(name)}</span> {format_bytes(size)}</li>'
        for name, size, kind in kinds
    )
    return (
        f'<div class="stack"><h3>{title}</h3><p class="note">{head}</p>'
        f'<div class="strip" aria-hidden="true">{strips}</div><ul>{legend}</ul></div>'
    )


def format_folder(path: Path) -> str:
    """Where the models live, and how to move them."""
    return (
        f'<div class="note"><p>Models folder: <code>{html.escape(str(path))}</code></p>'
        "<p>To move it: close Pomona, move the folder, and start with"
        " <code>python app.py --models-dir NEW_FOLDER</code>, or set"
        " <code>POMONA_MODELS_DIR</code>.</p></div>"
    )
