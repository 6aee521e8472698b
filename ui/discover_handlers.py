"""What the Discover tab does."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import gradio as gr
import pandas as pd

from engine import Engine
from engine.discover import Inspection, Listing
from engine.errors import EngineError
from engine.hub.files import wanted_files
from engine.records import LocalModel, SearchQuery
from ui.chips import MOST_CHIPS, Chip, chips_of, show_chips, without_chip
from ui.discover_filters import read_query
from ui.download_button import DownloadStarter, Offer
from ui.errors import show_toast
from ui.format_discover import (
    format_facts,
    format_files,
    format_head,
    format_source,
    memory_contexts,
    memory_rows,
    readable_card,
    table_rows,
)
from ui.picks import MOST_PICKS, show_picks

DOWNLOAD_OUTPUTS = 5
DETAIL_OUTPUTS = 6 + DOWNLOAD_OUTPUTS
RESULT_OUTPUTS = 3 + MOST_CHIPS + 1 + 3 * MOST_PICKS


@dataclass
class Shown:
    """What one visitor's tab shows: names by row, the model in the panel, the latest search.

    ``is_open`` says whether the tab is seen: only then its timer runs.
    """

    repo_ids: list[str] = field(default_factory=list)
    picks: list[str] = field(default_factory=list)
    chips: list[Chip] = field(default_factory=list)
    offer: Offer | None = None
    serial: int = 0
    is_open: bool = False

    def begin(self) -> int:
        """Start a search; the answer to an older one is then dropped."""
        self.serial += 1
        return self.serial


class DiscoverHandlers:
    """One method per event."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._downloads = DownloadStarter(engine)

    async def open_tab(self, shown: Shown, *values: Any) -> AsyncIterator[tuple[Any, ...]]:
        """Show what is known at once, then what the Hub says."""
        query = read_query(values)
        serial = shown.begin()
        with contextlib.suppress(EngineError):  # without MLX nothing fits, and the list still helps
            await asyncio.to_thread(self._engine.inference.device_facts)
        first = await asyncio.to_thread(self._engine.discover.peek, query)
        if shown.serial == serial:
            results = await asyncio.to_thread(self._results, first, query, shown)
            yield (*results, gr.skip(), gr.skip())
        full = await asyncio.to_thread(self._engine.discover.search, query)
        names = sorted({m.summary.architecture for m in full.models} - {"unknown"})
        choices = (gr.Dropdown(choices=[("any", ""), *names]), gr.Dropdown(choices=names))
        if shown.serial == serial:
            yield (*await asyncio.to_thread(self._results, full, query, shown), *choices)
        else:
            yield (*(gr.skip() for _ in range(RESULT_OUTPUTS)), *choices)

    async def search(self, shown: Shown, *values: Any) -> AsyncIterator[tuple[Any, ...]]:
        """Search; an answer that a later search has overtaken is dropped."""
        query = read_query(values)
        serial = shown.begin()
        listing = await asyncio.to_thread(self._engine.discover.search, query)
        if shown.serial == serial:
            yield await asyncio.to_thread(self._results, listing, query, shown)

    async def retry(self, shown: Shown, *values: Any) -> AsyncIterator[tuple[Any, ...]]:
        """Ask the Hub again."""
        self._engine.discover.retry()
        async for update in self.search(shown, *values):
            yield update

    def remove_chip(self, place: int, shown: Shown) -> list[Any]:
        """Take a filter away; the search that follows is another event."""
        return without_chip(shown.chips, place)

    def inspect(self, shown: Shown, event: gr.SelectData) -> list[Any]:
        """Look closely at the model of the row that was chosen."""
        row = event.index[0] if isinstance(event.index, (list, tuple)) else event.index
        if not isinstance(row, int) or not 0 <= row < len(shown.repo_ids):
            return [gr.skip() for _ in range(DETAIL_OUTPUTS)]
        return self.details(shown, shown.repo_ids[row])

    def inspect_pick(self, place: int, shown: Shown) -> list[Any]:
        """Look closely at a good first model."""
        if not 0 <= place < len(shown.picks):
            return [gr.skip() for _ in range(DETAIL_OUTPUTS)]
        return self.details(shown, shown.picks[place])

    def details(self, shown: Shown, repo_id: str) -> list[Any]:
        """Open the panel on a model."""
        shown.is_open = True
        found = self._engine.discover.inspect(repo_id)
        shown.offer = self._downloads.offer(found)
        local = None
        if found.ranked.summary.repo_id in self._engine.library.names():
            local = self._engine.library.find(found.ranked.summary.repo_id)
        return [*_details(found, local), *self._downloads.show(shown.offer)]

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
        asking = gr.Button("Asking the Hub", interactive=False)
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

    def _results(self, listing: Listing, query: SearchQuery, shown: Shown) -> tuple[Any, ...]:
        shown.repo_ids = [model.summary.repo_id for model in listing.models]
        shown.chips = chips_of(query)
        picks = () if query.text.strip() else self._engine.discover.picks()[:MOST_PICKS]
        shown.picks = [pick.repo_id for pick in picks]
        installed = self._engine.library.names()
        return (
            gr.Dataframe(value=table_rows(listing.models, installed)),
            format_source(listing, len(listing.models), time.time()),
            gr.Button(visible=bool(listing.notice)),
            *show_chips(shown.chips),
            *show_picks(picks),
        )


def _details(found: Inspection, local: LocalModel | None) -> tuple[Any, ...]:
    wanted = {file.path for file in wanted_files(found.files)}
    return (
        gr.Column(visible=True),
        format_head(found, local),
        format_facts(found, local),
        gr.BarPlot(
            value=pd.DataFrame(memory_rows(found)),
            sort=memory_contexts(found),
            visible=bool(found.memory),
        ),
        format_files(found.files, wanted),
        readable_card(found.readme),
    )
