"""What comes in is read whole or refused with a sentence; it can break nothing."""

import json
from pathlib import Path
from typing import Any

import pytest

from engine import foreign_json
from engine.chats import Chats, ChatTree, StoredMessage, imports
from engine.chats.exports import export_all, export_chat
from engine.chats.imports import parse_import, read_import
from engine.errors import ImportFailed
from tests.engine.chatting import Opening, said

TALK = [
    {"role": "system", "content": "be kind"},
    {"role": "user", "content": "hello"},
    {"role": "assistant", "content": "hi", "reasoning_content": "hm"},
]


@pytest.fixture
def chats(opening: Opening) -> Chats:
    return opening(None)


def texts(tree: ChatTree) -> list[tuple[str, str]]:
    return [(message.role, message.text) for message in tree.shown()]


def own(**changes: Any) -> str:
    """A file of our own with one message, and something in that message changed."""
    message = {"id": 1, "parent_id": None, "role": "user", "text": "hello", **changes}
    chat = {"title": "T", "shown_id": 1, "messages": [message]}
    return json.dumps({"format": "pomona-chats", "version": 1, "chats": [chat]})


@pytest.mark.parametrize(("value", "count"), (
    (TALK, 1), ({"messages": TALK, "model": "gpt-x"}, 1), ([{"messages": TALK}] * 2, 2), ([TALK], 1)
))  # fmt: skip
def test_lists_of_messages_in_openais_form_become_chats(
    value: Any, count: int, chats: Chats
) -> None:
    trees = parse_import(json.dumps(value))
    assert len(trees) == count
    for tree in trees:
        assert tree.params == {"system_prompt": "be kind"}
        assert texts(tree) == [("user", "hello"), ("assistant", "hi")]
        assert tree.shown()[1].reasoning == "hm"
        assert said(chats, chats.plant(tree).chat_id) == ["hello", "hi"]
    model = "gpt-x" if isinstance(value, dict) else ""
    assert (trees[0].model_id, trees[0].shown()[1].model_id) == (model, model)


def test_json_lines_are_a_chat_each() -> None:
    line = json.dumps({"messages": TALK})
    assert len(parse_import(f"{line}\n\n{line}\n")) == 2
    with pytest.raises(ImportFailed, match="ends in the middle"):
        parse_import(f"{line}\n{line[:-9]}")


def test_parts_of_a_message_are_joined_and_what_is_no_text_is_named() -> None:
    parts = [{"type": "text", "text": "look"}, {"type": "image_url", "image_url": {"url": "x"}}]
    (tree,) = parse_import(json.dumps([{"role": "user", "content": parts}]))
    assert tree.shown()[0].text == "look\n[An attachment that is not text was left out.]"


def test_a_system_message_further_down_stays_a_message() -> None:
    (tree,) = parse_import(json.dumps([*TALK[1:], {"role": "developer", "content": "short"}]))
    assert texts(tree)[-1] == ("system", "short") and tree.params == {}


def test_a_title_is_made_where_none_comes_along() -> None:
    assert parse_import(json.dumps([{"role": "user", "content": "What is MLX?"}]))[0].title == (
        "What is MLX?"
    )
    assert parse_import(json.dumps({"title": " Mine ", "messages": TALK}))[0].title == "Mine"


@pytest.mark.parametrize(("text", "sentence"), (
    ("", "ends in the middle|not JSON"), ("hello", "not JSON: .* line 1"),
    ('{"a": 1}', "holds no chat"), ("[1, 2]", "holds no chat"), ("3", "holds no chat"),
    ('"messages"', "holds no chat"), ('{"messages": {"role": "user"}}', "holds no chat"),
    ('[{"role": "user", "content": "a"}, 3]', "holds no chat"), ("[]", "no message"),
    ('{"messages": []}', "no message"), ('{"mapping": {}, "title": "x"}', "holds no chat"),
    ('[{"role": "tool", "content": "a"}]', "Message 1 has a role"),
    ('[{"role": ["user"], "content": "a"}]', "Message 1 has a role"),
    ('[{"role": "user", "content": null}]', "Message 1's content is not text"),
    ('[{"role": "user", "content": [3]}]', "part of message 1 is not text"),
    ('[{"role": "user", "content": [{"text": "a"}]}]', "part of message 1 has no type"),
    ('[{"role": "user", "content": NaN}]', "values that no chat has"),
    ('[{"role": "user", "content": 1e999}]', "values that no chat has"),
    ("[" * 200_000, "values that no chat has|ends in the middle"),
    ("1" * 5_000, "values that no chat has"),
    (own(id="1"), "Message 1 does not fit"), (own(id=True), "Message 1 does not fit"),
    (own(parent_id=1), "Message 1 does not fit"), (own(parent_id=[]), "Message 1 does not fit"),
    (own(text=None), "Message 1's text is not text"), (own(role="robot"), "Message 1 has a role"),
    (own(reasoning=3), "reasoning is not text"),
    ('{"format": "pomona-chats", "version": 2, "chats": []}', "newer Pomona"),
    ('{"format": "pomona-chats", "version": 1}', "no list of chats"),
    ('{"format": "pomona-chats", "version": 1, "chats": []}', "no message"),
    ('{"format": "pomona-chats", "version": 1, "chats": [3]}', "no list of messages"),
))  # fmt: skip
def test_what_is_no_chat_is_refused_with_a_sentence_and_a_hint(text: str, sentence: str) -> None:
    with pytest.raises(ImportFailed, match=sentence) as failed:
        parse_import(text)
    assert failed.value.hint


def test_every_beginning_of_a_file_is_told_from_the_whole() -> None:
    messages = (
        StoredMessage(1, "user", 'a "quoted" ü\n\\', details={"stats": {"output_tokens": 12}}),
        StoredMessage(2, "assistant", "b", parent_id=1, created_at=1.5),
    )
    text = export_chat(ChatTree("T", messages, 2, params={"seed": None}), "json").strip()
    for end in range(1, len(text)):
        with pytest.raises(ImportFailed, match="ends in the middle"):
            parse_import(text[:end])
    assert len(parse_import(text)) == 1


def test_a_mistake_in_the_middle_is_not_called_cut_off() -> None:
    text = own(text="a" * 200).replace('"role": ', '"role" ')
    with pytest.raises(ImportFailed, match="not JSON"):
        parse_import(text)


def test_a_file_is_read_in_any_unicode(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-32"):
        path.write_text(json.dumps(TALK + [{"role": "user", "content": "梨"}], ensure_ascii=False),
                        encoding=encoding)  # fmt: skip
        assert texts(read_import(path)[0])[-1] == ("user", "梨")


def test_a_huge_unreadable_or_binary_file_is_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    with path.open("wb") as file:
        file.truncate(foreign_json.MAX_IMPORT_BYTES + 1_000_000)
    with pytest.raises(ImportFailed, match="The file has 51 MB; an import may have 50 MB"):
        read_import(path)
    path.write_bytes(b"\xff\xd8\xff\xe0" * 99)
    with pytest.raises(ImportFailed, match="no text"):
        read_import(path)
    for gone in (tmp_path / "gone.json", tmp_path):
        with pytest.raises(ImportFailed, match="could not be read"):
            read_import(gone)


def test_too_many_chats_or_messages_are_refused_before_they_are_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    three = [TALK, TALK, TALK]
    own_three = export_all(parse_import(json.dumps(three)))
    for name, count in (("MAX_CHATS", 2), ("MAX_MESSAGES", 5)):
        with monkeypatch.context() as patch:
            patch.setattr(imports, name, count)
            for text in (json.dumps(three), own_three):
                with pytest.raises(ImportFailed, match="are the most"):
                    parse_import(text)
    assert len(parse_import(own_three)) == 3


def test_half_characters_and_foreign_figures_come_in_harmless(chats: Chats) -> None:
    text = own(
        text="a\ud800b\ud83c\udf89", reasoning="\udfff", model_id="m\ud800", state="writing",
        created_at="yesterday",
        details={"error": 3, "reason": "<b>", "reasoning_s": -1, "mine": ["\ud800"],
                 "stats": {"output_tokens": "<b>", "decode_per_s": 2.5, "other": 1}},
    )  # fmt: skip
    (tree,) = parse_import(text)
    (message,) = chats.read(chats.plant(tree).chat_id).messages
    assert (message.text, message.reasoning) == ("a\ufffdb🎉", "\ufffd")
    assert (message.state, message.created_at) == ("cut", 0)
    assert message.details == {
        "reasoning_s": 0, "mine": ["\ufffd"], "stats": {"output_tokens": 0, "decode_per_s": 2.5},
    }  # fmt: skip
    for details in ({"a": "b" * 30_000}, "x", {"stats": 3}):
        (tree,) = parse_import(own(details=details))
        assert tree.messages[0].details in ({}, {"stats": {}})


@pytest.mark.parametrize(("params", "kept"), (
    ({"temperature": 0.2, "other": 1}, {"temperature": 0.2}), ({"temperature": 99}, {}),
    ({"system_prompt": "a\ud800"}, {"system_prompt": "a\ufffd"}), ([], {}), (None, {}),
    ({"seed": "x"}, {}),
))  # fmt: skip
def test_settings_come_in_only_as_a_request_could_carry_them(
    params: Any, kept: dict[str, Any]
) -> None:
    value = json.loads(own())
    value["chats"][0] |= {"params": params, "shown_id": "nonsense", "title": ""}
    (tree,) = parse_import(json.dumps(value))
    assert tree.params == kept and tree.leaf_id == 1 and tree.title == "hello"


def test_several_chats_are_all_planted_or_none(opening: Opening, tmp_path: Path) -> None:
    chats = opening(tmp_path / "chats.sqlite3")
    good = ChatTree("good", (StoredMessage(1, "user", "x"),), 1)
    assert len(chats.plant_all([good, good])) == 2
    orphan = ChatTree("orphan", (StoredMessage(2, "user", "x", parent_id=1),), 2)
    with pytest.raises(KeyError):
        chats.plant_all([good, orphan])
    assert len(chats.list()) == 2
