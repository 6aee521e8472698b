"""A chat that is opened again goes on from what was read of it, kept on disk."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine import Engine
from engine.inference.prompt_files import PromptFiles
from engine.records import Message, SamplingParams
from tests.engine.answers import LLAMA, Answer, read
from tests.engine.downloading import wait_for
from tests.models import write_model

LONG = "what was read of a chat shall not be read again. " * 8
CHAT = "chat-of-this-test"


@pytest.fixture
def files(engine: Engine) -> Iterator[PromptFiles]:
    """The engine's own, empty before and after."""
    kept = engine.inference.kept_prompts
    clear(engine)
    yield kept
    clear(engine)


def clear(engine: Engine) -> None:
    """Remove all, that which is still to be written too."""
    wait_for(lambda: engine.inference._thread.keeping.nap_s() is None)
    engine.inference.kept_prompts.clear().result(10)


def say(engine: Engine, text: str = LONG, model: str = LLAMA, chat_id: str = CHAT) -> Answer:
    params = SamplingParams(temperature=0.0, max_tokens=8)
    return read(engine.inference.chat([Message("user", text)], params, model, chat_id))


def reopen(engine: Engine, model: str = LLAMA) -> None:
    """Forget what is in memory."""
    engine.inference.unload(model)
    engine.inference.load(model).result(60)


def kept_file(engine: Engine) -> Path:
    """The one file, once it is written."""
    folder = engine.settings.cache_dir / "prompts"
    wait_for(lambda: len(list(folder.glob("*.safetensors"))) == 1)
    return next(folder.glob("*.safetensors"))


@pytest.mark.parametrize("model", [LLAMA, "tiny/chunked", "tiny/recurrent"])
def test_a_chat_opened_again_says_the_same_and_reads_little(
    engine: Engine, files: PromptFiles, model: str
) -> None:
    reopen(engine, model)
    first = say(engine, model=model)
    kept_file(engine)
    engine.inference.unload(model)
    following = LONG + first.text if model == "tiny/recurrent" else LONG
    again = say(engine, following, model)
    if model == "tiny/recurrent":  # its state is of the end of the answer alone
        return
    assert again.text == first.text and first.stats.reused_tokens == 0
    assert again.stats.reused_tokens >= again.stats.prompt_tokens - 1


def test_a_turn_more_reads_that_turn_alone(engine: Engine, files: PromptFiles) -> None:
    reopen(engine)
    first = say(engine)
    kept_file(engine)
    reopen(engine)
    messages = [
        Message("user", LONG), Message("assistant", first.text), Message("user", "and then?"),
    ]  # fmt: skip
    params = SamplingParams(temperature=0.0, max_tokens=8)
    warm = read(engine.inference.chat(messages, params, LLAMA, CHAT))
    assert warm.stats.reused_tokens >= first.stats.prompt_tokens + 7
    reopen(engine)
    assert read(engine.inference.chat(messages, params, LLAMA)).text == warm.text


def test_what_is_of_no_chat_or_too_short_never_reaches_the_disk(
    engine: Engine, files: PromptFiles
) -> None:
    reopen(engine)
    say(engine, chat_id="")
    say(engine, "short")
    say(engine, LONG + "!", chat_id=CHAT)  # written after those would have been
    kept_file(engine)


def test_another_chat_takes_nothing_from_this_one(engine: Engine, files: PromptFiles) -> None:
    reopen(engine)
    say(engine)
    kept_file(engine)
    reopen(engine)
    assert say(engine, chat_id="another").stats.reused_tokens == 0


def test_other_weights_take_nothing_from_the_old_ones(engine: Engine, files: PromptFiles) -> None:
    folder = write_model(engine.settings.models_dir / "tiny" / "changing", seed=7)
    say(engine, model="tiny/changing")
    kept_file(engine)
    engine.inference.unload("tiny/changing")
    write_model(folder, seed=8)
    assert say(engine, model="tiny/changing").stats.reused_tokens == 0
    engine.inference.unload("tiny/changing")


def test_a_file_with_one_bit_flipped_is_removed_and_the_prompt_read(
    engine: Engine, files: PromptFiles
) -> None:
    reopen(engine)
    first = say(engine)
    path = kept_file(engine)
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)
    reopen(engine)
    again = say(engine, chat_id=CHAT)
    assert again.text == first.text and again.stats.reused_tokens == 0
    wait_for(lambda: not path.exists())


def test_a_file_of_another_model_under_this_ones_name_is_removed(
    engine: Engine, files: PromptFiles
) -> None:
    reopen(engine)
    first = say(engine)
    path = kept_file(engine)
    key, chat, _ = path.stem.split("-")
    say(engine, model="tiny/other", chat_id="another")
    wait_for(lambda: len(list(path.parent.glob("*.safetensors"))) == 2)
    raw = next(one for one in path.parent.glob("*.safetensors") if one != path).read_bytes()
    files.clear().result(10)
    forged = path.with_name(f"{key}-{chat}-{hashlib.sha256(raw).hexdigest()}.safetensors")
    forged.write_bytes(raw)
    files.open()
    wait_for(lambda: not files.is_busy)
    reopen(engine)
    again = say(engine)
    assert again.text == first.text and again.stats.reused_tokens == 0
    wait_for(lambda: not forged.exists())


def test_a_deleted_chat_takes_its_file_along(engine: Engine, files: PromptFiles) -> None:
    reopen(engine)
    say(engine)
    path = kept_file(engine)
    assert files.size_bytes == path.stat().st_size
    files.forget("another")
    files.forget(CHAT)
    wait_for(lambda: not path.exists())
    assert files.size_bytes == 0


def test_a_chat_has_one_file_however_often_it_is_answered(
    engine: Engine, files: PromptFiles
) -> None:
    reopen(engine)
    for n in range(3):
        say(engine, f"{LONG}{n}")
        wait_for(lambda: engine.inference._thread.keeping.nap_s() is None)
        wait_for(lambda: not files.is_busy)
    kept_file(engine)


def write(files: PromptFiles, chat_id: str, size: int = 100, key: str = "a" * 32) -> None:
    files.keep(key, chat_id, [bytes(size)], size)
    wait_for(lambda: not files.is_busy)


def test_the_least_recently_used_go_when_there_are_too_many(tmp_path: Path) -> None:
    files = PromptFiles(tmp_path / "prompts", limit_bytes=450)
    for name in ("one", "two", "three", "four"):
        write(files, name)
    assert files.find("a" * 32, "one")
    write(files, "five")
    assert [files.has("a" * 32, name) for name in ("one", "two", "three")] == [True, False, True]
    assert files.size_bytes == 400 == sum(p.stat().st_size for p in tmp_path.glob("prompts/*"))
    write(files, "huge", size=200)
    assert not files.has("a" * 32, "huge")
    files.close(1)


def test_a_start_finds_its_files_and_removes_what_is_not_its_own(tmp_path: Path) -> None:
    folder = tmp_path / "prompts"
    files = PromptFiles(folder, limit_bytes=10_000)
    write(files, "mine")
    files.close(1)
    outside = tmp_path / "outside"
    outside.write_text("stays")
    (folder / "notes.txt").write_text("x")
    (folder / "short.safetensors").write_bytes(b"")
    (folder / "link.safetensors").symlink_to(outside)
    (folder / "young.part").write_bytes(b"")
    (folder / "old.part").write_bytes(b"")
    os.utime(folder / "old.part", (0, 0))
    again = PromptFiles(folder, limit_bytes=10_000)
    again.open()
    wait_for(lambda: not again.is_busy)
    assert again.has("a" * 32, "mine")
    left = {path.name for path in folder.iterdir()}
    assert len(left) == 2 and "young.part" in left
    assert outside.read_text() == "stays"
    assert oct(folder.stat().st_mode & 0o777) == "0o700"
    again.close(1)


def test_a_disk_that_refuses_costs_nothing_but_the_file(tmp_path: Path) -> None:
    (tmp_path / "prompts").write_text("a file where the folder should be")
    files = PromptFiles(tmp_path / "prompts", limit_bytes=10_000)
    files.open()
    write(files, "mine")
    assert files.size_bytes == 0 and files.find("a" * 32, "mine") is None
    files.close(1)
    files.forget("mine")
