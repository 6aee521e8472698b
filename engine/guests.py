"""What a guest's handlers get instead of the Engine: chats of their own, and the pinned models.

Whatever is not here, a guest's handler cannot reach, whatever it tries. The visitor is asked for at
every call, so that no handler can forget whose words it deals with.
"""

import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from engine import Engine
from engine.access import Visitor
from engine.answers import Answers
from engine.chats import Chats
from engine.errors import EngineError, InvalidRequest, NotInstalled, NotOwner, QuotaExceeded
from engine.guest_line import GuestLine, GuestTicket
from engine.inference.requests import check_messages, check_params
from engine.quotas import GuestLimits, Quota
from engine.records import GenerationStats, LocalModel, Message, SamplingParams

_CHARS_PER_TOKEN = 3  # a careful guess, corrected when the answer is done
_END_PATIENCE_S = 2.0


@dataclass
class _Visit:
    """One browser's stay: its conversations, in memory alone."""

    chats: Chats
    seen_s: float
    messages: int = 0


@dataclass(frozen=True)
class GuestCounts:
    """How many guests there are, and what they do."""

    visitors: int
    answering: int
    waiting: int


class GuestLibrary:
    """The pinned models, as far as they are there."""

    def __init__(self, engine: Engine, models: Sequence[str]) -> None:
        self._engine = engine
        self._models = tuple(models)

    def list(self) -> tuple[LocalModel, ...]:
        """The models that guests may use, in the owner's order."""
        found = {model.repo_id: model for model in self._engine.library.list()}
        return tuple(found[name] for name in self._models if name in found)

    def names(self) -> frozenset[str]:
        """Their names."""
        return frozenset(self._models)

    def find(self, repo_id: str) -> LocalModel:
        """One of them. Raises NotInstalled for every other, be it here or not."""
        if repo_id not in self._models:
            raise NotInstalled(
                f"Guests have no model “{str(repo_id)[:120]}”.", "Choose one from the list."
            )
        return self._engine.library.find(repo_id)


class GuestDesk:
    """Answers from the pinned models, within what guests may use."""

    def __init__(
        self, engine: Engine, library: GuestLibrary, limits: GuestLimits, who: Callable[[], str],
        line: GuestLine,
    ) -> None:  # fmt: skip
        self._engine = engine
        self._library = library
        self._limits = limits
        self._who = who
        self._line = line
        self._quota = Quota(limits)
        self._lock = threading.Lock()
        self._open: Counter[str] = Counter()

    def ask(
        self, messages: Sequence[Message], params: SamplingParams, model_id: str
    ) -> GuestTicket:
        """Ask for an answer. Raises NotInstalled, InvalidRequest, QuotaExceeded and Busy."""
        limits, visitor_id = self._limits, self._who()
        self._library.find(model_id)
        check_params(params)
        params = replace(
            params, max_tokens=min(params.max_tokens, limits.answer_tokens), logprobs=None
        )
        check_messages(messages, self._engine.settings.limits)
        chars = _check_lengths(messages, params, limits)
        reserved = params.max_tokens + chars // _CHARS_PER_TOKEN
        entry = self._quota.take(visitor_id, reserved)

        def settle(stats: GenerationStats | None) -> None:
            if stats is not None:
                read = stats.prompt_tokens - stats.reused_tokens
                self._quota.settle(entry, read + stats.output_tokens)
            with self._lock:
                self._open[visitor_id] -= 1
                if not self._open[visitor_id]:
                    del self._open[visitor_id]

        try:
            self._take_place(visitor_id)
        except EngineError:
            self._quota.give_back(entry)
            raise
        try:
            return self._line.join(lambda: self._engine.chat(messages, params, model_id), settle)
        except EngineError:
            settle(None)
            self._quota.give_back(entry)
            raise

    def _take_place(self, visitor_id: str) -> None:
        """Nobody fills the line alone; programs without our cookie count as one visitor."""
        most = self._limits.at_once if visitor_id else self._limits.waiting // 2
        with self._lock:
            if self._open[visitor_id] >= most:
                raise QuotaExceeded(
                    f"{most} of your answers are being written already.", "Wait for one of them."
                )
            self._open[visitor_id] += 1


class Guests:
    """Engine for guests: ``library``, ``chats``, ``answers``, ``chat`` and ``suggested``.

    ``who`` says whose event is being handled. Safe to call from any thread.
    """

    def __init__(
        self, engine: Engine, models: Sequence[str], limits: GuestLimits,
        who: Callable[[], Visitor | None],
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self.models = tuple(models)
        self.limits = limits
        self._who = who
        self._clock_s = clock_s
        self._line = GuestLine(limits.answering, limits.waiting)
        self._lock = threading.Lock()
        self._visits: OrderedDict[str, _Visit] = OrderedDict()
        self.library = GuestLibrary(engine, models)
        self._desk = GuestDesk(engine, self.library, limits, self._visitor_id, self._line)
        self.answers = Answers(self._ask)

    @property
    def chats(self) -> Chats:
        """The conversations of the visitor whose event is being handled."""
        return self._visit().chats

    @property
    def counts(self) -> GuestCounts:
        """How many there are."""
        answering, waiting = self._line.counts
        with self._lock:
            self._forget_idle()
            return GuestCounts(len(self._visits), answering, waiting)

    def chat(
        self, messages: Sequence[Message], params: SamplingParams, model_id: str
    ) -> GuestTicket:
        """As Engine.chat, of the pinned models and within the limits of guests."""
        return self._desk.ask(messages, params, model_id)

    def suggested(self, model_id: str) -> tuple[SamplingParams, bool]:
        """As Engine.suggested, of the pinned models."""
        model = self.library.find(model_id)
        return model.suggested, model.has_suggestions

    def end(self) -> None:
        """End every answer and forget every conversation of every guest."""
        self._line.end_all()
        self.answers.close(_END_PATIENCE_S)
        with self._lock:
            gone = list(self._visits.values())
            self._visits.clear()
        for visit in gone:
            visit.chats.close()

    def _ask(
        self, messages: Sequence[Message], params: SamplingParams, model_id: str, _chat_id: str
    ) -> GuestTicket:
        """Ask for a guest; nothing of it is kept on disk."""
        visit = self._visit()
        if visit.messages >= self.limits.messages_per_visit:
            raise QuotaExceeded(
                f"{self.limits.messages_per_visit} messages are all that one visit has.",
                "Close the browser and open the link again to begin anew.",
            )
        visit.messages += 1
        return self._desk.ask(messages, params, model_id)

    def _visitor_id(self) -> str:
        visitor = self._who()
        return visitor.visitor_id if visitor is not None and not visitor.is_owner else ""

    def _visit(self) -> _Visit:
        visitor_id = self._visitor_id()
        if not visitor_id:
            raise NotOwner(
                "This page has lost its cookie.", "Load it again, with cookies switched on."
            )
        with self._lock:
            visit = self._visits.get(visitor_id)
            if visit is None:
                visit = self._visits[visitor_id] = _Visit(Chats(None), self._clock_s())
                self._forget_idle()
            visit.seen_s = self._clock_s()
            self._visits.move_to_end(visitor_id)
            return visit

    def _forget_idle(self) -> None:
        """Let go of visits that are long over and of those above the count.

        Who has said nothing goes first, so that nobody is pushed out by mere page loads.
        """
        now_s, limits = self._clock_s(), self.limits
        over = len(self._visits) - limits.visitors
        by_worth = sorted(self._visits.items(), key=lambda v: (v[1].messages > 0, v[1].seen_s))
        for visitor_id, visit in by_worth:
            is_newest = visitor_id == next(reversed(self._visits))
            if (over <= 0 and now_s - visit.seen_s <= limits.idle_s) or is_newest:
                continue
            if not self.answers.chats_being_written(visit.chats):
                del self._visits[visitor_id]
                visit.chats.close()
                over -= 1


def _check_lengths(messages: Sequence[Message], params: SamplingParams, limits: GuestLimits) -> int:
    """Raise InvalidRequest for what is too long for a guest; returns the characters."""
    newest = len(messages[-1].text) if messages[-1].role == "user" else 0
    chars = sum(len(message.text) for message in messages) + len(params.system_prompt)
    if newest > limits.message_chars:
        raise InvalidRequest(
            f"The message has {newest:,} characters; {limits.message_chars:,} are the most.",
            "Shorten it.",
        )
    if chars > limits.conversation_chars or len(messages) > limits.messages:
        raise InvalidRequest(
            "This conversation has become too long for a guest.", "Begin a new chat."
        )
    return chars
