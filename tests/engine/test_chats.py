"""Conversations are kept as trees: nothing is overwritten unseen, everything is found again."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from engine.chats import Chats
from engine.chats.store import UNDO_S
from engine.chats.titles import make_title
from engine.errors import ChatChanged, ChatNotFound
from tests.engine.chatting import Opening, exchange, said


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "chats.sqlite3"


@pytest.fixture
def chats(path: Path, opening: Opening) -> Chats:
    return opening(path)


def test_what_was_said_is_there_after_a_restart(chats: Chats, path: Path, opening: Opening) -> None:
    first = exchange(chats, "What is an apple?", "A fruit.")
    exchange(chats, "And a pear?", "Another one.", first)
    chats.close()
    again = opening(path)
    (summary,) = again.list()
    assert summary.title == "What is an apple?"
    assert said(again, first.chat_id) == ["What is an apple?", "A fruit.", "And a pear?",
                                          "Another one."]  # fmt: skip
    assert again.problem == ""


def test_a_new_version_leaves_the_old_one_and_what_followed_it(chats: Chats) -> None:
    first = exchange(chats, "apple", "red")
    second = exchange(chats, "more", "sweet", first)
    question = chats.read(first.chat_id).messages[0]
    edited = chats.add(first.chat_id, second.revision, question.parent_id, "user", "pear")
    assert said(chats, first.chat_id) == ["pear"]
    shown = chats.read(first.chat_id).messages[0]
    assert (shown.version, shown.versions) == (2, 2)
    back = chats.choose(first.chat_id, edited.revision, question.message_id)
    assert said(chats, first.chat_id) == ["apple", "red", "more", "sweet"]
    assert chats.read(first.chat_id).revision == back.revision
    both = chats.versions(first.chat_id, question.message_id)
    assert [version.text for version in both] == ["apple", "pear"]


def test_a_stale_writer_overwrites_nothing_and_hears_of_it(chats: Chats) -> None:
    first = exchange(chats, "apple", "red")
    newer = exchange(chats, "more", "sweet", first)
    stale = (first.chat_id, first.revision, first.message_id)
    with pytest.raises(ChatChanged, match="another tab"):
        chats.add(*stale, "user", "old")
    with pytest.raises(ChatChanged):
        chats.begin_answer(*stale, "org/model", {})
    with pytest.raises(ChatChanged):
        chats.choose(*stale)
    assert said(chats, first.chat_id) == ["apple", "red", "more", "sweet"]
    assert chats.read(first.chat_id).revision == newer.revision


def test_a_kill_in_the_middle_of_an_answer_leaves_what_was_saved_of_it_marked(
    path: Path, opening: Opening
) -> None:
    child = textwrap.dedent(f"""
        import os, pathlib
        from engine.chats import Chats
        chats = Chats(pathlib.Path({str(path)!r}))
        chat = chats.create()
        asked = chats.add(chat.chat_id, chat.revision, None, "user", "Count")
        answer = chats.begin_answer(chat.chat_id, asked.revision, asked.message_id, "m", {{}})
        chats.save_draft(answer.message_id, "one two", "hm")
        os.kill(os.getpid(), 9)
    """)
    assert subprocess.run([sys.executable, "-c", child], check=False, timeout=60).returncode == -9
    chats = opening(path)
    (summary,) = chats.list()
    question, answer = chats.read(summary.chat_id).messages
    assert (answer.text, answer.reasoning, answer.state) == ("one two", "hm", "cut")
    assert question.state == "done"
    assert [found.chat_id for found in chats.list("one two")] == [summary.chat_id]


def test_a_cut_answer_can_be_written_on(chats: Chats) -> None:
    first = exchange(chats, "Count", "one")
    resumed = chats.resume_answer(first.chat_id, first.revision, first.message_id)
    assert chats.read(first.chat_id).messages[-1].state == "writing"
    chats.finish_answer(first.message_id, "one two")
    assert said(chats, first.chat_id) == ["Count", "one two"]
    assert resumed.message_id == first.message_id


def test_a_draft_is_read_by_another_pomona_on_the_same_folder(
    chats: Chats, path: Path, opening: Opening
) -> None:
    first = exchange(chats, "Count", "one")
    other = opening(path)
    chats.save_draft(first.message_id, "one two thr")
    assert said(other, first.chat_id)[-1] == "one two thr"


def test_search_finds_every_word_in_titles_and_in_what_was_said(chats: Chats) -> None:
    apple = exchange(chats, "Tell me of apples", "Red orchards in 'Kent' 100% ripe").chat_id
    pear = exchange(chats, "Tell me of pears", "绿色的梨很甜 and juicy").chat_id

    def found(text: str) -> set[str]:
        return {summary.chat_id for summary in chats.list(text)}

    assert found("orchards") == found("RED kent") == {apple} and found("tell") == {apple, pear}
    assert found("的梨很") == found("的梨") == {pear}
    assert found("red juicy") == found("zebra") == found('"') == set()
    assert found("100% ri") == {apple} and found("1_0") == set()
    assert "orchards" in chats.list("orchards")[0].excerpt
    assert found("  ") == {apple, pear}


def test_pinned_ones_stand_first_then_the_newest(path: Path, opening: Opening) -> None:
    clock = iter(range(1_000))
    chats = opening(path, now_at=lambda: float(next(clock)))
    ids = [exchange(chats, f"question {n}", "answer").chat_id for n in range(3)]
    chats.pin(ids[0], True)
    assert [summary.chat_id for summary in chats.list()] == [ids[0], ids[2], ids[1]]
    chats.rename(ids[1], "  Mine  ")
    chats.rename(ids[1], "   ")
    assert {summary.title for summary in chats.list()} == {"question 0", "Mine", "question 2"}


def test_a_title_that_was_given_stays(chats: Chats) -> None:
    chat = chats.create(title="My plan")
    exchange(chats, "What is an apple?", "A fruit.", chat)
    assert chats.list()[0].title == "My plan"


def test_deleting_can_be_undone_for_a_while_and_then_is_final(path: Path, opening: Opening) -> None:
    now_at = [1_000.0]
    chats = opening(path, now_at=lambda: now_at[0])
    kept, gone = (exchange(chats, text, "answer") for text in ("kept", "gone"))
    for one in (kept, gone):
        chats.delete(one.chat_id)
    assert chats.list() == () and chats.list("answer") == ()
    with pytest.raises(ChatNotFound):
        chats.read(kept.chat_id)
    with pytest.raises(ChatNotFound):
        chats.add(kept.chat_id, kept.revision, None, "user", "late")
    chats.undo_delete(kept.chat_id)
    assert said(chats, kept.chat_id) == ["kept", "answer"]
    chats.close()
    now_at[0] += UNDO_S + 1
    again = opening(path, now_at=lambda: now_at[0])
    with pytest.raises(ChatNotFound):
        again.undo_delete(gone.chat_id)


@pytest.mark.parametrize("chat_id", ("", "../x", "a" * 5_000, "\0", "' OR 1=1"))
def test_ids_that_are_none_are_not_found(chats: Chats, chat_id: str) -> None:
    for act in (lambda: chats.read(chat_id), lambda: chats.delete(chat_id),
                lambda: chats.add(chat_id, 1, None, "user", "x")):  # fmt: skip
        with pytest.raises(ChatNotFound):
            act()


def test_a_message_of_another_conversation_is_not_touched(chats: Chats) -> None:
    mine, other = exchange(chats, "mine", "a"), exchange(chats, "other", "b")
    with pytest.raises(ChatNotFound):
        chats.add(mine.chat_id, mine.revision, other.message_id, "user", "x")
    with pytest.raises(ChatNotFound):
        chats.choose(mine.chat_id, mine.revision, other.message_id)
    with pytest.raises(ChatNotFound):
        chats.versions(mine.chat_id, other.message_id)


@pytest.mark.parametrize(("question", "answer", "title"), (
    ("What is **MLX**?\nTell me.", "", "What is MLX? Tell me."),
    ("hello!", "Plan a walk first", "Plan a walk first"), ("hello", "", "hello"),
    ("", "", "New chat"), ("word " * 40, "", "word " * 10 + "word…"),
    ("x" * 100, "", "x" * 59 + "…"),
))  # fmt: skip
def test_titles_say_what_it_is_about(question: str, answer: str, title: str) -> None:
    assert make_title(question, answer) == title
