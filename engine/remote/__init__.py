"""Other servers that speak OpenAI's API, as sources of models. httpx alone; knows no mlx."""

from engine.remote.client import RemotePatience
from engine.remote.records import RemoteModel, RemoteSource
from engine.remote.service import RemoteService

__all__ = ["RemoteModel", "RemotePatience", "RemoteService", "RemoteSource"]
