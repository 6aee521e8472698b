"""The inference thread: it alone imports mlx, loads models, and answers.

A loop takes commands, then gives every lane and every load one bounded step in turn, so no model
and no long prompt holds up the others. With nothing to do it sleeps on its queue.
"""

import contextlib
import importlib
import logging
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from types import ModuleType
from typing import Any

from engine.errors import EngineError, InUse, LoadFailed
from engine.inference.blas import open_fast_blas
from engine.inference.context import estimate_fit, measure_fit
from engine.inference.keeping import PromptKeeping
from engine.inference.loads import LoadRequest, Loads, unexpected
from engine.inference.peak import PeakMeter
from engine.inference.prompt_files import PromptFiles
from engine.inference.residents import Resident, Residents
from engine.records import (
    ContextFit,
    DeviceFacts,
    KVCacheSize,
    LoadedModel,
    MemoryUse,
    Message,
    SamplingParams,
)
from engine.settings import PREFILL_STEP_TOKENS, Limits

logger = logging.getLogger(__name__)


class InferenceThread(threading.Thread):
    """Owns MLX from import to the end of the process. Others post commands and read snapshots."""

    def __init__(
        self,
        limits: Limits,
        budget_bytes: Callable[[DeviceFacts], int],
        cache_dir: Path,
        files: PromptFiles,
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
        self._loads = Loads(
            self._residents, self._budget_bytes, limits.load_patience_s, self._add, self._publish
        )
        self.keeping = PromptKeeping(
            files, self._residents, limits.keep_prompts_after_s,
            lambda: self.post(lambda: self._backend.release_memory()),
        )  # fmt: skip
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
            self._loads.start(self._backend)
            self._peaks = PeakMeter(self._backend)
            facts = self._backend.device_facts(has_fast_blas)
            if facts.backend == "cpu":
                self._backend.speed_up_exponentials()
            self.facts.set_result(facts)
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
        """Seconds until there may be something to do again; None for ever."""
        idle_s = self.idle_unload_s
        unloading_s = None if idle_s is None else self._residents.next_idle_s(idle_s)
        naps_s = [nap_s for nap_s in (unloading_s, self.keeping.nap_s()) if nap_s is not None]
        return min(naps_s, default=None)

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
        self._loads.room.begin_round()
        try:
            self._loads.step()
        except Exception as error:
            logger.exception("a load failed")
            self._loads.fail(unexpected(error))
        for repo_id in self._residents.names():
            if self._residents.is_busy(repo_id):
                self._serve(repo_id)
        try:
            self.keeping.step()
        except Exception:
            logger.exception("a prompt could not be kept")

    def _serve(self, repo_id: str) -> None:
        """One step for everybody whom this model answers."""
        resident = self._residents[repo_id]
        try:
            if resident.unpack_some():
                return
            before = len(resident.lane.turns)
            resident.lane.step()
            if len(resident.lane.turns) != before:
                self._residents.mark_used(repo_id)
                if not resident.lane.turns:
                    self._backend.mx.clear_cache()
                if resident.lane.has_lost and not resident.lane.turns:
                    self._drop_draft(repo_id)
                self._publish()
        except Exception as error:
            logger.exception("the lane of %s failed", repo_id)
            resident.lane.close(unexpected(error))
            failed = resident.lane
            resident.lane = self._new_lane(repo_id, failed.model, failed.kv_cache)
            resident.lane.memory.take_over(failed.memory)
            self._publish()

    def _drop_draft(self, repo_id: str) -> None:
        """Go on without a draft that makes answers slower."""
        resident = self._residents[repo_id]
        logger.info("the draft of %s makes it slower and is given up", repo_id)
        lane, model = resident.lane, resident.lane.model
        lane.close(unexpected(RuntimeError()))  # nobody is in it
        resident.memory_bytes -= model.drop_draft()
        resident.form = resident.form_alone
        resident.lane = self._new_lane(repo_id, model, resident.form.kv_cache)
        self._backend.release_memory()
        self._residents.share_cache()

    def submit(self, turn: Any) -> bool:
        """Command: put a request into its model's lane. False when the model is not there."""
        if turn.is_cancelled:
            turn.finish("cancelled")
            return True
        if turn.model_id not in self._residents:
            return False
        lane = self._residents[turn.model_id].lane
        is_first = not lane.turns
        if self._residents.names() == [turn.model_id] and not lane.turns and not self._loads:
            self._peaks.begin(turn, lane.memory.size_bytes + lane.model.extra_bytes)
        else:
            self._peaks.spoil()
        try:
            with self._backend.foreign_errors(self._lanes.step_failed):
                self.keeping.recall(turn)
                lane.submit(turn)
            if is_first:
                self._unpack_again(turn.model_id)
        except EngineError as error:
            turn.fail(error)
        self._publish()
        return True

    def measure(
        self,
        messages: Sequence[Message],
        params: SamplingParams,
        model_id: str,
        future: "Future[ContextFit]",
    ) -> None:
        """Command: say how a conversation fits into the context of a model that is loaded."""
        if model_id not in self._residents:  # it left just now
            future.set_result(estimate_fit(messages, params, 0))
            return
        model = self._residents[model_id].lane.model
        try:
            with self._backend.foreign_errors(self._lanes.step_failed):
                fit = measure_fit(
                    messages, params, model.context_tokens, model.render_prompt, model.count_tokens
                )
        except EngineError as error:
            future.set_exception(error)
        else:
            future.set_result(fit)

    def _unpack_again(self, repo_id: str) -> None:
        """Have a model that others made give up its unpacked layers take them back, if it can."""
        self._residents[repo_id].unpacking = self._residents[repo_id].lane.model.unpack_steps(
            lambda size_bytes: self._loads.room.has_room_again(repo_id, size_bytes)
        )

    def begin_load(self, request: LoadRequest) -> None:
        """Command: load a model, now or when there is room."""
        if self._is_closing:
            request.future.set_exception(_closed())
            return
        self._peaks.spoil()
        self._loads.begin(request)

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

    def _add(self, request: LoadRequest, model: Any) -> LoadedModel:
        """Keep a model that was loaded."""
        form = request.form if model.draft else request.form_alone
        lane = self._new_lane(request.repo_id, model, form.kv_cache)
        checked, is_widened = request.checked, request.form.narrow is not None
        if checked.weights_id:
            draft_id = checked.draft.weights_id if model.draft and checked.draft else ""
            self.keeping.attach(
                request.repo_id, lane, checked.weights_id, checked.kv_bits, is_widened, draft_id
            )
        memory_bytes = request.progress.total_bytes
        resident = Resident(lane, form, request.form_alone, memory_bytes)
        self._residents.add(request.repo_id, resident)
        return self._residents.record(request.repo_id)

    def _new_lane(self, repo_id: str, model: Any, kv_cache: KVCacheSize | None) -> Any:
        kind = self._lanes.BatchLane if model.is_batchable else self._lanes.SoloLane
        kind = self._lanes.DraftLane if model.draft else kind
        backend = self.facts.result().backend
        step_tokens = PREFILL_STEP_TOKENS[backend]
        lane = kind(
            model, step_tokens, self._limits.active_requests, self._limits.prompt_cache_sequences
        )
        lane.kv_cache = kv_cache
        lane.has_fused_attention = backend != "cpu"
        lane.admit = lambda turn: self._loads.room.admit(repo_id, turn)
        return lane

    def _publish(self) -> None:
        self.loaded = self._residents.snapshot()
        self.memory_use = self._residents.memory_use()

    def _clean_up(self) -> None:
        """Free everything on this thread: streams left behind abort the interpreter at exit."""
        self._loads.close(_closed())
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
