"""What the Discover tab does."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import gradio as gr

from engine import Engine
from engine.discover import Inspection, Listing
from engine.errors import Cancelled, EngineError
from engine.hub.files import wanted_files
from engine.records import SearchQuery
from ui.asking import Question
from ui.chips import Chip, chips_of, format_chips, without_chip
from ui.discover_filters import read_query
from ui.download_button import ASKING, DownloadStarter, Offer
from ui.errors import show_toast
from ui.format import format_note
from ui.format_discover import (
    format_empty,
    format_facts,
    format_files,
    format_head,
    format_opening,
    format_source,
    readable_card,
    table_rows,
)
from ui.format_memory import format_memory_plot
from ui.picks import MOST_PICKS, format_picks
from ui.pressed import pressed_place
from ui.row_ids import RowIds

DOWNLOAD_OUTPUTS = 5
DETAIL_OUTPUTS = 6 + DOWNLOAD_OUTPUTS
RESULT_OUTPUTS = 6
Updates = AsyncIterator[tuple[Any, ...]]


@dataclass
class Shown:
    """What one visitor's tab shows: models by row, the model in the panel, the latest search.

    ``looks`` counts the models that were opened. ``is_open`` says whether the tab is seen: only
    then its timer runs.
    """

    rows: RowIds = field(default_factory=RowIds)
    picks: list[str] = field(default_factory=list)
    chips: list[Chip] = field(default_factory=list)
    offer: Offer | None = None
    serial: int = 0
    looks: int = 0
    is_open: bool = False
    table: list[list[Any]] = field(default_factory=list)

    def begin(self) -> int:
        """Start a search; the answer to an older one is then dropped."""
        self.serial += 1
        return self.serial

    def begin_look(self) -> int:
        """Open a model; what is said of an older one is then dropped."""
        self.looks += 1
        return self.looks


class DiscoverHandlers:
    """One method per event."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._downloads = DownloadStarter(engine)

    async def open_tab(self, shown: Shown, *values: Any) -> Updates:
        """Show what is known at once, then what the Hub says."""
        query = read_query(values)
        serial = shown.begin()
        with contextlib.suppress(EngineError):  # without MLX nothing fits, and the list still helps
            await asyncio.to_thread(self._engine.inference.device_facts)
        same = (gr.skip(), gr.skip())
        first = await asyncio.to_thread(self._engine.discover.peek, query)
        if shown.serial == serial:
            yield (*await asyncio.to_thread(self._results, first, query, shown), *same)
        async for results in self._search(shown, query, serial):
            yield (*results, *same)
        everything = await asyncio.to_thread(self._engine.discover.peek, SearchQuery(limit=1000))
        names = sorted({m.summary.architecture for m in everything.models} - {"unknown"})
        choices = (gr.Dropdown(choices=[("any", ""), *names]), gr.Dropdown(choices=names))
        yield (*(gr.skip() for _ in range(RESULT_OUTPUTS)), *choices)

    async def search(self, shown: Shown, *values: Any) -> Updates:
        """Search; an answer that a later search has overtaken is dropped."""
        async for results in self._search(shown, read_query(values), shown.begin()):
            yield results

    def repaint(self, shown: Shown) -> Any:
        """The rows once more: of two values in quick succession Gradio's table may lose one."""
        return gr.Dataframe(value=shown.table)

    async def retry(self, shown: Shown, *values: Any) -> Updates:
        """Ask the Hub again."""
        self._engine.discover.retry()
        async for results in self.search(shown, *values):
            yield results

    def remove_chip(self, shown: Shown, event: gr.EventData) -> list[Any]:
        """Take a filter away; the search that follows is another event."""
        return without_chip(shown.chips, pressed_place(event))

    async def inspect(self, shown: Shown, event: gr.SelectData) -> Updates:
        """Look closely at the model of the row that was chosen."""
        async for update in self.details(shown, shown.rows.chosen(event)):
            yield update

    async def inspect_pick(self, shown: Shown, event: gr.EventData) -> Updates:
        """Look closely at a good first model."""
        place = pressed_place(event)
        repo_id = shown.picks[place] if 0 <= place < len(shown.picks) else ""
        async for update in self.details(shown, repo_id):
            yield update

    async def details(self, shown: Shown, repo_id: str) -> Updates:
        """Open the panel on a model: on what is known at once when the Hub takes its time."""
        if not repo_id:
            return
        look = shown.begin_look()
        shown.is_open = True
        question = Question(
            lambda cancel, on_wait: self._engine.discover.inspect(repo_id, cancel, on_wait),
            lambda: shown.looks != look,
        )
        is_opening = False
        async for sentence in question.sentences():
            if shown.looks == look:
                is_opening = True
                known = await asyncio.to_thread(self._engine.discover.glance, repo_id)
                shown.offer = None
                yield self._opening(repo_id, known, sentence)
        try:
            found = await question.answer
        except Cancelled:
            return
        except EngineError as error:
            if shown.looks == look:
                show_toast(error)
            if shown.looks == look and is_opening:
                yield (gr.Column(visible=False), *(gr.skip() for _ in range(DETAIL_OUTPUTS - 1)))
            return
        if shown.looks == look:
            yield await asyncio.to_thread(self._details, found, shown)

    def come_back(self, shown: Shown) -> list[Any]:
        """Look at the download of the model in the panel again, and follow it."""
        shown.is_open = True
        return self.follow(shown)

    def leave_tab(self, shown: Shown) -> Any:
        """Fall silent. An answer still under way may wake the timer; its next tick ends it."""
        shown.is_open = False
        return gr.Timer(active=False)

    def follow(self, shown: Shown) -> list[Any]:
        """How the download of the model in the panel stands."""
        if shown.offer is None or not shown.is_open:
            return [*(gr.skip() for _ in range(DOWNLOAD_OUTPUTS - 1)), gr.Timer(active=False)]
        return self._downloads.show(shown.offer)

    async def press(self, shown: Shown) -> AsyncIterator[list[Any]]:
        """Download, or open the dialogue where the model would disappoint."""
        offer = shown.offer
        if offer is None:
            return
        closed, same = gr.Column(visible=False), gr.skip()
        asking = gr.Button(ASKING, interactive=False)
        yield [asking, *(gr.skip() for _ in range(DOWNLOAD_OUTPUTS - 1)), closed, same]
        question = ""
        try:
            question = await asyncio.to_thread(self._downloads.question, offer.repo_id)
            if not question:
                await asyncio.to_thread(self._downloads.start, offer.repo_id)
        except EngineError as error:
            show_toast(error)
        standing = await asyncio.to_thread(self._downloads.show, offer)
        yield [*standing, gr.Column(visible=bool(question)), question or same]

    def confirm(self, shown: Shown) -> list[Any]:
        """Download all the same."""
        try:
            if shown.offer is not None:
                self._downloads.start(shown.offer.repo_id)
        except EngineError as error:
            show_toast(error)
        return [*self.follow(shown), gr.Column(visible=False)]

    async def _search(self, shown: Shown, query: SearchQuery, serial: int) -> Updates:
        """The results of a search, and what it waits for meanwhile."""
        question = Question(
            lambda cancel, on_wait: self._engine.discover.search(query, cancel, on_wait),
            lambda: shown.serial != serial,
        )
        async for sentence in question.sentences():
            if shown.serial == serial:
                rest = (gr.skip() for _ in range(RESULT_OUTPUTS - 2))
                yield (gr.skip(), format_note(sentence), *rest)
        with contextlib.suppress(Cancelled):
            listing = await question.answer
            if shown.serial == serial:
                yield await asyncio.to_thread(self._results, listing, query, shown)

    def _results(self, listing: Listing, query: SearchQuery, shown: Shown) -> tuple[Any, ...]:
        """Values for ``DiscoverView.results``. Rows stay where the Hub fails and none are known."""
        shown.chips = chips_of(query)
        picks = () if query.text.strip() else self._engine.discover.picks()[:MOST_PICKS]
        shown.picks = [pick.repo_id for pick in picks]
        keeps_rows = bool(listing.notice and not listing.models and shown.rows.newest)
        table = gr.skip()
        if not keeps_rows:
            row_ids = shown.rows.issue([model.summary.repo_id for model in listing.models])
            rows = table_rows(listing.models, self._engine.library.names(), row_ids)
            shown.table = rows
            table = gr.Dataframe(value=rows)
        return (
            table,
            format_source(listing, time.time(), keeps_rows),
            gr.Button(visible=bool(listing.notice)),
            "" if keeps_rows else format_empty(listing, query),
            format_chips(shown.chips),
            format_picks(picks),
        )

    def _opening(self, repo_id: str, known: Inspection | None, sentence: str) -> tuple[Any, ...]:
        """Values for ``DiscoverView.details`` while the Hub is asked about the rest."""
        return (
            gr.Column(visible=True),
            format_opening(repo_id, known, sentence),
            format_facts(known) if known else "",
            format_memory_plot(known.memory) if known else "",
            "",
            "",
            gr.Button(ASKING, interactive=False, visible=True),
            "",
            gr.Button(visible=False),
            gr.Button(visible=False),
            gr.Timer(active=False),
        )

    def _details(self, found: Inspection, shown: Shown) -> tuple[Any, ...]:
        """Values for ``DiscoverView.details``."""
        repo_id = found.ranked.summary.repo_id
        shown.offer = self._downloads.offer(found)
        is_installed = repo_id in self._engine.library.names()
        local = self._engine.library.find(repo_id) if is_installed else None
        wanted = {file.path for file in wanted_files(found.files)}
        return (
            gr.Column(visible=True),
            format_head(found, local),
            format_facts(found, local),
            format_memory_plot(found.memory),
            format_files(found.files, wanted),
            readable_card(found.readme),
            *self._downloads.show(shown.offer),
        )
