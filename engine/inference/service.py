"""The inference service: what the rest of the app knows of loading and answering.

Every call returns at once or waits on something bounded; none touches mlx. Requests run on the one
inference thread, see ``engine.inference.worker``.
"""

import contextlib
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError, ThreadPoolExecutor
from pathlib import Path

from engine.errors import Busy, InUse
from engine.inference.context import estimate_fit, with_system_prompt
from engine.inference.load_jobs import (
    LoadJob,
    as_engine_error,
    closing,
    end_unless_loaded,
    pass_on_failure,
)
from engine.inference.loads import LoadRequest
from engine.inference.prompt_files import PromptFiles
from engine.inference.requests import check_messages, check_params, check_text
from engine.inference.template_probe import probe_template
from engine.inference.tool_text import Tools
from engine.inference.turn import Turn
from engine.inference.worker import InferenceThread
from engine.mailbox import ChatTicket, Mailbox
from engine.records import (
    CheckedModel,
    ContextFit,
    DeviceFacts,
    GenerationStats,
    LoadedModel,
    Loading,
    MemoryUse,
    Message,
    SamplingParams,
)
from engine.settings import Limits

START_TIMEOUT_S = 120.0
UNLOAD_TIMEOUT_S = 30.0
CLOSE_TIMEOUT_S = 3.0
KEEP_TIMEOUT_S = 1.0
LOAD_ATTEMPTS = 3


class InferenceService:
    """Loads models and answers conversations. Safe to call from any thread.

    ``on_answered`` hears of every answer, on a thread of its own; it must not raise.
    """

    def __init__(
        self,
        limits: Limits,
        check_model: Callable[[str], CheckedModel],
        budget_bytes: Callable[[DeviceFacts], int],
        cache_dir: Path,
        on_answered: Callable[[str, GenerationStats], None] = lambda *_: None,
    ) -> None:
        self._limits = limits
        self._check_model = check_model
        self._on_answered = on_answered
        self._budget_bytes = budget_bytes
        self.kept_prompts = PromptFiles(cache_dir / "prompts", limits.kept_prompts_bytes)
        self._thread = InferenceThread(limits, budget_bytes, cache_dir, self.kept_prompts)
        self._pool = ThreadPoolExecutor(max_workers=4, thread_name_prefix="pomona-prepare")
        self._lock = threading.Lock()
        self._jobs: dict[str, LoadJob] = {}
        self._open_requests = 0
        self._is_closed = False
        self._probed_templates: set[str] = set()

    def start(self) -> None:
        """Start the inference thread, which imports mlx. Once."""
        self.kept_prompts.open()
        self._thread.start()

    def device_facts(self) -> DeviceFacts:
        """What MLX computes on, once it is imported. Raises LoadFailed where it cannot be."""
        return self._thread.facts.result(START_TIMEOUT_S)

    def known_device_facts(self) -> DeviceFacts | None:
        """As device_facts, but None while mlx is not there yet or cannot be."""
        facts = self._thread.facts
        return facts.result() if facts.done() and facts.exception() is None else None

    def loaded(self) -> tuple[LoadedModel, ...]:
        """Models in memory, least recently used first."""
        return self._thread.loaded

    def memory_use(self) -> MemoryUse:
        """What models take of the memory; nothing while mlx is not there yet."""
        facts = self.known_device_facts()
        budget_bytes = self._budget_bytes(facts) if facts else 0
        return self._thread.memory_use or MemoryUse({}, 0, budget_bytes)

    @property
    def idle_unload_s(self) -> float | None:
        """After how long without a question a model leaves the memory; None is never."""
        return self._thread.idle_unload_s

    @idle_unload_s.setter
    def idle_unload_s(self, value: float | None) -> None:
        """Set it; it holds from now on."""
        self._thread.idle_unload_s = value
        self._thread.post(lambda: None)  # wakes it, so that it sees the change

    def loading(self) -> dict[str, Loading]:
        """Loads under way, by model."""
        with self._lock:
            return {
                repo_id: job.request.progress if job.request else Loading(0, 0)
                for repo_id, job in self._jobs.items()
            }

    def load(self, repo_id: str, listener: Mailbox | None = None) -> "Future[LoadedModel]":
        """Start to load a model, or join the load under way; done at once when it is loaded.

        The future raises NotInstalled, Unsupported, Damaged, TemplateFailed, LoadFailed or
        InsufficientMemory. ``listener`` hears of the progress.
        """
        with self._lock:
            for model in self._thread.loaded:
                if model.repo_id == repo_id:
                    future: Future[LoadedModel] = Future()
                    future.set_result(model)
                    return future
            if self._is_closed:
                closed: Future[LoadedModel] = Future()
                closed.set_exception(closing())
                return closed
            job = self._jobs.get(repo_id)
            is_new = job is None
            if job is None:
                job = self._jobs[repo_id] = LoadJob()
                job.future.set_running_or_notify_cancel()  # shared: nobody may cancel it
            if listener is not None:
                job.listeners.append(listener)
            job.is_kept = job.is_kept or listener is None
        if is_new:
            job.future.add_done_callback(lambda _: self._forget_job(repo_id))
            preparing = self._pool.submit(self._prepare, repo_id, job)
            preparing.add_done_callback(lambda done: pass_on_failure(done, job.future))
        return job.future

    def unload(self, repo_id: str) -> None:
        """Free a model; nothing happens when it is not loaded. Raises InUse while it answers."""
        if self._is_closed:
            return
        future: Future[None] = Future()
        self._thread.post(lambda: self._thread.unload(repo_id, future))
        future.result(UNLOAD_TIMEOUT_S)

    def chat(
        self,
        messages: Sequence[Message],
        params: SamplingParams,
        model_id: str,
        chat_id: str = "",
        tools: Tools = (),
    ) -> ChatTicket:
        """Ask a model to answer a conversation; it is loaded first if need be.

        The answer comes through the ticket, and so do the errors met on the way. With a
        ``chat_id`` what the model has read is kept on disk too, for when that chat is opened
        again; without one nothing of it ever reaches the disk. ``tools`` are functions that the
        model may want called, as JSON Schemas in OpenAI's form. Raises InvalidRequest, and Busy
        when the waiting line is full.
        """
        check_params(params)
        check_messages(with_system_prompt(messages, params), self._limits)
        turn = Turn(model_id, messages, params, self._on_request_closed)
        turn.chat_id, turn.tools = chat_id, tuple(tools)
        return self._begin(turn)

    def complete(self, text: str, params: SamplingParams, model_id: str) -> ChatTicket:
        """Ask a model to write on where ``text`` ends, without any chat template.

        Otherwise as ``chat``.
        """
        check_params(params)
        check_text(text, self._limits)
        turn = Turn(model_id, (), params, self._on_request_closed)
        turn.text = text
        return self._begin(turn)

    def _begin(self, turn: Turn) -> ChatTicket:
        with self._lock:
            if self._open_requests >= self._limits.waiting_requests:
                raise Busy(
                    f"{self._open_requests} answers are being written or waited for already.",
                    "Try again in a moment.",
                )
            self._open_requests += 1
        turn.on_answered = self._note_answer
        turn.on_displaced = lambda turn: self._load_and_submit(turn, LOAD_ATTEMPTS)
        self._load_and_submit(turn, LOAD_ATTEMPTS)
        return turn.ticket

    def context_fit(
        self, messages: Sequence[Message], params: SamplingParams, model_id: str
    ) -> "Future[ContextFit]":
        """How many tokens a conversation takes of a model's context, and what would be left out.

        Put what stands in the box behind the messages as one of the user's. The indexes of
        ``left_out`` are those of ``messages``; the system prompt of ``params`` is counted and has
        none. For a loaded model the future is done within one step of the inference thread, which
        renders the prompt for it, a few milliseconds for a thousand tokens: ask when somebody has
        stopped typing, not at every key. A model that is not loaded has no tokenizer here and is
        not loaded for this: the answer is then an estimate, ``is_exact`` False. Without messages
        everything is 0. Raises InvalidRequest; the future raises TemplateFailed, and for a model
        that is not loaded what ``load`` raises for bad files.
        """
        check_params(params)
        future: Future[ContextFit] = Future()
        future.set_running_or_notify_cancel()
        if messages:
            check_messages(with_system_prompt(messages, params), self._limits)
        if not messages or self._is_closed:
            future.set_result(ContextFit(0, 0, 0))
        elif any(model.repo_id == model_id for model in self._thread.loaded):
            self._thread.post(lambda: self._thread.measure(messages, params, model_id, future))
        else:
            measuring = self._pool.submit(self._estimate_fit, messages, params, model_id, future)
            measuring.add_done_callback(lambda done: pass_on_failure(done, future))
        return future

    def _estimate_fit(
        self, messages: Sequence[Message], params: SamplingParams, model_id: str,
        future: "Future[ContextFit]",
    ) -> None:  # fmt: skip
        future.set_result(
            estimate_fit(messages, params, self._check_model(model_id).context_tokens)
        )

    def close(self) -> None:
        """End all answers and free everything; at most CLOSE_TIMEOUT_S."""
        with self._lock:
            self._is_closed = True
        self._pool.shutdown(wait=False, cancel_futures=True)
        if self._thread.is_alive():
            self._thread.close()
            self._thread.join(CLOSE_TIMEOUT_S)
        self.kept_prompts.close(KEEP_TIMEOUT_S)
        for job in list(self._jobs.values()):
            with contextlib.suppress(InvalidStateError):  # it ended by itself at this moment
                job.future.set_exception(closing())

    def _prepare(self, repo_id: str, job: LoadJob) -> None:
        """Everything about a load that needs no mlx, and must not hold up others' answers."""
        self.device_facts()  # first: the estimate depends on what models run on
        checked = self._check_model(repo_id)
        if checked.template and checked.template not in self._probed_templates:
            probe_template(checked.template, self._limits.template_probe_s)
            self._probed_templates.add(checked.template)
        request = LoadRequest(checked, job.future, job.listeners, job.is_wanted)
        job.request = request
        self._thread.post(lambda: self._thread.begin_load(request))

    def _load_and_submit(self, turn: Turn, attempts: int) -> None:
        loading = self.load(turn.model_id, turn.mailbox)
        turn.ticket.on_cancel = end_unless_loaded(turn.mailbox, loading)

        def submit_or_fail(done: "Future[LoadedModel]") -> None:
            if error := done.exception():
                turn.fail(as_engine_error(error))
            elif self._is_closed:
                turn.fail(closing())
            else:
                self._thread.post(lambda: self._submit(turn, attempts - 1))

        loading.add_done_callback(submit_or_fail)

    def _submit(self, turn: Turn, attempts_left: int) -> None:
        """Command: hand a request over; a model that made room just now is loaded once more.

        Where the disk may have what the model has read of this chat, that is looked for first.
        """
        key = "" if turn.was_looked_up else self._thread.keeping.wanted_key(turn)
        if key:
            turn.was_looked_up = True
            with contextlib.suppress(RuntimeError):  # the pool is closed: the app ends
                self._pool.submit(self._look_up, key, turn, attempts_left)
                return
        if self._thread.submit(turn):
            return
        if attempts_left:
            self._load_and_submit(turn, attempts_left)
        else:
            turn.fail(InUse("The model was unloaded in the meantime.", "Send the message again."))

    def _look_up(self, key: str, turn: Turn, attempts_left: int) -> None:
        try:
            turn.kept_path = self.kept_prompts.find(key, turn.chat_id)
        finally:
            self._thread.post(lambda: self._submit(turn, attempts_left))

    def _note_answer(self, repo_id: str, stats: GenerationStats) -> None:
        """Tell of an answer off the inference thread, which has no time for disks."""
        with contextlib.suppress(RuntimeError):  # the pool is closed: the app ends
            self._pool.submit(self._on_answered, repo_id, stats)

    def _forget_job(self, repo_id: str) -> None:
        with self._lock:
            self._jobs.pop(repo_id, None)

    def _on_request_closed(self) -> None:
        with self._lock:
            self._open_requests -= 1
