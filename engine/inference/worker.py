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
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from engine.errors import EngineError, InsufficientMemory, InUse, LoadFailed
from engine.inference.blas import open_fast_blas
from engine.inference.mailbox import Mailbox
from engine.records import CheckedModel, DeviceFacts, LoadedModel, Loading
from engine.settings import Limits

logger = logging.getLogger(__name__)

PREFILL_STEP_TOKENS = {"cpu": 128, "metal": 1024, "cuda": 1024}
_MINIMUM_CONTEXT_TOKENS = 1024
_UNKNOWN_CONTEXT_TOKENS = 4096


@dataclass
class LoadRequest:
    """A checked model that the thread shall load. ``listeners`` hear of its progress."""

    checked: CheckedModel
    future: "Future[LoadedModel]"
    listeners: list[Mailbox]
    progress: Loading = Loading(0, 0)

    @property
    def repo_id(self) -> str:
        """The model's name."""
        return self.checked.repo_id


@dataclass
class _Resident:
    lane: Any
    memory_bytes: int


class InferenceThread(threading.Thread):
    """Owns MLX from import to the end of the process. Others post commands and read snapshots."""

    def __init__(
        self, limits: Limits, budget_bytes: Callable[[DeviceFacts], int], cache_dir: Path
    ) -> None:
        super().__init__(name="pomona-inference", daemon=True)
        self.facts: Future[DeviceFacts] = Future()
        self.loaded: tuple[LoadedModel, ...] = ()
        self._limits = limits
        self._compute_budget_bytes = budget_bytes
        self._cache_dir = cache_dir
        self._commands: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._residents: dict[str, _Resident] = {}
        self._loads: list[tuple[LoadRequest, Iterator[Any]]] = []
        self._is_closing = False
        self._backend: ModuleType
        self._lanes: ModuleType

    def post(self, command: Callable[[], None]) -> None:
        """Run ``command`` on the thread, between two steps."""
        self._commands.put(command)

    def run(self) -> None:
        """Import mlx, then serve until closed."""
        try:
            has_fast_blas = open_fast_blas(self._cache_dir)
            self._backend = importlib.import_module("engine.inference.backend")
            self._lanes = importlib.import_module("engine.inference.lanes")
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
        is_idle = not self._loads and not any(r.lane.turns for r in self._residents.values())
        with contextlib.suppress(queue.Empty):
            self._obey(self._commands.get(block=is_idle))
            while True:
                self._obey(self._commands.get_nowait())

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
        for repo_id, resident in list(self._residents.items()):
            if not resident.lane.turns:
                continue
            try:
                before = len(resident.lane.turns)
                resident.lane.step()
                if len(resident.lane.turns) != before:
                    self._on_served(repo_id, resident)
            except Exception as error:
                logger.exception("the lane of %s failed", repo_id)
                resident.lane.close(_unexpected(error))
                resident.lane = self._new_lane(resident.lane.model)
                self._publish()

    def _on_served(self, repo_id: str, resident: _Resident) -> None:
        """Move the model to the end of the line for being unloaded."""
        if not resident.lane.turns:
            self._residents[repo_id] = self._residents.pop(repo_id)
            self._backend.mx.clear_cache()
        self._publish()

    def submit(self, turn: Any) -> None:
        """Command: put a request into its model's lane."""
        resident = self._residents.get(turn.model_id)
        if resident is None:
            turn.fail(InUse("The model was unloaded in the meantime.", "Send the message again."))
            return
        if turn.is_cancelled:
            turn.finish("cancelled")
            return
        try:
            with self._backend.foreign_errors(self._lanes.step_failed):
                resident.lane.submit(turn)
        except EngineError as error:
            turn.fail(error)
        self._publish()

    def begin_load(self, request: LoadRequest) -> None:
        """Command: make room, and start to load."""
        if self._is_closing:
            self._end_load(request, _closed())
            return
        if request.repo_id in self._residents:
            self._end_load(request)
            return
        try:
            error = self._make_room(request)
            context_tokens = self._affordable_context(request)
        except Exception as unexpected:
            logger.exception("no room could be made for %s", request.repo_id)
            error = _unexpected(unexpected)
        if error:
            self._end_load(request, error)
            return
        self._loads.append(
            (request, self._backend.load_steps(request.checked.path, context_tokens))
        )

    def unload(self, repo_id: str, future: "Future[None]") -> None:
        """Command: free a model. Fails with InUse while it answers somebody."""
        if self._is_busy(repo_id):
            future.set_exception(
                InUse("This model is answering right now.", "Stop its answers first.")
            )
            return
        if repo_id in self._residents:
            self._free(repo_id)
        future.set_result(None)

    def _is_busy(self, repo_id: str) -> bool:
        """Asks without leaving a reference in the caller, which would keep the model in memory."""
        resident = self._residents.get(repo_id)
        return resident is not None and bool(resident.lane.turns)

    def _free(self, repo_id: str) -> None:
        resident = self._residents.pop(repo_id)
        resident.lane.close(InUse("The model was unloaded.", "Send the message again."))
        del resident
        self._backend.release_memory()
        self._share_cache()
        self._publish()

    def _make_room(self, request: LoadRequest) -> EngineError | None:
        """Unload idle models, least recently used first, until this one fits."""
        estimate = request.checked.estimate
        needed_bytes = estimate.base_bytes
        if estimate.kv_cache:
            longest = request.checked.context_tokens or _UNKNOWN_CONTEXT_TOKENS
            least_tokens = min(_MINIMUM_CONTEXT_TOKENS, longest)
            needed_bytes += estimate.kv_cache.bytes_at(least_tokens)
        budget_bytes = self._budget_bytes()
        if needed_bytes <= budget_bytes:
            if self._free_bytes() < needed_bytes:
                self._drop_prompt_caches()
            for repo_id in list(self._residents):
                if self._free_bytes() >= needed_bytes:
                    break
                if not self._residents[repo_id].lane.turns:
                    self._free(repo_id)
            if self._free_bytes() >= needed_bytes:
                return None
        return InsufficientMemory(
            f"This model needs {needed_bytes / 1e9:.1f} GB of memory; models may use"
            f" {budget_bytes / 1e9:.1f} GB here, of which {self._free_bytes() / 1e9:.1f} GB are"
            " free.",
            "Choose a smaller model or a stronger quantisation.",
            needed_bytes=needed_bytes,
            budget_bytes=budget_bytes,
        )

    def _drop_prompt_caches(self) -> None:
        """Kept prefixes are a convenience; a model somebody asked for comes first."""
        for resident in self._residents.values():
            resident.lane.limit_cache(0)
        self._backend.release_memory()
        self._share_cache()

    def _budget_bytes(self) -> int:
        return self._compute_budget_bytes(self.facts.result())

    def _free_bytes(self) -> int:
        """Budget less what is loaded and what the loads under way will take."""
        coming = sum(request.checked.estimate.weights_bytes for request, _ in self._loads)
        return max(0, self._budget_bytes() - int(self._backend.active_memory_bytes()) - int(coming))

    def _affordable_context(self, request: LoadRequest) -> int:
        """The model's context, or as much of it as the memory holds."""
        longest = request.checked.context_tokens or _UNKNOWN_CONTEXT_TOKENS
        estimate = request.checked.estimate
        if estimate.kv_cache is None:
            return longest
        affordable = estimate.kv_cache.tokens_within(
            self._free_bytes() - estimate.base_bytes, longest
        )
        return min(longest, max(_MINIMUM_CONTEXT_TOKENS, affordable))

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
        lane = self._new_lane(result)
        self._residents[request.repo_id] = _Resident(lane, request.progress.total_bytes)
        self._share_cache()
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

    def _share_cache(self) -> None:
        """Split the prompt cache's bytes evenly among the loaded models."""
        for resident in self._residents.values():
            resident.lane.limit_cache(self._limits.prompt_cache_bytes // len(self._residents))

    def _publish(self) -> None:
        self.loaded = tuple(
            LoadedModel(
                repo_id=repo_id,
                memory_bytes=resident.memory_bytes,
                context_tokens=resident.lane.model.context_tokens,
                is_batched=resident.lane.model.is_batchable,
                active_requests=len(resident.lane.turns),
                has_chat_template=resident.lane.model.has_chat_template,
            )
            for repo_id, resident in self._residents.items()
        )

    def _clean_up(self) -> None:
        """Free everything on this thread: streams left behind abort the interpreter at exit."""
        for request, _ in list(self._loads):
            self._end_load(request, _closed())
        for resident in self._residents.values():
            resident.lane.close(_closed())
        self._residents.clear()
        self._publish()
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
