"""What the tests of deletes share: a library to ask, and what is left on the disk afterwards."""

from typing import Any

from engine import Settings
from engine.inference import supported_architectures
from engine.library import Library

NAME = "org/name"


def open_library(settings: Settings, **options: Any) -> Library:
    return Library(settings, supported_architectures, lambda: 10**9, **options)


def everything_left(settings: Settings) -> list[str]:
    """Everything below the models folder."""
    return sorted(
        path.relative_to(settings.models_dir).as_posix() for path in settings.models_dir.rglob("*")
    )
