"""Manage's engine: the models on this computer, and what they need."""

from engine.library.installed import Library

__all__ = ["Library"]
