"""Loads as those who wait for them see them: shared, and told of how they end."""

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from engine.errors import EngineError, InUse, LoadFailed
from engine.inference.loads import LoadRequest
from engine.mailbox import Mailbox
from engine.records import Finished, GenerationStats, LoadedModel


@dataclass
class LoadJob:
    """A load under way, shared by all who wait for it."""

    future: "Future[LoadedModel]" = field(default_factory=Future)
    listeners: list[Mailbox] = field(default_factory=list)
    request: LoadRequest | None = None
    is_kept: bool = False

    def is_wanted(self) -> bool:
        """Whether somebody wants the model itself, or still waits for its answer."""
        return self.is_kept or not all(mailbox.is_closed for mailbox in self.listeners)


def end_unless_loaded(mailbox: Mailbox, loading: "Future[LoadedModel]") -> Callable[[], None]:
    """What a stopped request does before its model is there. Refers to no model, as a turn does."""

    def end() -> None:
        if not loading.done():
            mailbox.put(Finished("cancelled", GenerationStats()))

    return end


def pass_on_failure(done: "Future[None]", future: "Future[Any]") -> None:
    """End a future where what was to fill it has failed, or was never begun."""
    if future.done():
        return
    if done.cancelled():
        future.set_exception(closing())
    elif error := done.exception():
        future.set_exception(error)


def closing() -> EngineError:
    """What whoever asks too late is told."""
    return InUse("Pomona is closing.", "Start it again to go on.")


def as_engine_error(error: BaseException) -> EngineError:
    """A failure of a load as one that a person can read."""
    if isinstance(error, EngineError):
        return error
    failure = LoadFailed("The model could not be loaded.", "The log has the details.")
    failure.__cause__ = error
    return failure
