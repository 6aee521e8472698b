"""Comparing: one message to several models, all at once, or one by one where memory is short.

Their answers are versions of one turn, written down like any other, whoever looks on. Models that
go together are all loaded before any is asked, so that none starts ahead of the others.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass
from functools import partial

from engine.answers import Answers, Ask, RunningAnswer, Ticket
from engine.chats import Chats, Written
from engine.errors import InvalidRequest
from engine.estimates import MemoryEstimate
from engine.inference import InferenceService
from engine.records import (
    ChatEvent,
    Finished,
    GenerationStats,
    LoadedModel,
    LocalModel,
    Message,
    Queued,
    SamplingParams,
)

FEWEST_COMPARED, MOST_COMPARED = 2, 3


@dataclass(frozen=True)
class ComparePlan:
    """Who will be asked. ``needed_bytes`` is what they take together; 0 when nobody knows."""

    model_ids: tuple[str, ...]
    needed_bytes: int
    budget_bytes: int | None

    @property
    def is_together(self) -> bool:
        """Whether they fit into memory side by side, or nothing says that they do not."""
        return self.budget_bytes is None or self.needed_bytes <= self.budget_bytes


@dataclass(frozen=True)
class Comparison:
    """Answers to one message side by side, by their numbers in the order of the columns.

    ``is_blind``: whose they are is not shown until one is chosen.
    """

    chat_id: str
    message_ids: tuple[int, ...]
    is_blind: bool = False
    is_together: bool = True


class Comparing:
    """Begins comparisons, and finds those whose answers are still being written.

    ``is_elsewhere`` says of a model that another computer runs it: it takes no memory here.
    """

    def __init__(
        self,
        answers: Answers,
        ask: Ask,
        inference: InferenceService,
        find_model: Callable[[str], LocalModel],
        budget_bytes: Callable[[], int | None],
        is_elsewhere: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self._answers = answers
        self._ask = ask
        self._inference = inference
        self._find_model = find_model
        self._budget_bytes = budget_bytes
        self._is_elsewhere = is_elsewhere
        self._lock = threading.Lock()
        self._under_way: dict[int, list[Comparison]] = {}

    def plan(self, model_ids: Sequence[str]) -> ComparePlan:
        """Whether these models fit together. Raises NotInstalled, and InvalidRequest."""
        names = tuple(dict.fromkeys(model_ids))
        if not FEWEST_COMPARED <= len(names) <= MOST_COMPARED:
            raise InvalidRequest(
                f"{FEWEST_COMPARED} to {MOST_COMPARED} models can be compared.",
                "Choose them beside Compare.",
            )
        models = [self._find_model(name) for name in names if not self._is_elsewhere(name)]
        known = [m.corrected_memory or m.memory for m in models]
        return ComparePlan(names, needed_together(known), self._budget_bytes())

    def begin(
        self, chats: Chats, places: Sequence[Written], messages: Sequence[Message],
        params: SamplingParams, plan: ComparePlan, is_blind: bool = False,
    ) -> Comparison:  # fmt: skip
        """Ask every model of a plan; ``places`` are their stored answers, which are "writing"."""
        here = [name for name in plan.model_ids if not self._is_elsewhere(name)]
        loads = [self._inference.load(name) for name in here] if plan.is_together else []
        is_ready: Callable[[float], bool] = partial(_are_done, loads)
        chat_id = places[0].chat_id if chats.is_on_disk else ""
        for place, model_id in zip(places, plan.model_ids, strict=True):
            position = 0 if plan.is_together or model_id not in here else here.index(model_id)
            ticket = _LaterTicket(
                is_ready if model_id in here else lambda _: True,
                partial(self._ask, messages, params, model_id, chat_id),
                partial(self._step, model_id, Queued(position + 1) if position else None),
            )
            running = self._answers.begin(chats, place, messages, params, model_id, ticket=ticket)
            if model_id in here and not plan.is_together:
                is_ready = running.ends_within
        comparison = Comparison(
            places[0].chat_id, tuple(place.message_id for place in places), is_blind,
            plan.is_together,
        )  # fmt: skip
        with self._lock:
            under_way = [one for one in self._of(chats) if self._is_running(chats, one)]
            self._under_way[id(chats)] = [*under_way, comparison]
        return comparison

    def find(self, chats: Chats, message_id: int) -> Comparison | None:
        """The comparison under way that an answer belongs to."""
        with self._lock:
            return next(
                (
                    one
                    for one in self._of(chats)
                    if message_id in one.message_ids and self._is_running(chats, one)
                ),
                None,
            )

    def running(self, chats: Chats, comparison: Comparison) -> tuple[RunningAnswer, ...]:
        """Those of its answers that are still being written."""
        found = (self._answers.find(chats, number) for number in comparison.message_ids)
        return tuple(running for running in found if running is not None)

    def _of(self, chats: Chats) -> list[Comparison]:
        return self._under_way.get(id(chats), [])

    def _is_running(self, chats: Chats, comparison: Comparison) -> bool:
        return bool(self.running(chats, comparison))

    def _step(self, model_id: str, waits: Queued | None) -> list[ChatEvent]:
        """What there is to say of an answer that has not been asked for yet."""
        loading = self._inference.loading().get(model_id)
        return [event for event in (waits, loading) if event is not None]


def needed_together(estimates: Sequence[MemoryEstimate | None]) -> int:
    """What models take side by side: all of each but the working memory, used in turn; pure."""
    known = [one for one in estimates if one is not None]
    kept_bytes = sum(one.weights_bytes + (one.kv_bytes or 0) for one in known)
    return kept_bytes + max((one.working_bytes or 0 for one in known), default=0)


def _are_done(loads: "Sequence[Future[LoadedModel]]", timeout_s: float) -> bool:
    return not wait(loads, timeout_s).not_done


class _LaterTicket:
    """A request that is made once something else is over; stopped before, it is never made."""

    def __init__(
        self,
        is_ready: Callable[[float], bool],
        ask: Callable[[], Ticket],
        step: Callable[[], list[ChatEvent]],
    ) -> None:
        self._is_ready = is_ready
        self._ask = ask
        self._step = step
        self._lock = threading.Lock()
        self._ticket: Ticket | None = None
        self._is_cancelled = False

    def cancel(self) -> None:
        """Stop it, or never begin."""
        with self._lock:
            self._is_cancelled = True
            if self._ticket is not None:
                self._ticket.cancel()

    def drain(self, timeout_s: float) -> list[ChatEvent]:
        """As Mailbox.drain; raises also what asking raises."""
        if self._ticket is None:
            is_ready = self._is_cancelled or self._is_ready(timeout_s)
            if not is_ready:
                return self._step()
            with self._lock:
                if self._is_cancelled:
                    return [Finished("cancelled", GenerationStats())]
                self._ticket = self._ask()
        return self._ticket.drain(timeout_s)
