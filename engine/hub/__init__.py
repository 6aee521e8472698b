"""Discover's engine: what the Hugging Face Hub has, and what it is worth here."""

from engine.hub.bundled import Bundled, Pick, load_bundled, picks_for
from engine.hub.catalogue import Catalogue, Listing, Machine, rank_model
from engine.hub.client import HubClient
from engine.hub.facts import summary_from_hub
from engine.hub.files import (
    INDEX_NAME,
    download_bytes,
    has_weights,
    indexed_weights,
    missing_weights,
    wanted_files,
)
from engine.hub.search import RankedModel

__all__ = [
    "INDEX_NAME",
    "Bundled",
    "Catalogue",
    "HubClient",
    "Listing",
    "Machine",
    "Pick",
    "RankedModel",
    "download_bytes",
    "has_weights",
    "indexed_weights",
    "load_bundled",
    "missing_weights",
    "picks_for",
    "rank_model",
    "summary_from_hub",
    "wanted_files",
]
