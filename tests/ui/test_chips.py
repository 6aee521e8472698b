"""Chips of the active filters, and what is left when one is taken away."""

import dataclasses
from typing import Any

from engine.records import SearchQuery
from ui.chips import MOST_CHIPS, chips_of, without_chip
from ui.discover_filters import Filters, read_query

FULL = SearchQuery(
    text="pear", model_type="text-generation", size_class="medium", quantization="4-bit",
    architecture="llama", exclude_architectures=("gemma", "phi"), tags=("mlx", "small"),
    min_downloads=1000, min_likes=5, max_weights_bytes=5 * 10**9, fits_only=True,
    chat_ready_only=True,
)  # fmt: skip
FILTERS = [field.name for field in dataclasses.fields(Filters)]


def values_of(query: SearchQuery) -> list[Any]:
    """What the filters hold when a query is read from them."""
    held = dataclasses.asdict(query)
    held["tags"] = ", ".join(query.tags)
    held["exclude_architectures"] = list(query.exclude_architectures)
    held["max_gb"] = query.max_weights_bytes / 1e9 if query.max_weights_bytes else 0
    return [held[name] for name in FILTERS]


def after(query: SearchQuery, label: str) -> SearchQuery:
    """The query once the chip with ``label`` is pressed."""
    chips = chips_of(query)
    place = [chip.label for chip in chips].index(label)
    updates = without_chip(chips, place)
    held = [
        update["value"] if "value" in update else value
        for value, update in zip(values_of(query), updates, strict=True)
    ]
    return read_query(held)


def test_a_query_without_filters_has_no_chips() -> None:
    assert chips_of(SearchQuery()) == []


def test_every_chip_takes_away_itself_alone() -> None:
    labels = [chip.label for chip in chips_of(FULL)]
    assert len(labels) == 14 and "at most 5.0 GB" in labels
    for label in labels:
        left = [chip.label for chip in chips_of(after(FULL, label))]
        assert left == [other for other in labels if other != label]


def test_a_place_without_a_chip_changes_nothing() -> None:
    for place in (-1, 14, 999):
        assert not any("value" in update for update in without_chip(chips_of(FULL), place))


def test_no_more_chips_than_buttons() -> None:
    tags = tuple(f"t{n}" for n in range(40))
    assert len(chips_of(dataclasses.replace(FULL, tags=tags))) == MOST_CHIPS
