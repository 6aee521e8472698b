"""Manage's engine: the models on this computer, and what they need."""

from engine.library.installed import Library
from engine.library.memory import estimate_memory

__all__ = ["Library", "estimate_memory"]
