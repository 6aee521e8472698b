"""Discover's engine: what the Hugging Face Hub has, and what it is worth here."""

from engine.hub.bundled import Bundled, Pick, load_bundled, picks_for
from engine.hub.catalogue import Catalogue, Listing, Machine, rank_model
from engine.hub.client import HubClient
from engine.hub.facts import summary_from_hub
from engine.hub.files import download_bytes, wanted_files
from engine.hub.search import RankedModel

__all__ = [
    "Bundled",
    "Catalogue",
    "HubClient",
    "Listing",
    "Machine",
    "Pick",
    "RankedModel",
    "download_bytes",
    "load_bundled",
    "picks_for",
    "rank_model",
    "summary_from_hub",
    "wanted_files",
]
