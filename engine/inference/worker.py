"""The inference thread: it alone imports mlx, loads models, and answers.

A loop takes commands, then gives every lane and every load one bounded step in turn, so no model
and no long prompt holds up the others. With nothing to do it sleeps on its queue.
"""

import contextlib
import importlib
import logging
import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from engine.errors import EngineError, InUse, LoadFailed
from engine.inference.blas import open_fast_blas
from engine.inference.mailbox import Mailbox
from engine.inference.peak import PeakMeter
from engine.inference.residents import Residents
from engine.records import (
    CheckedModel,
    DeviceFacts,
    LoadedModel,
    Loading,
    MemoryEstimate,
    MemoryUse,
)
from engine.settings import Limits

logger = logging.getLogger(__name__)

PREFILL_STEP_TOKENS = {"cpu": 128, "metal": 1024, "cuda": 1024}


@dataclass
class LoadRequest:
    """A checked model that the thread shall load. ``listeners`` hear of its progress.

    ``form`` is how it is kept in memory: as checked, until there turns out to be less room.
    """

    checked: CheckedModel
    future: "Future[LoadedModel]"
    listeners: list[Mailbox]
    progress: Loading = Loading(0, 0)
    form: MemoryEstimate = field(init=False)

    def __post_init__(self) -> None:
        self.form = self.checked.estimate

    @property
    def repo_id(self) -> str:
        """The model's name."""
        return self.checked.repo_id


class InferenceThread(threading.Thread):
    """Owns MLX from import to the end of the process. Others post commands and read snapshots."""

    def __init__(
        self, limits: Limits, budget_bytes: Callable[[DeviceFacts], int], cache_dir: Path
    ) -> None:
        super().__init__(name="pomona-inference", daemon=True)
        self.facts: Future[DeviceFacts] = Future()
        self.loaded: tuple[LoadedModel, ...] = ()
        self.memory_use: MemoryUse | None = None
        self.idle_unload_s: float | None = None
        self._limits = limits
        self._compute_budget_bytes = budget_bytes
        self._cache_dir = cache_dir
        self._commands: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._residents = Residents(limits, self._budget_bytes)
        self._loads: list[tuple[LoadRequest, Iterator[Any]]] = []
        self._is_closing = False
        self._backend: ModuleType
        self._lanes: ModuleType
        self._peaks: PeakMeter

    def post(self, command: Callable[[], None]) -> None:
        """Run ``command`` on the thread, between two steps."""
        self._commands.put(command)

    def run(self) -> None:
        """Import mlx, then serve until closed."""
        try:
            has_fast_blas = open_fast_blas(self._cache_dir)
            self._backend = importlib.import_module("engine.inference.backend")
            self._lanes = importlib.import_module("engine.inference.lanes")
            self._residents.start(self._backend)
            self._peaks = PeakMeter(self._backend)
            self.facts.set_result(self._backend.device_facts(has_fast_blas))
        except (ImportError, OSError, RuntimeError, AttributeError) as error:
            logger.exception("mlx could not be started")
            failure = LoadFailed(
                "MLX could not be started on this computer.",
                "Pomona needs a Mac with Apple silicon, or Linux. The log has the details.",
            )
            failure.__cause__ = error
            self.facts.set_exception(failure)
        while not self._is_closing:
            self._take_commands()
            self._step()
        self._clean_up()

    def close(self) -> None:
        """Ask the thread to end after its present step."""
        self.post(self._begin_closing)

    def _begin_closing(self) -> None:
        self._is_closing = True

    def _take_commands(self) -> None:
        is_idle = not self._loads and self._residents.is_idle()
        try:
            self._obey(self._commands.get(block=is_idle, timeout=self._nap_s()))
        except queue.Empty:
            if is_idle:  # the whole nap long nobody wanted anything
                self._unload_idle()
            return
        with contextlib.suppress(queue.Empty):
            while True:
                self._obey(self._commands.get_nowait())

    def _nap_s(self) -> float | None:
        """Seconds until a model has been idle for too long; None for ever."""
        idle_s = self.idle_unload_s
        return None if idle_s is None else self._residents.next_idle_s(idle_s)

    def _unload_idle(self) -> None:
        idle_s = self.idle_unload_s
        for repo_id in self._residents.idle_since(idle_s) if idle_s is not None else ():
            logger.info("%s is unloaded: nobody used it", repo_id)
            self._residents.free(repo_id)
        self._publish()

    def _obey(self, command: Callable[[], None]) -> None:
        try:
            command()
        except Exception:
            logger.exception("a command to the inference thread failed")

    def _step(self) -> None:
        """Give every load and every busy lane one step. Nothing may end this thread."""
        for load in list(self._loads):
            try:
                self._load_some(*load)
            except Exception as error:
                logger.exception("loading %s failed", load[0].repo_id)
                self._end_load(load[0], _unexpected(error))
        for repo_id in self._residents.names():
            if self._residents.is_busy(repo_id):
                self._serve(repo_id)

    def _serve(self, repo_id: str) -> None:
        """One step for everybody whom this model answers."""
        resident = self._residents[repo_id]
        try:
            before = len(resident.lane.turns)
            resident.lane.step()
            if len(resident.lane.turns) != before:
                self._residents.mark_used(repo_id)
                if not resident.lane.turns:
                    self._backend.mx.clear_cache()
                self._publish()
        except Exception as error:
            logger.exception("the lane of %s failed", repo_id)
            resident.lane.close(_unexpected(error))
            resident.lane = self._new_lane(resident.lane.model)
            self._publish()

    def submit(self, turn: Any) -> bool:
        """Command: put a request into its model's lane. False when the model is not there."""
        if turn.is_cancelled:
            turn.finish("cancelled")
            return True
        if turn.model_id not in self._residents:
            return False
        lane = self._residents[turn.model_id].lane
        if self._residents.names() == [turn.model_id] and not lane.turns and not self._loads:
            self._peaks.begin(turn, lane.kept_bytes + lane.model.extra_bytes)
        else:
            self._peaks.spoil()
        try:
            with self._backend.foreign_errors(self._lanes.step_failed):
                lane.submit(turn)
        except EngineError as error:
            turn.fail(error)
        self._publish()
        return True

    def begin_load(self, request: LoadRequest) -> None:
        """Command: make room, and start to load."""
        if self._is_closing:
            self._end_load(request, _closed())
            return
        if request.repo_id in self._residents:
            self._end_load(request)
            return
        try:
            self._peaks.spoil()
            form = self._residents.make_room(request.checked, self._coming_bytes())
            self._publish()
        except Exception as unexpected:
            logger.exception("no room could be made for %s", request.repo_id)
            form = _unexpected(unexpected)
        if isinstance(form, EngineError):
            self._end_load(request, form)
            return
        request.form = form
        steps = self._backend.load_steps(
            request.checked.path, form.narrow is not None,
            lambda size_bytes: self._has_room(request, size_bytes),
        )  # fmt: skip
        self._loads.append((request, steps))

    def unload(self, repo_id: str, future: "Future[None]") -> None:
        """Command: free a model. Fails with InUse while it answers somebody."""
        if self._residents.is_busy(repo_id):
            future.set_exception(
                InUse("This model is answering right now.", "Stop its answers first.")
            )
            return
        if repo_id in self._residents:
            self._residents.free(repo_id)
            self._publish()
        future.set_result(None)

    def _budget_bytes(self) -> int:
        return self._compute_budget_bytes(self.facts.result())

    def _coming_bytes(self, besides: LoadRequest | None = None) -> int:
        """What the loads under way will take, the load ``besides`` left out."""
        requests = (request for request, _ in self._loads if request is not besides)
        return sum(request.form.weights_bytes for request in requests)

    def _has_room(self, request: LoadRequest, size_bytes: int) -> bool:
        """Whether a model whose weights are in memory may take so much more for speed."""
        return self._residents.has_room_for_speed(
            request.checked, request.form, size_bytes, self._coming_bytes(besides=request)
        )

    def _load_some(self, request: LoadRequest, steps: Iterator[Any]) -> None:
        try:
            result = next(steps)
        except EngineError as error:
            logger.warning("%s could not be loaded: %s", request.repo_id, error.__cause__ or error)
            self._end_load(request, error)
            return
        if isinstance(result, tuple):
            request.progress = Loading(*result)
            for listener in request.listeners:
                listener.put(request.progress)
            return
        result.context_tokens = self._residents.affordable_context(
            request.checked, request.form, self._coming_bytes(besides=request)
        )
        lane = self._new_lane(result)
        self._residents.add(request.repo_id, lane, request.progress.total_bytes)
        self._end_load(request)

    def _end_load(self, request: LoadRequest, error: EngineError | None = None) -> None:
        self._loads = [load for load in self._loads if load[0] is not request]
        self._publish()
        with contextlib.suppress(InvalidStateError):  # somebody cancelled the future
            if error is None:
                loaded = next(model for model in self.loaded if model.repo_id == request.repo_id)
                request.future.set_result(loaded)
            else:
                request.future.set_exception(error)
        if error is not None:
            self._backend.release_memory()

    def _new_lane(self, model: Any) -> Any:
        kind = self._lanes.BatchLane if model.is_batchable else self._lanes.SoloLane
        step_tokens = PREFILL_STEP_TOKENS[self.facts.result().backend]
        return kind(
            model, step_tokens, self._limits.active_requests, self._limits.prompt_cache_sequences
        )

    def _publish(self) -> None:
        self.loaded = self._residents.snapshot()
        self.memory_use = self._residents.memory_use()

    def _clean_up(self) -> None:
        """Free everything on this thread: streams left behind abort the interpreter at exit."""
        for request, _ in list(self._loads):
            self._end_load(request, _closed())
        self._residents.close(_closed())
        self.loaded, self.memory_use = (), None
        with contextlib.suppress(queue.Empty):
            while True:  # whoever asked too late hears of it too
                self._obey(self._commands.get_nowait())
        if self.facts.exception() is None:
            self._backend.release_memory()
            self._backend.mx.clear_streams()


def _closed() -> EngineError:
    return InUse("Pomona is closing.", "Start it again to go on.")


def _unexpected(error: Exception) -> EngineError:
    if isinstance(error, EngineError):
        return error
    failure = LoadFailed("The model failed in an unexpected way.", "The log has the details.")
    failure.__cause__ = error
    return failure
