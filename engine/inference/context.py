"""What of a conversation a model gets to see when its context does not hold all of it. Pure.

Whole turns are left out, so that questions and answers still take turns, and always from the
middle: system prompts and the newest turn stay, and the first one too where it is short, since it
often says what the talk is about. What is left out grows in large steps: the beginning of the
prompt then stays the same for many turns, and was read before.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from engine.errors import ContextOverflow
from engine.records import ContextFit, Message, SamplingParams

_ANSWER_SHARE = 4  # of the context, kept free for the answer
_STEP_SHARE = 4  # of the context, left out at once
_FIRST_TURN_SHARE = 8  # of the context, that the first turn may take
_TRIES = 4  # sizes of single messages do not quite add up to the prompt's
_CHARS_PER_TOKEN = 4
_TOKENS_PER_MESSAGE = 8


@dataclass(frozen=True)
class FittedPrompt:
    """A prompt that fits. ``left_out`` are indexes of the messages that are not in it."""

    tokens: list[int]
    sent: tuple[Message, ...]
    left_out: tuple[int, ...]
    whole_tokens: int


def with_system_prompt(messages: Sequence[Message], params: SamplingParams) -> list[Message]:
    """The messages, after the system prompt of the settings if they have none of their own."""
    text = params.system_prompt.strip()
    has_own = any(message.role == "system" for message in messages)
    return [*([Message("system", text)] if text and not has_own else []), *messages]


def choose_left_out(
    messages: Sequence[Message], sizes_tokens: Sequence[int], room_tokens: int, context_tokens: int
) -> tuple[int, ...]:
    """Indexes of messages to leave out so that the others take ``room_tokens`` at most.

    Where that cannot be reached, all that may be left out is.
    """
    turns = _turns(messages)
    excess = sum(sizes_tokens) - room_tokens
    if excess <= 0 or len(turns) < 2:
        return ()
    step = max(1, context_tokens // _STEP_SHARE)
    wanted = -(-excess // step) * step
    sizes = [sum(sizes_tokens[index] for index in turn) for turn in turns]
    first = 1 if sizes[0] <= context_tokens // _FIRST_TURN_SHARE else 0
    end, found = first, 0
    while found < wanted and end < len(turns) - 1:
        found += sizes[end]
        end += 1
    if found < excess:
        first = 0
    return tuple(index for turn in turns[first:end] for index in turn)


def fit_prompt(
    messages: Sequence[Message],
    params: SamplingParams,
    context_tokens: int,
    render: Callable[[Sequence[Message]], list[int]],
    count_tokens: Callable[[str], int],
) -> FittedPrompt:
    """The prompt of a conversation, as ``params.overflow`` wants it where not all of it fits.

    Raises ContextOverflow where it cannot be made to fit, and what ``render`` raises.
    """
    whole = render(messages)
    room = room_for_prompt(params, context_tokens)
    may_leave_out = params.overflow == "leave_out"
    if len(whole) <= room or (len(whole) < context_tokens and not may_leave_out):
        return FittedPrompt(whole, tuple(messages), (), len(whole))
    best = whole
    if may_leave_out:
        sizes = _message_sizes(messages, len(whole), count_tokens)
        aim = room
        for _ in range(_TRIES):
            left_out = choose_left_out(messages, sizes, aim, context_tokens)
            sent = tuple(m for index, m in enumerate(messages) if index not in left_out)
            best = render(sent)
            is_all = left_out == choose_left_out(messages, sizes, 0, context_tokens)
            if len(best) <= room or (is_all and len(best) < context_tokens):
                return FittedPrompt(best, sent, left_out, len(whole))
            aim -= len(best) - room
    raise _overflow(len(best), context_tokens, may_leave_out)


def check_room(prompt_tokens: int, context_tokens: int) -> None:
    """Raise ContextOverflow for a prompt that leaves no room for an answer."""
    if prompt_tokens >= context_tokens:
        raise _overflow(prompt_tokens, context_tokens, False)


def room_for_prompt(params: SamplingParams, context_tokens: int) -> int:
    """How long a prompt may be so that its answer has room too."""
    return context_tokens - min(params.max_tokens, max(1, context_tokens // _ANSWER_SHARE))


def measure_fit(
    messages: Sequence[Message],
    params: SamplingParams,
    context_tokens: int,
    render: Callable[[Sequence[Message]], list[int]],
    count_tokens: Callable[[str], int],
) -> ContextFit:
    """How a conversation fits, its settings' system prompt included. Raises what ``render`` does.

    One that cannot be made to fit is longer than the context, and nothing is left out of it.
    """
    asked = with_system_prompt(messages, params)
    try:
        fitted = fit_prompt(asked, params, context_tokens, render, count_tokens)
    except ContextOverflow as error:
        return ContextFit(error.prompt_tokens, error.prompt_tokens, context_tokens)
    left_out = given_indexes(fitted.left_out, asked, messages)
    return ContextFit(len(fitted.tokens), fitted.whole_tokens, context_tokens, left_out)


def given_indexes(
    left_out: Sequence[int], asked: Sequence[Message], given: Sequence[Message]
) -> tuple[int, ...]:
    """Indexes as their giver knows them, without a system prompt that was put before them."""
    return tuple(index - (len(asked) - len(given)) for index in left_out)


def estimate_fit(
    given: Sequence[Message], params: SamplingParams, context_tokens: int
) -> ContextFit:
    """How a conversation might fit, from its length alone: for who has no tokenizer."""
    messages = with_system_prompt(given, params)
    sizes = [
        -(-len(message.text) // _CHARS_PER_TOKEN) + _TOKENS_PER_MESSAGE for message in messages
    ]
    left_out: tuple[int, ...] = ()
    if context_tokens and params.overflow == "leave_out":
        room = room_for_prompt(params, context_tokens)
        left_out = choose_left_out(messages, sizes, room, context_tokens)
    whole = sum(sizes)
    sent = whole - sum(sizes[index] for index in left_out)
    return ContextFit(
        sent, whole, context_tokens, given_indexes(left_out, messages, given), is_exact=False
    )


def _turns(messages: Sequence[Message]) -> list[list[int]]:
    """Indexes by turn: a question with all that follows it. System prompts are in none."""
    turns: list[list[int]] = []
    for index, message in enumerate(messages):
        if message.role == "system":
            continue
        if message.role == "user" or not turns:
            turns.append([])
        turns[-1].append(index)
    return turns


def _message_sizes(
    messages: Sequence[Message], whole_tokens: int, count_tokens: Callable[[str], int]
) -> list[int]:
    """What each message takes of the prompt, its share of the template's marks with it."""
    sizes = [count_tokens(message.text) for message in messages]
    marks = max(0, whole_tokens - sum(sizes))
    return [size + -(-marks // len(messages)) for size in sizes]


def _overflow(prompt_tokens: int, context_tokens: int, has_left_out: bool) -> ContextOverflow:
    reads = f"this model reads at most {context_tokens:,}."
    if has_left_out:
        message = (
            f"The newest message is {prompt_tokens:,} tokens long with what must stay; {reads}"
        )
        hint = "Shorten it, or choose a model with a longer context."
    else:
        message = f"The conversation is {prompt_tokens:,} tokens long; {reads}"
        hint = "Shorten the message, start a new chat, or have Settings leave out the middle."
    return ContextOverflow(message, hint, prompt_tokens, context_tokens)
