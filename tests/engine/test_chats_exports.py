"""What leaves as Markdown, JSON or HTML says what was said, and nothing in it comes alive."""

import json
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from engine.chats import (
    MAX_TEXT_CHARS,
    Attachment,
    Chats,
    ChatTree,
    StoredMessage,
    attachment_details,
    attachments_of,
)
from engine.chats.exports import export_all, export_chat, export_name, write_export
from engine.chats.fences import iter_blocks, longer_fence, open_fence
from engine.chats.imports import parse_import
from engine.errors import ChatNotFound, ChatsUnavailable
from tests.engine.chatting import Opening, exchange, said

HOSTILE = "<script>alert(1)</script>\"'&lt;</p></main><img src=x onerror=alert(2)>\u202e\0\x85"


def conversation(*texts: str) -> ChatTree:
    messages = tuple(
        StoredMessage(n, "assistant" if n % 2 == 0 else "user", text, parent_id=n - 1 or None)
        for n, text in enumerate(texts, 1)
    )
    return ChatTree("A title", messages, len(messages))


@pytest.fixture
def chats(tmp_path: Path, opening: Opening) -> Chats:
    return opening(tmp_path / "chats.sqlite3")


@pytest.fixture
def branched(chats: Chats) -> str:
    """A conversation with two versions of its first answer, the older one shown."""
    first = exchange(chats, "Count", "one")
    more = exchange(chats, "on", "two", first)
    question = chats.read(first.chat_id).messages[0].message_id
    other = chats.begin_answer(first.chat_id, more.revision, question, "org/other", {"top_k": 3})
    chats.finish_answer(other.message_id, "uno", "in Spanish", {"reason": "stop"}, "cut")
    now = chats.read(first.chat_id).revision
    chats.choose(first.chat_id, now, first.message_id)
    return first.chat_id


def test_a_whole_tree_goes_out_and_comes_in_again(chats: Chats, branched: str) -> None:
    before = chats.tree(branched)
    assert [message.text for message in before.messages] == ["Count", "one", "on", "two", "uno"]
    (parsed,) = parse_import(export_chat(before, "json"))
    assert parsed == before
    copy = chats.plant(parsed)
    assert copy.chat_id != branched
    after = chats.tree(copy.chat_id)
    pairs = list(zip(before.messages, after.messages, strict=True))
    numbers = {old.message_id: new.message_id for old, new in pairs}
    assert len(set(numbers.values())) == 5 and not numbers.keys() & set(numbers.values())
    for old, new in pairs:
        parent_id = None if old.parent_id is None else numbers[old.parent_id]
        assert new == replace(old, message_id=new.message_id, parent_id=parent_id)
    assert said(chats, copy.chat_id) == said(chats, branched) == ["Count", "one", "on", "two"]
    assert chats.read(copy.chat_id).messages[1].versions == 2
    assert (after.params, after.created_at) == (before.params, before.created_at)
    assert chats.list("uno") and {one.chat_id for one in chats.list("uno")} == {
        branched, copy.chat_id}  # fmt: skip


def test_a_planted_tree_is_a_chat_like_any_other(chats: Chats, branched: str) -> None:
    copy = chats.plant(chats.tree(branched))
    exchange(chats, "more", "three", copy)
    assert said(chats, copy.chat_id)[-2:] == ["more", "three"]
    assert chats.read(copy.chat_id).title == chats.read(branched).title
    assert said(chats, branched) == ["Count", "one", "on", "two"]


def test_an_answer_that_was_being_written_arrives_as_cut(chats: Chats) -> None:
    chat = chats.create()
    asked = chats.add(chat.chat_id, chat.revision, None, "user", "Count")
    answer = chats.begin_answer(chat.chat_id, asked.revision, asked.message_id, "m", {})
    chats.save_draft(answer.message_id, "one tw")
    tree = chats.tree(chat.chat_id)
    assert tree.messages[-1].text == "one tw"
    (parsed,) = parse_import(export_chat(tree, "json"))
    for one in (tree, parsed):
        planted = chats.read(chats.plant(one).chat_id).messages[-1]
        assert (planted.text, planted.state) == ("one tw", "cut")
    assert "cut off" in export_chat(tree, "markdown") and "cut off" in export_chat(tree, "html")


def test_a_tree_that_does_not_fit_itself_leaves_nothing_behind(chats: Chats) -> None:
    tree = conversation("a", "b", "c")
    with pytest.raises(KeyError):
        chats.plant(replace(tree, messages=tree.messages[::-1]))
    assert chats.list() == ()


def test_a_chat_that_is_not_there_has_no_tree(chats: Chats, branched: str) -> None:
    chats.delete(branched)
    with pytest.raises(ChatNotFound):
        chats.tree(branched)


def test_several_chats_go_out_in_one_file(chats: Chats, branched: str) -> None:
    other = exchange(chats, "apple", "red").chat_id
    text = export_all(chats.tree(one) for one in (branched, other))
    assert [tree.title for tree in parse_import(text)] == ["Count", "apple"]


def test_markdown_holds_the_shown_path_with_its_models(chats: Chats, branched: str) -> None:
    tree = replace(chats.tree(branched), params={"system_prompt": "be kind"})
    assert export_chat(tree, "markdown") == (
        "# Count\n\n## System\n\nbe kind\n\n## You\n\nCount\n\n## Assistant (org/model)\n\none\n\n"
        "## You\n\non\n\n## Assistant (org/model)\n\ntwo\n"
    )
    thought = StoredMessage(1, "assistant", "Yes", "hm\n\n```\nx", model_id="m")
    text = export_chat(ChatTree("T", (thought,), 1), "markdown")
    assert "> *Thinking*\n>\n> hm\n>\n> ```\n> x\n> ```\n\nYes\n" in text


@pytest.mark.parametrize("code", ("```py\nx = 1", "````\n```\nx", "~~~\n```", "text\n   ```"))
def test_a_code_block_left_open_does_not_swallow_the_next_message(code: str) -> None:
    text = export_chat(conversation(code, "after"), "markdown")
    assert open_fence(text.partition("## Assistant")[0]) == ""
    assert open_fence(code) != ""


class _Page(HTMLParser):
    """Every tag, attribute and text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_page_of_hostile_texts_has_the_tags_of_a_harmless_one() -> None:
    def page(text: str) -> _Page:
        answer = f"{text}\n```\n{text}\n```"
        message = StoredMessage(1, "assistant", answer, text, text, created_at=9)
        tree = ChatTree(text, (message,), 1, "", {"system_prompt": text})
        return _Page(export_chat(tree, "html"))

    hostile, harmless = page(HOSTILE), page("hello")
    assert hostile.tags == harmless.tags
    assert hostile.attributes == harmless.attributes
    assert hostile.text.count("<script>alert(1)</script>") == harmless.text.count("hello") == 7
    assert not {"script", "img", "link", "iframe"} & set(hostile.tags)
    assert not set("\0\x85\u202e") & set(hostile.text)


def test_a_page_forbids_itself_everything_but_its_own_style() -> None:
    page = export_chat(conversation("a"), "html")
    assert "default-src 'none'; style-src 'unsafe-inline'" in page
    assert "http://" not in page and "https://" not in page


def test_a_page_keeps_code_and_lines_as_they_are() -> None:
    page = export_chat(conversation("a\n b\n```py\nif x < 1:\n    y\n```\nc"), "html")
    assert '<p dir="auto">a\n b</p>\n<pre><code>if x &lt; 1:\n    y</code></pre>' in page


@pytest.mark.parametrize(("text", "blocks"), (
    ("a\n```\nb\n```\nc", [(False, "a"), (True, "b"), (False, "c")]),
    ("```js\nb", [(True, "b")]), ("````\n```\n````", [(True, "```")]),
    ("``` a`b\nc", [(False, "``` a`b\nc")]), ("~~~\n```\n~~~~", [(True, "```")]),
    ("    ```\nb", [(False, "    ```\nb")]), ("", [(False, "")]),
))  # fmt: skip
def test_code_is_what_stands_between_fences(text: str, blocks: list[tuple[bool, str]]) -> None:
    assert list(iter_blocks(text)) == blocks


@pytest.mark.parametrize("text", ("", "a ``` b", "````\nx\n````", "`" * 50))
def test_a_longer_fence_holds_any_text(text: str) -> None:
    fence = longer_fence(text)
    assert list(iter_blocks(f"{fence}\n{text}\n{fence}")) == [(True, text)]


@pytest.mark.parametrize(("title", "name"), (
    ("What is MLX?", "What is MLX.md"), ("../../etc/passwd", "etcpasswd.md"), ("", "chat.md"),
    ("<b>\0\n..", "b.md"), ("绿色的梨", "绿色的梨.md"), ("...", "chat.md"), ("-rf", "rf.md"),
    ("a" * 300, "a" * 60 + ".md"),
))  # fmt: skip
def test_a_file_name_is_safe_whatever_the_title(title: str, name: str) -> None:
    assert export_name(title, "markdown") == name


def test_a_file_name_is_short_in_bytes_too() -> None:
    assert len(export_name("🎉梨" * 100, "html").encode()) < 200


def test_a_file_is_written_under_its_title(tmp_path: Path) -> None:
    path = write_export(conversation("a"), "json", tmp_path)
    assert path == tmp_path / "A title.json"
    assert json.loads(path.read_text("utf-8"))["format"] == "pomona-chats"
    with pytest.raises(ChatsUnavailable, match="No such file"):
        write_export(conversation("a"), "html", tmp_path / "gone")


def test_the_files_of_a_message_leave_with_it_and_come_in_again() -> None:
    file = Attachment("<b>.md", f"```\n{HOSTILE}", 9)
    message = StoredMessage(1, "user", "Why?", details=attachment_details([file]))
    tree = ChatTree("A title", (message,), 1)
    assert "````\n```\n<script>" in export_chat(tree, "markdown")
    page = export_chat(tree, "html")
    assert "<summary>&lt;b&gt;.md</summary>" in page and "<script" not in page
    (parsed,) = parse_import(export_chat(tree, "json"))
    assert attachments_of(parsed.messages[0]) == (file,)


@pytest.mark.parametrize("value", (
    "x", [1], [{"name": 1, "text": "x"}], [{"name": "a", "text": " "}], [{"text": "x"}],
    [{"name": "a", "text": "x" * (MAX_TEXT_CHARS + 1)}],
))  # fmt: skip
def test_files_of_an_import_that_are_none_are_left_out(value: object) -> None:
    tree = ChatTree(
        "A title", (StoredMessage(1, "user", "Why?", details={"attachments": value}),), 1
    )
    (parsed,) = parse_import(export_chat(tree, "json"))
    assert parsed.messages[0].details == {} and parsed.messages[0].text == "Why?"
