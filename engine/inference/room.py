"""What fits into memory beside what is there, and who gives way for it. Inference thread only.

What was promised counts, not only what is held: an answer that may still grow keeps its room. On a
CPU running out of memory ends the process, so nothing is begun that could not end.
"""

from collections.abc import Callable
from typing import Any

from engine.errors import Busy, InsufficientMemory
from engine.inference.residents import Residents
from engine.records import CheckedModel, MemoryEstimate

_MINIMUM_CONTEXT_TOKENS = 1024
_UNKNOWN_CONTEXT_TOKENS = 4096
_USUAL_CONTEXT_TOKENS = 8192


class Room:
    """The memory that models may take together, shared by weights, caches and loads under way."""

    def __init__(
        self,
        residents: Residents,
        budget_bytes: Callable[[], int],
        coming_bytes: Callable[[], int],
    ) -> None:
        self._residents = residents
        self._budget_bytes = budget_bytes
        self._coming_bytes = coming_bytes
        self._first_held_up: int | None = None
        self._held_up: list[int] = []

    def begin_round(self) -> None:
        """Note who has to wait for memory: nobody who came later may be let in before them."""
        self._first_held_up = min(self._held_up, default=None)
        self._held_up = []

    def make_room(
        self, checked: CheckedModel, *, may_interrupt: bool = False
    ) -> MemoryEstimate | None:
        """Make a model fit by what others give up, the least recently used first.

        Kept prompts go first, then unpacked layers, then whole models that are idle, and with
        ``may_interrupt`` those that answer too. Returns the form in which the model fits: float32
        on a CPU, as its files are where only that can fit. None when there is no room now, and then
        nobody has left. Raises InsufficientMemory when there never can be.
        """
        budget_bytes = self._budget_bytes()
        forms = [form for form in (checked.estimate, checked.estimate.narrow) if form]
        for form in forms:
            least_bytes = form.weights_bytes + _kv_bytes(form, checked, _MINIMUM_CONTEXT_TOKENS)
            needed_bytes = least_bytes + (form.working_bytes or 0)
            if needed_bytes <= budget_bytes:
                is_found = self._find(least_bytes, form, may_interrupt=may_interrupt)
                return form if is_found else None
        raise InsufficientMemory(
            f"This model needs {needed_bytes / 1e9:.1f} GB of memory; models may use"
            f" {budget_bytes / 1e9:.1f} GB here.",
            "Choose a smaller model or a stronger quantisation.",
            needed_bytes=needed_bytes,
            budget_bytes=budget_bytes,
        )

    def has_room_for_speed(
        self, checked: CheckedModel, form: MemoryEstimate, size_bytes: int
    ) -> bool:
        """Whether a model just loaded may take so much more, beside the room for a usual chat.

        Idle models give up what they took for speed alone.
        """
        needed_bytes = size_bytes + _kv_bytes(form, checked, _USUAL_CONTEXT_TOKENS)
        for repo_id in self._residents.names():
            if self._left_bytes(form) >= needed_bytes:
                break
            if not self._residents.is_busy(repo_id):
                self._residents.save_memory(repo_id)
        return self._left_bytes(form) >= needed_bytes

    def has_room_again(self, repo_id: str, size_bytes: int) -> bool:
        """Whether a model that is asked again may take back what it gave up, from nobody else."""
        resident = self._residents[repo_id]
        turns, cache = resident.lane.turns, resident.form.kv_cache
        longest = max([_USUAL_CONTEXT_TOKENS, *(turn.most_tokens for turn in turns)])
        tokens = min(longest, resident.lane.model.context_tokens)
        kv_bytes = cache.bytes_at(tokens) if cache else 0
        return self._left_bytes() >= size_bytes + kv_bytes

    def affordable_context(
        self, checked: CheckedModel, form: MemoryEstimate, own_extra_bytes: int
    ) -> int:
        """The context of a model just loaded, or as much of it as it can get when it is alone.

        ``own_extra_bytes`` is what it took for speed, and would give up for a long conversation.
        """
        longest = checked.context_tokens or _UNKNOWN_CONTEXT_TOKENS
        if form.kv_cache is None:
            return longest
        could_get_bytes = self._left_bytes(form) + self._idle_bytes() + own_extra_bytes
        affordable = form.kv_cache.tokens_within(could_get_bytes, longest)
        return min(longest, max(_MINIMUM_CONTEXT_TOKENS, affordable))

    def admit(self, repo_id: str, turn: Any) -> bool:
        """Whether a visitor may be let in now; False means to wait.

        A visitor who is alone gets an answer as long as the memory allows. Raises Busy when there
        is none even for the question.
        """
        if self._first_held_up is not None and turn.arrival > self._first_held_up:
            self._held_up.append(turn.arrival)
            return False
        lane = self._residents[repo_id].lane
        more_bytes = lane.promised_bytes(turn) - lane.promised_bytes()
        if self._find_for_visitor(repo_id, more_bytes):
            return True
        if self._residents.is_anyone_served():
            self._held_up.append(turn.arrival)
            return False
        self._shorten(lane, turn)
        return True

    def free_bytes(self) -> int:
        """The budget less what is held, what answers may still take, and what is being loaded."""
        used_bytes = self._residents.active_bytes() + self._coming_bytes()
        return self._budget_bytes() - used_bytes - self._residents.promised_bytes()

    def _shorten(self, lane: Any, turn: Any) -> None:
        """Bound an answer by the memory that is left when nobody else is served."""
        tokens = lane.kv_cache.tokens_within(self._left_bytes(), turn.most_tokens)
        if tokens <= turn.read_tokens:
            raise Busy(
                "There is not enough memory for a conversation of this length now.",
                "Start a new chat, or unload other models in Manage.",
            )
        turn.shorten(tokens)

    def _find_for_visitor(self, repo_id: str, more_bytes: int) -> bool:
        """Find memory for a cache; the model itself only gives up speed, and only when alone."""
        resident = self._residents[repo_id]
        form, extra_bytes = resident.form, resident.lane.model.extra_bytes
        if self._find(more_bytes, form, keep=repo_id):
            return True
        could_get_bytes = self._left_bytes(form) + self._idle_bytes(repo_id) + extra_bytes
        if could_get_bytes < more_bytes or resident.lane.is_serving:
            return False
        self._residents.save_memory(repo_id)
        return self._find(more_bytes, form, keep=repo_id)

    def _find(
        self,
        needed_bytes: int,
        form: MemoryEstimate,
        *,
        keep: str = "",
        may_interrupt: bool = False,
    ) -> bool:
        """Free so much beside what ``form`` works with, if that is possible at all.

        The model ``keep`` stays as it is.
        """
        if self._left_bytes(form) >= needed_bytes:
            return True
        if not may_interrupt and self._left_bytes(form) + self._idle_bytes(keep) < needed_bytes:
            return False
        self._residents.drop_kept_prompts()
        residents = self._residents
        ways = [residents.save_memory, residents.free]
        if may_interrupt:
            ways.append(residents.set_aside)
        for give_up in ways:
            for repo_id in residents.names():
                if self._left_bytes(form) >= needed_bytes:
                    return True
                is_spared = residents.is_busy(repo_id) and give_up != residents.set_aside
                if repo_id != keep and not is_spared:
                    give_up(repo_id)
        return self._left_bytes(form) >= needed_bytes

    def _idle_bytes(self, keep: str = "") -> int:
        """What may be given up: kept prompts, and models that answer nobody, ``keep`` left out."""
        found = 0
        for repo_id in self._residents.names():
            resident = self._residents[repo_id]
            found += resident.lane.memory.size_bytes
            if repo_id != keep and not resident.lane.turns:
                found += resident.memory_bytes
        return found

    def _left_bytes(self, form: MemoryEstimate | None = None) -> int:
        """What is free beside the largest step: models take theirs one after another."""
        forms = [self._residents[repo_id].form for repo_id in self._residents.names()]
        working_bytes = max((f.working_bytes or 0 for f in (*forms, form) if f), default=0)
        return self.free_bytes() - working_bytes


def _kv_bytes(form: MemoryEstimate, checked: CheckedModel, tokens: int) -> int:
    """What one sequence of so many tokens keeps, or as many as it can have; 0 when not known."""
    longest = checked.context_tokens or _UNKNOWN_CONTEXT_TOKENS
    return form.kv_cache.bytes_at(min(tokens, longest)) if form.kv_cache else 0
