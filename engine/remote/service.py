"""Other servers as sources of models: listed, and chatted with through the same tickets as ours.

All network happens on one thread with an event loop, so that stopping an answer is immediate.
"""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from engine.errors import (
    Busy,
    EngineError,
    InUse,
    InvalidRequest,
    InvalidSource,
    NotInstalled,
    RemoteBroken,
    RemoteError,
)
from engine.mailbox import ChatTicket, Mailbox
from engine.records import ChatEvent, Finished, Message, SamplingParams
from engine.remote.checks import check_key, check_models, check_name, check_url
from engine.remote.client import RemoteClient, RemotePatience
from engine.remote.question import question
from engine.remote.reader import AnswerReader
from engine.remote.records import RemoteModel, RemoteSource
from engine.remote.sources_file import MAX_SOURCES, read_sources, write_sources

LIST_TIMEOUT_S = 45.0
CLOSE_TIMEOUT_S = 1.0
MAX_OPEN_REQUESTS = 64
_Result = TypeVar("_Result")


class RemoteService:
    """Knows the servers, and asks them. Safe to call from any thread."""

    def __init__(self, path: Path, patience: RemotePatience | None = None) -> None:
        self._path = path
        self._patience = patience or RemotePatience()
        self._lock = threading.Lock()
        self._sources = {source.name: source for source in read_sources(path)}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._client: RemoteClient | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._open_requests = 0
        self._is_closed = False

    def list(self) -> tuple[RemoteSource, ...]:
        """The servers, as they were when last asked."""
        with self._lock:
            return tuple(self._sources.values())

    def models(self) -> tuple[RemoteModel, ...]:
        """Every model of every server."""
        return tuple(RemoteModel(s.name, name) for s in self.list() for name in s.offered())

    def knows(self, model_id: str) -> bool:
        """Whether a model is one of another server's."""
        source, _, name = model_id.partition(":")
        with self._lock:
            return source in self._sources and bool(name)

    def add(self, name: str, url: str, key: str = "", models: str = "") -> RemoteSource:
        """Keep a server, in place of one of the same name, and ask it for its models.

        A server that is down is kept too, with its ``problem``. Raises InvalidSource.
        """
        source = RemoteSource(check_name(name), check_url(url), check_key(key),
                              check_models(models))  # fmt: skip
        with self._lock:
            if len(self._sources) >= MAX_SOURCES and source.name not in self._sources:
                raise InvalidSource(f"There are {MAX_SOURCES} servers already.", "Remove one.")
            self._sources[source.name] = source
            self._save()
        return self.refresh(source.name)

    def remove(self, name: str) -> None:
        """Forget a server and its key."""
        with self._lock:
            if self._sources.pop(name, None) is not None:
                self._save()

    def refresh(self, name: str) -> RemoteSource:
        """Ask a server for its models; its ``problem`` says why that failed."""
        source = self._find(name)
        try:
            models = self._run(self._list(source)).result(LIST_TIMEOUT_S)
            asked = replace(source, models=models, problem="")
            if not asked.offered():
                asked = replace(asked, problem="It lists no models: name one of them yourself.")
        except RemoteError as error:
            asked = replace(source, problem=error.text)
        with self._lock:
            if self._sources.get(name) == source:
                self._sources[name] = asked
                self._save()
        return asked

    def chat(
        self, messages: Sequence[Message], params: SamplingParams, model_id: str,
        tools: Sequence[Mapping[str, Any]] = (),
    ) -> ChatTicket:  # fmt: skip
        """Ask a server's model to answer; the ticket is as that of a model here.

        Raises NotInstalled for a server that is gone, Busy, and InvalidRequest for what servers do
        in too many ways: log-probabilities, and writing on an answer. ``messages`` and ``params``
        have been checked.
        """
        name, _, model = model_id.partition(":")
        source = self._find(name)
        if params.logprobs is not None:
            raise InvalidRequest(
                "Models of other servers give no log-probabilities here.", "Ask without them."
            )
        if messages[-1].role == "assistant":
            raise InvalidRequest(
                "Models of other servers do not write on where an answer ended.",
                "Ask them to go on, in a message of your own.",
            )
        with self._lock:
            if self._open_requests >= MAX_OPEN_REQUESTS:
                raise Busy("Too many answers are being waited for.", "Try again in a moment.")
            self._open_requests += 1
        mailbox = Mailbox(self._forget_request)
        ticket = ChatTicket(mailbox)
        body = question(messages, params, model, tools)
        answering = self._run(self._answer(source, body, ticket, mailbox))
        answering.add_done_callback(lambda done: _close(mailbox, done))
        return ticket

    def close(self) -> None:
        """End every answer and the thread."""
        with self._lock:
            loop, thread, self._is_closed = self._loop, self._thread, True
        if loop is None or thread is None:
            return
        with contextlib.suppress(RuntimeError):  # it is closed already
            loop.call_soon_threadsafe(loop.stop)
        thread.join(CLOSE_TIMEOUT_S)

    def _find(self, name: str) -> RemoteSource:
        with self._lock:
            source = self._sources.get(name)
        if source is None:
            raise NotInstalled(
                f"There is no server “{name[:96]}” any more.", "Choose another model."
            )
        return source

    def _save(self) -> None:
        try:
            write_sources(self._path, self._sources.values())
        except OSError as error:
            raise InvalidSource(
                "The list of servers could not be saved.", "Is the disk full?"
            ) from error

    async def _list(self, source: RemoteSource) -> tuple[str, ...]:
        return await self._asking().list_models(source)

    async def _answer(
        self, source: RemoteSource, body: dict[str, Any], ticket: ChatTicket, mailbox: Mailbox
    ) -> None:
        reader = AnswerReader(time.perf_counter)
        ticket.on_cancel = _canceller(asyncio.get_running_loop(), asyncio.current_task())
        try:
            if ticket.is_cancelled:  # before there was anything to be ended
                raise asyncio.CancelledError
            async for events in self._asking().answer(source, body, reader):
                _put_all(mailbox, events)
            _put_all(mailbox, reader.ending(is_whole=True))
            mailbox.put(Finished(reader.reason or "stop", reader.stats()))
        except EngineError as error:
            _put_all(mailbox, reader.ending(is_whole=False))
            mailbox.fail(error)
        except asyncio.CancelledError:
            _put_all(mailbox, reader.ending(is_whole=False))
            mailbox.put(Finished("cancelled", reader.stats()))
            raise

    def _asking(self) -> RemoteClient:
        """The client, which belongs to the thread's event loop."""
        if self._client is None:
            self._client = RemoteClient(self._patience)
        return self._client

    def _run(self, work: Coroutine[Any, Any, _Result]) -> "Future[_Result]":
        """Start something on the thread, which starts at first need."""
        with self._lock:
            if self._is_closed:
                work.close()
                raise InUse("Pomona is closing.", "Start it again to go on.")
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=self._serve, args=(self._loop,), name="pomona-remote", daemon=True
                )
                self._thread.start()
            return asyncio.run_coroutine_threadsafe(self._noted(work), self._loop)

    def _serve(self, loop: asyncio.AbstractEventLoop) -> None:
        """The thread: runs the loop until it is stopped, then ends what is left on it."""
        try:
            loop.run_forever()
            loop.run_until_complete(self._wind_up())
            loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            loop.close()

    async def _noted(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        """Do it as a task that is cancelled at the end.

        Tasks that libraries start are not: those end with ours, and not over their heads.
        """
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            return await work
        finally:
            self._tasks.discard(task)

    async def _wind_up(self) -> None:
        # Every task of ours has begun: it was scheduled before this one.
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._client is not None:
            await self._client.close()

    def _forget_request(self) -> None:
        with self._lock:
            self._open_requests -= 1


def _put_all(mailbox: Mailbox, events: Iterable[ChatEvent]) -> None:
    for event in events:
        mailbox.put(event)


def _canceller(
    loop: asyncio.AbstractEventLoop, task: "asyncio.Task[Any] | None"
) -> Callable[[], None]:
    def cancel() -> None:
        if task is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: all has ended
                loop.call_soon_threadsafe(task.cancel)

    return cancel


def _close(mailbox: Mailbox, done: "Future[None]") -> None:
    """Nobody may wait for ever, whatever the answer's task ended with."""
    if done.cancelled():
        mailbox.put(Finished("cancelled", AnswerReader(time.perf_counter).stats()))
    elif error := done.exception():
        failure = RemoteBroken("The answer could not be read.", "The log has the details.")
        failure.__cause__ = error
        mailbox.fail(failure)
