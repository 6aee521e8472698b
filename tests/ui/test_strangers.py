"""Strangers on a shared app: what they see of each other, and what they cannot bring down."""

import asyncio
import json
import re
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError, AuthenticationError

from tests.app_process import RunningApp
from tests.ui.strangers import GUIDE, PASSWORD, Stranger, shared_app, stranger

HELLO = [{"role": "user", "content": "Hello"}]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("strangers")


@pytest.fixture(scope="module")
def app(folder: Path) -> Iterator[RunningApp]:
    with shared_app(folder) as app:
        client = Client(app.url, verbose=False)
        client.predict(HELLO, None, {}, api_name="/chat")  # the model is loaded
        client.close()
        yield app


def owner(app: RunningApp) -> Client:
    return Client(app.url, auth=("owner", PASSWORD), verbose=False)


def test_two_visitors_never_see_a_word_of_each_others(app: RunningApp) -> None:
    async def talk() -> None:
        async with stranger(app.url) as ann, stranger(app.url) as bob:
            heard_by_ann, heard_by_bob = await asyncio.gather(
                ann.ask("My word is pangolin"), bob.ask("My word is axolotl")
            )
            assert "pangolin" in heard_by_ann and "axolotl" not in heard_by_ann
            assert "axolotl" in heard_by_bob and "pangolin" not in heard_by_bob
            for path in ("/", "/config", "/gradio_api/info"):
                assert "pangolin" not in (await bob.client.get(path)).text
            await take_over(bob, ann)

    async def take_over(thief: Stranger, victim: Stranger) -> None:
        thief.session = victim.session
        assert (await thief.join("ask", "And mine?", None, GUIDE)).status_code == 403
        for path in (f"queue/data?session_hash={victim.session}", f"heartbeat/{victim.session}"):
            assert (await thief.client.get(f"/gradio_api/{path}")).status_code == 403
        cancel = {"session_hash": victim.session, "fn_index": 1, "event_id": "x"}
        assert (await thief.client.post("/gradio_api/cancel", json=cancel)).status_code == 403

    asyncio.run(talk())


def test_a_guests_words_are_neither_on_the_disk_nor_in_the_owners_list(
    app: RunningApp, folder: Path
) -> None:
    async def talk() -> str:
        async with stranger(app.url) as ann:
            return await ann.ask("My word is quokka")

    assert "quokka" in asyncio.run(talk())
    for path in folder.rglob("*"):
        assert not path.is_file() or b"quokka" not in path.read_bytes(), path


def test_a_guest_without_a_cookie_has_no_chat_but_programs_may_ask(app: RunningApp) -> None:
    async def talk() -> str:
        async with stranger(app.url) as ann:
            ann.client.cookies.clear()
            return await ann.ask("Hello")

    assert "lost its cookie" in asyncio.run(talk())
    client = Client(app.url, verbose=False)
    assert client.predict(HELLO, None, {}, api_name="/chat")["text"]
    with pytest.raises(AppError, match="Guests have no model"):
        client.predict(HELLO, "tiny/llama", {}, api_name="/chat")
    client.close()


def test_five_hundred_joins_at_once_are_answered_or_told_that_it_is_busy(app: RunningApp) -> None:
    async def storm() -> list[httpx.Response]:
        async with AsyncExitStack() as stack:
            crowd = [await stack.enter_async_context(stranger(app.url)) for _ in range(5)]
            return await asyncio.gather(
                *(crowd[n % 5].join("ask", "Hello", None, GUIDE) for n in range(500))
            )

    answers = asyncio.run(storm())
    assert {answer.status_code for answer in answers} == {200, 503}
    assert all("busy" in answer.json()["detail"] for answer in answers if answer.is_server_error)
    client = owner(app)
    assert client.predict(HELLO, None, {}, api_name="/chat")["text"]
    client.close()


def test_a_guest_who_asks_too_often_is_told_when_to_come_back(app: RunningApp) -> None:
    async def talk() -> str:
        async with stranger(app.url) as ann:
            heard = [await ann.ask("Hello") for _ in range(13)]
            return heard[-1]

    heard = asyncio.run(talk())
    assert re.search(r"(used up|busy).*Try again in", heard)


def test_what_is_too_large_is_refused_unread(app: RunningApp) -> None:
    async def talk() -> None:
        async with stranger(app.url) as ann:
            assert (await ann.join("ask", "x" * 300_000, None, GUIDE)).status_code == 413
            assert "4,000 are the most" in await ann.ask("x" * 5_000)
            files = {"files": ("a.txt", b"x")}
            upload = await ann.client.post("/gradio_api/upload", files=files)
            assert upload.status_code == 403

    asyncio.run(talk())


def test_wrong_passwords_are_answered_late_and_the_right_one_does_not_wait_for_them(
    app: RunningApp,
) -> None:
    async def guess() -> None:
        async with httpx.AsyncClient(base_url=app.url, timeout=60) as client:
            guesses = [
                asyncio.create_task(client.post("/login", data={"password": f"wrong {n}"}))
                for n in range(40)
            ]
            await asyncio.wait(guesses, return_when=asyncio.FIRST_COMPLETED)
            right = await client.post("/login", data={"password": PASSWORD})
            assert right.status_code == 200
            assert not all(one.done() for one in guesses)
            assert {(await one).status_code for one in guesses} == {401}

    asyncio.run(guess())
    with pytest.raises(AuthenticationError):
        Client(app.url, auth=("owner", "wrong"), verbose=False)


def test_too_many_guesses_at_once_are_turned_away(app: RunningApp) -> None:
    async def guess() -> set[int]:
        async with httpx.AsyncClient(
            base_url=app.url, timeout=60, limits=httpx.Limits(max_connections=200)
        ) as client:
            wrong = [client.post("/login", data={"password": "wrong"}) for _ in range(120)]
            return {answer.status_code for answer in await asyncio.gather(*wrong)}

    assert asyncio.run(guess()) == {401, 429}


def test_no_page_and_no_log_holds_a_password_a_key_or_a_home_path(
    app: RunningApp, folder: Path
) -> None:
    client = owner(app)
    texts = [json.dumps(client.config), json.dumps(client.view_api(return_format="dict"))]
    with httpx.Client(base_url=app.url, timeout=30) as web:
        texts += [web.get(path).text for path in ("/", "/config", "/gradio_api/info", "/login")]
        web.post("/login", data={"password": PASSWORD})
        texts += [web.get(path).text for path in ("/", "/config", "/gradio_api/info")]
    client.close()
    texts += [path.read_text() for path in (folder / "data" / "logs").iterdir()]
    texts.append((folder / "stderr.txt").read_text())
    for text in texts:
        assert PASSWORD not in text and str(folder / "home") not in text
        assert "hf_" not in text and "sk-" not in text
