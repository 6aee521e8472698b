"""Loads: those under way, a portion of weights at a time, and those that wait for memory.

A model that finds no room waits in line while others are answered. After a while it is due: models
that answer are then set aside, and their visitors go on, later, where they were. So nobody waits
for ever, and nobody is thrown out. Inference thread only.
"""

import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from engine.errors import EngineError, InsufficientMemory, InUse, LoadFailed
from engine.inference.residents import Residents
from engine.inference.room import Room
from engine.mailbox import Mailbox
from engine.records import CheckedModel, LoadedModel, Loading, MemoryEstimate, Queued

logger = logging.getLogger(__name__)


@dataclass
class LoadRequest:
    """A checked model that the thread shall load. ``listeners`` hear of its progress.

    ``form`` is how it is kept in memory. ``is_wanted`` says whether anybody still waits for it.
    """

    checked: CheckedModel
    future: "Future[LoadedModel]"
    listeners: list[Mailbox]
    is_wanted: Callable[[], bool] = lambda: True
    progress: Loading = Loading(0, 0)
    asked_at: float = field(default_factory=time.monotonic)
    form: MemoryEstimate = field(init=False)

    def __post_init__(self) -> None:
        self.form = self.checked.estimate

    @property
    def repo_id(self) -> str:
        """The model's name."""
        return self.checked.repo_id

    @property
    def form_alone(self) -> MemoryEstimate:
        """The same form of the model without the one that drafts for it."""
        alone = self.checked.alone or self.form
        return alone.narrow if self.form.narrow is None and alone.narrow else alone

    @property
    def coming_bytes(self) -> int:
        """What of its weights is not in memory yet."""
        return max(0, self.form.weights_bytes - self.progress.done_bytes)


class Loads:
    """``add`` keeps a model that was loaded, ``publish`` tells others what has changed."""

    _backend: ModuleType

    def __init__(
        self,
        residents: Residents,
        budget_bytes: Callable[[], int],
        patience_s: float,
        add: Callable[[LoadRequest, Any], LoadedModel],
        publish: Callable[[], None],
    ) -> None:
        self.room = Room(residents, budget_bytes, self._coming_bytes)
        self._residents = residents
        self._patience_s = patience_s
        self._add = add
        self._publish = publish
        self._loaded_at = time.monotonic()
        self._line: list[LoadRequest] = []
        self._under_way: list[tuple[LoadRequest, Iterator[Any]]] = []
        self._current: LoadRequest | None = None

    def start(self, backend: ModuleType) -> None:
        """Take the boundary to mlx, once it could be imported."""
        self._backend = backend

    def __bool__(self) -> bool:
        return bool(self._line or self._under_way)

    def begin(self, request: LoadRequest) -> None:
        """Take a request for the next step. Its future hears of the end."""
        self._line.append(request)

    def step(self) -> None:
        """A bounded piece of every load. Errors end the load that they are about.

        What nobody has foreseen is raised: whoever runs the thread logs it and calls ``fail``.
        """
        self._begin_first()
        for position, request in enumerate(self._line, start=1):
            for listener in request.listeners:
                listener.put(Queued(position))
        for request, steps in list(self._under_way):
            self._current = request
            try:
                self._load_some(request, steps)
            except EngineError as error:
                logger.warning("%s was not loaded: %s", request.repo_id, error.__cause__ or error)
                self._end(request, error)

    def fail(self, error: EngineError) -> None:
        """End the load that was being worked on."""
        if self._current is not None:
            self._end(self._current, error)

    def close(self, error: EngineError) -> None:
        """End all with ``error``."""
        for request in [*self._line, *(request for request, _ in self._under_way)]:
            self._end(request, error)

    def _begin_first(self) -> None:
        """Start what is first in line, once there is room, or it has waited for long enough."""
        for request in [request for request in self._line if not request.is_wanted()]:
            self._end(request, InUse("Nobody waits for this model any more.", "Ask again."))
        if not self._line:
            return
        request = self._current = self._line[0]
        if request.repo_id in self._residents:
            self._end(request)
            return
        try:
            form = self._find_room(request)
        except EngineError as error:
            self._end(request, error)
            return
        if form is None:
            return
        self._publish()
        request.form = form
        self._line.remove(request)
        steps = self._steps(request, form)
        self._under_way.append((request, steps))

    def _steps(self, request: LoadRequest, form: MemoryEstimate) -> Iterator[Any]:
        """The steps of the model's load, and those of the smaller one that drafts for it."""
        checked, done_bytes = request.checked, 0
        loaded: Any = None

        def has_room(size_bytes: int) -> bool:
            return self.room.has_room_for_speed(checked, form, size_bytes)

        is_widened = form.narrow is not None
        for step in self._backend.load_steps(checked.path, is_widened, has_room, checked.kv_bits):
            if isinstance(step, tuple):
                done_bytes = step[1]
                yield step
            else:
                loaded = step
        draft = checked.draft
        for step in self._backend.load_steps(draft.path, is_widened, has_room) if draft else ():
            if isinstance(step, tuple):
                yield done_bytes + step[0], done_bytes + step[1]
            else:
                loaded.take_draft(step)
        yield loaded

    def _find_room(self, request: LoadRequest) -> MemoryEstimate | None:
        """As Room.make_room; raises InsufficientMemory also where waiting would change nothing."""
        # Who was loaded last has its time too, or two models would chase each other for ever.
        is_due = time.monotonic() - max(request.asked_at, self._loaded_at) >= self._patience_s
        form = self.room.make_room(request.checked, may_interrupt=is_due)
        if form is None and self._residents.is_idle() and not self._under_way:
            needed_bytes, free_bytes = request.form.base_bytes, max(0, self.room.free_bytes())
            raise InsufficientMemory(
                f"This model needs {needed_bytes / 1e9:.1f} GB of memory, and"
                f" {free_bytes / 1e9:.1f} GB are left.",
                "Unload other models in Manage, or choose a smaller one.",
                needed_bytes=needed_bytes,
                budget_bytes=free_bytes,
            )
        return form

    def _load_some(self, request: LoadRequest, steps: Iterator[Any]) -> None:
        result = next(steps)
        if isinstance(result, tuple):
            request.progress = Loading(*result)
            for listener in request.listeners:
                listener.put(request.progress)
            return
        result.context_tokens = self.room.affordable_context(
            request.checked, request.form, result.extra_bytes
        )
        self._loaded_at = time.monotonic()
        self._end(request, loaded=self._add(request, result))

    def _coming_bytes(self) -> int:
        """What the loads under way will still take."""
        return sum(request.coming_bytes for request, _ in self._under_way)

    def _end(
        self,
        request: LoadRequest,
        error: EngineError | None = None,
        loaded: LoadedModel | None = None,
    ) -> None:
        self._line = [other for other in self._line if other is not request]
        self._under_way = [load for load in self._under_way if load[0] is not request]
        self._publish()
        with contextlib.suppress(InvalidStateError):  # somebody cancelled the future
            if error is None:
                request.future.set_result(loaded or self._residents.record(request.repo_id))
            else:
                request.future.set_exception(error)
        if error is not None:
            self._backend.release_memory()


def unexpected(error: Exception) -> EngineError:
    """An error that a person can be told, for one that nobody has foreseen."""
    if isinstance(error, EngineError):
        return error
    failure = LoadFailed("The model failed in an unexpected way.", "The log has the details.")
    failure.__cause__ = error
    return failure
