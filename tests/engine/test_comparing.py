"""One message to several models: together, or one after another where memory is short."""

import time
from pathlib import Path

import pytest

from engine import Engine
from engine.answers import Answers
from engine.chats import Chats, StoredMessage
from engine.comparing import Comparing, Comparison, needed_together
from engine.errors import ChatChanged, InvalidRequest, NotInstalled
from engine.estimates import KVCacheSize, MemoryEstimate
from engine.records import Message, SamplingParams
from tests.engine.answers import LLAMA, ask
from tests.engine.chatting import Opening
from tests.engine.downloading import wait_for

OTHER = "tiny/other"
ENDLESS_TOKENS = 400


@pytest.fixture(autouse=True)
def loaded(engine: Engine) -> None:
    """Their templates are probed one by one, in the short time that tests give a probe."""
    for repo_id in (LLAMA, OTHER):
        engine.inference.load(repo_id).result(60)


@pytest.fixture
def chats(tmp_path: Path, opening: Opening) -> Chats:
    return opening(tmp_path / "chats.sqlite3")


def comparing(engine: Engine, budget_bytes: int | None = None) -> Comparing:
    return Comparing(
        Answers(engine.chat), engine.chat, engine.inference, engine.library.find,
        lambda: budget_bytes, engine.remote.knows,
    )  # fmt: skip


def begin(
    room: Comparing, chats: Chats, *model_ids: str, max_tokens: int = 24
) -> tuple[str, Comparison]:
    plan = room.plan(model_ids)
    chat = chats.create()
    asked = chats.add(chat.chat_id, chat.revision, None, "user", "hello")
    places = chats.begin_answers(
        chat.chat_id, asked.revision, asked.message_id, plan.model_ids, {}
    )  # fmt: skip
    params = SamplingParams(max_tokens=max_tokens, temperature=0.0)
    comparison = room.begin(chats, places, [Message("user", "hello")], params, plan)
    return chat.chat_id, comparison


def versions(chats: Chats, comparison: Comparison) -> tuple[StoredMessage, ...]:
    return chats.versions(comparison.chat_id, comparison.message_ids[0])


def wait_until_over(room: Comparing, chats: Chats, comparison: Comparison) -> None:
    wait_for(lambda: not room.running(chats, comparison))


def test_models_answer_together_and_their_answers_are_versions_of_one_turn(
    engine: Engine, chats: Chats
) -> None:
    room = comparing(engine)
    chat_id, comparison = begin(room, chats, LLAMA, OTHER)
    assert comparison.is_together and room.find(chats, comparison.message_ids[1]) == comparison
    wait_until_over(room, chats, comparison)
    both = versions(chats, comparison)
    assert [one.model_id for one in both] == [LLAMA, OTHER]
    assert both[0].text == ask(engine, "hello").text
    assert [one.state for one in both] == ["done", "done"]
    assert room.find(chats, comparison.message_ids[1]) is None
    first = chats.read(chat_id)
    chats.choose(chat_id, first.revision, comparison.message_ids[0])
    shown = chats.read(chat_id).messages[-1]
    assert (shown.model_id, shown.version, shown.versions) == (LLAMA, 1, 2)


def test_models_without_room_for_both_answer_one_after_another(
    engine: Engine, chats: Chats
) -> None:
    room = comparing(engine, budget_bytes=1)
    _, comparison = begin(room, chats, LLAMA, OTHER, max_tokens=ENDLESS_TOKENS)
    assert not comparison.is_together
    first, second = room.running(chats, comparison)
    while not first.state().is_done:
        assert second.state().text == ""
        time.sleep(0.005)
    wait_until_over(room, chats, comparison)
    assert all(len(one.text) > 10 for one in versions(chats, comparison))


def test_stop_ends_all_of_them_also_those_that_were_not_asked_yet(
    engine: Engine, chats: Chats
) -> None:
    room = comparing(engine, budget_bytes=1)
    _, comparison = begin(room, chats, LLAMA, OTHER, max_tokens=100_000)
    first, second = room.running(chats, comparison)
    wait_for(lambda: first.state().text != "")
    for running in (first, second):
        running.stop()
    wait_until_over(room, chats, comparison)
    stopped, never_asked = versions(chats, comparison)
    assert stopped.text and never_asked.text == ""
    assert [one.details["reason"] for one in (stopped, never_asked)] == ["cancelled"] * 2


def test_one_that_fails_leaves_the_others_alone(engine: Engine, chats: Chats) -> None:
    room = comparing(engine)
    plan = room.plan((LLAMA, OTHER))
    chat = chats.create()
    asked = chats.add(chat.chat_id, chat.revision, None, "user", "hello")
    places = chats.begin_answers(chat.chat_id, asked.revision, asked.message_id, plan.model_ids, {})
    too_long = [Message("user", "x" * 2_000)]  # tiny/other reads 512 tokens at most
    comparison = room.begin(chats, places, too_long, SamplingParams(max_tokens=8), plan)
    wait_until_over(room, chats, comparison)
    good, bad = versions(chats, comparison)
    assert good.text and not bad.text and "tokens" in bad.details["error"]


def test_a_stale_writer_begins_no_comparison_at_all(chats: Chats) -> None:
    chat = chats.create()
    asked = chats.add(chat.chat_id, chat.revision, None, "user", "hello")
    with pytest.raises(ChatChanged):
        chats.begin_answers(chat.chat_id, chat.revision, asked.message_id, ("a", "b"), {})
    assert len(chats.read(chat.chat_id).messages) == 1


def test_a_plan_takes_two_or_three_models_that_are_there(engine: Engine) -> None:
    room = comparing(engine)
    for names in ((), (LLAMA,), (LLAMA, LLAMA), (LLAMA, OTHER, "tiny/chunked", "tiny/recurrent")):
        with pytest.raises(InvalidRequest):
            room.plan(names)
    with pytest.raises(NotInstalled):
        room.plan((LLAMA, "no/model"))


def test_what_models_need_together_counts_working_memory_once() -> None:
    one = MemoryEstimate(1_000, KVCacheSize(0, 2), 100, 50, None)
    two = MemoryEstimate(3_000, KVCacheSize(0, 1), 100, 70, None)
    assert needed_together([one, two]) == 1_000 + 200 + 3_000 + 100 + 70
    assert needed_together([one, None]) == one.total_bytes
