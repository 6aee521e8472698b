"""Other servers answer like models here; what they do badly is told in a sentence."""

import contextlib
import gc
import json
import socket
import stat
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine import ChatTicket, Engine
from engine.errors import (
    EngineError,
    InUse,
    InvalidRequest,
    InvalidSource,
    NotInstalled,
    RemoteBroken,
    RemoteRefused,
    RemoteUnreachable,
)
from engine.patience import Patience
from engine.records import Finished, Message, SamplingParams, TextDelta
from engine.remote import RemotePatience, RemoteService
from engine.remote.checks import check_url
from engine.remote.think_marks import ThinkMarks
from tests.engine.answers import DEADLINE_S, read
from tests.scripted_server import KEY, SCRIPTS, Scripted, scripted_server

SOON = RemotePatience(
    tries=2, connect_s=2.0, list_s=3.0, first_s=20.0, silence_s=1.5, pauses=Patience(base_s=0.01)
)
HELLO = [Message("user", "hello")]


@pytest.fixture(scope="module")
def server() -> Iterator[Scripted]:
    with scripted_server() as server:
        yield server


@pytest.fixture
def remote(tmp_path: Path, server: Scripted) -> Iterator[RemoteService]:
    """A service that knows the server as “lab”."""
    service = RemoteService(tmp_path / "sources.json", SOON)
    service.add("lab", server.url, KEY)
    yield service
    service.close()


def ask(remote: RemoteService, model: str, **params: object) -> ChatTicket:
    return remote.chat(HELLO, SamplingParams(**params), f"lab:{model}")  # type: ignore[arg-type]


def failed(ticket: ChatTicket) -> tuple[str, EngineError]:
    """The text that came before the error, and the error."""
    text = ""
    with pytest.raises(EngineError) as caught:
        for event in ticket.events():
            text += event.text if isinstance(event, TextDelta) else ""
    return text, caught.value


def test_models_are_listed_without_names_that_are_none(remote: RemoteService) -> None:
    (source,) = remote.list()
    assert source.models == tuple(SCRIPTS) and source.problem == ""
    assert {model.model_id for model in remote.models()} == {f"lab:{name}" for name in SCRIPTS}
    assert remote.knows("lab:well") and not remote.knows("lab") and not remote.knows("tiny/llama")


@pytest.mark.parametrize("model", ["well", "in-pieces", "garbage", "busy"])
def test_an_answer_comes_with_reasoning_and_figures(
    remote: RemoteService, server: Scripted, model: str
) -> None:
    server.busy_times = 1
    answer = read(ask(remote, model))
    assert (answer.text, answer.reasoning, answer.reason) == ("Hello wörld", "hm hm", "stop")
    stats = answer.stats
    assert (stats.prompt_tokens, stats.reused_tokens, stats.output_tokens) == (12, 5, 7)
    assert stats.time_to_first_token_s > 0


def test_pieces_are_counted_where_the_server_counts_nothing(remote: RemoteService) -> None:
    answer = read(ask(remote, "no-end"))
    assert (answer.text, answer.reason, answer.stats.output_tokens) == ("Hello wörld", "stop", 4)


def test_an_answer_that_comes_whole_is_taken(remote: RemoteService) -> None:
    answer = read(ask(remote, "whole"))
    assert (answer.text, answer.reason, answer.stats.output_tokens) == ("at once", "length", 7)


def test_reasoning_left_in_the_text_is_split_off(remote: RemoteService) -> None:
    answer = read(ask(remote, "thinks"))
    assert (answer.reasoning, answer.text) == ("hm </i> hm", "\nso <think>")


@pytest.mark.parametrize(
    ("pieces", "reasoning", "text"),
    [
        (["plain"], "", "plain"),
        (["<", "b>"], "", "<b>"),
        ([" ", "<thin", "g>"], "", " <thing>"),
        (["\n<think>", "a", "</think>", "b"], "a", "b"),
        (["<think></think>b"], "", "b"),
        (["<think>a</thi"], "a</thi", ""),
        (["<thi"], "", "<thi"),
        (["a", "<think>b</think>"], "", "a<think>b</think>"),
    ],
)
def test_marks_count_at_the_beginning_alone(pieces: list[str], reasoning: str, text: str) -> None:
    marks = ThinkMarks()
    split = [*map(marks.split, pieces), marks.rest()]
    assert "".join(one for one, _ in split) == reasoning
    assert "".join(one for _, one in split) == text


def test_what_servers_do_in_too_many_ways_is_refused(remote: RemoteService) -> None:
    with pytest.raises(InvalidRequest, match="log-probabilities"):
        ask(remote, "well", logprobs=1)
    with pytest.raises(InvalidRequest, match="write on"):
        remote.chat([*HELLO, Message("assistant", "so")], SamplingParams(), "lab:well")


def test_the_question_is_as_openai_has_it(remote: RemoteService, server: Scripted) -> None:
    read(ask(remote, "well", stop=("\n",), seed=3, temperature=0.5, max_tokens=9, top_k=4))
    assert server.keys[-1] == f"Bearer {KEY}"
    assert server.bodies[-1] == {
        "model": "well", "messages": [{"role": "user", "content": "hello"}], "stream": True,
        "stream_options": {"include_usage": True}, "temperature": 0.5, "top_p": 1.0,
        "max_tokens": 9, "stop": ["\n"], "seed": 3, "top_k": 4,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("model", "kind", "words", "kept"),
    [
        ("dies", RemoteBroken, "connection to “lab” broke", "what arrived "),
        ("breaks-off", RemoteBroken, "broke off in the middle", "what arrived "),
        ("error-within", RemoteRefused, "says: out of memory", "what "),
        ("slow", RemoteUnreachable, "did not answer in time", "first "),
        ("page", RemoteBroken, "no answer", ""),
        ("page-as-json", RemoteBroken, "web page", ""),
        ("refuses", RemoteRefused, "status 400: not with [hidden]", ""),
        ("wants-key", RemoteRefused, "another key", ""),
        ("moves", RemoteRefused, "not followed", ""),
        ("broken", RemoteRefused, "status 500", ""),
        ("endless", RemoteBroken, "no stream of events", ""),
    ],
)
def test_what_a_server_does_badly_is_told_and_what_came_is_kept(
    remote: RemoteService, model: str, kind: type[EngineError], words: str, kept: str
) -> None:
    text, error = failed(ask(remote, model))
    assert type(error) is kind and words in error.text and text == kept
    assert error.hint and KEY not in error.text


def test_a_server_that_is_down_is_kept_with_its_problem(tmp_path: Path) -> None:
    with contextlib.closing(socket.socket()) as line:
        line.bind(("127.0.0.1", 0))
        port = line.getsockname()[1]
        remote = RemoteService(tmp_path / "sources.json", SOON)
        source = remote.add("lab", f"http://127.0.0.1:{port}", models="one, two")
        assert "cannot be reached" in source.problem
        assert [model.model_id for model in remote.models()] == ["lab:one", "lab:two"]
        _, error = failed(ask(remote, "one"))
        assert type(error) is RemoteUnreachable
        remote.close()


def test_a_server_that_never_answers_is_given_up(tmp_path: Path) -> None:
    with contextlib.closing(socket.socket()) as line:
        line.bind(("127.0.0.1", 0))
        line.listen()
        remote = RemoteService(tmp_path / "sources.json", SOON)
        source = remote.add("lab", f"http://127.0.0.1:{line.getsockname()[1]}")
        assert "did not answer in time" in source.problem
        remote.close()


def test_a_wrong_key_is_a_problem_of_the_source(tmp_path: Path, server: Scripted) -> None:
    remote = RemoteService(tmp_path / "sources.json", SOON)
    assert "wants another key" in remote.add("lab", server.url, "wrong").problem
    assert remote.add("lab", server.url, KEY).problem == ""
    remote.close()


def test_stopping_keeps_the_text_and_hangs_up(tmp_path: Path, server: Scripted) -> None:
    remote = RemoteService(tmp_path / "sources.json")
    remote.add("lab", server.url, KEY)
    left = server.left
    ticket = ask(remote, "slow")
    deadline = time.monotonic() + DEADLINE_S
    while not any(isinstance(event, TextDelta) for event in ticket.drain(0.5)):
        assert time.monotonic() < deadline
    ticket.cancel()
    (finished,) = ticket.drain(DEADLINE_S)
    assert isinstance(finished, Finished) and finished.reason == "cancelled"
    assert finished.stats.output_tokens == 1
    while server.left == left:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    ticket.cancel()
    remote.close()


def test_an_answer_stopped_before_it_began_ends(remote: RemoteService) -> None:
    ticket = ask(remote, "slow")
    ticket.cancel()
    assert read(ticket).reason == "cancelled"


def test_closing_ends_every_answer_and_the_thread(tmp_path: Path, server: Scripted) -> None:
    remote = RemoteService(tmp_path / "sources.json")
    remote.add("lab", server.url, KEY)
    tickets = [ask(remote, "slow") for _ in range(3)]
    remote.close()
    assert [read(ticket).reason for ticket in tickets] == ["cancelled"] * 3
    assert remote._thread is not None and not remote._thread.is_alive()
    with pytest.raises(InUse, match="closing"):
        ask(remote, "well")
    tickets[0].cancel()


def test_closing_leaves_nothing_of_a_connection_that_was_being_made(
    tmp_path: Path, server: Scripted
) -> None:
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        for n in range(30):  # closing meets another moment of connecting each time
            remote = RemoteService(tmp_path / f"{n}.json")
            remote.add("lab", server.url, KEY)
            tickets = [ask(remote, "slow") for _ in range(8)]
            remote.close()
            assert [read(ticket).reason for ticket in tickets] == ["cancelled"] * 8
        gc.collect()
    assert [str(warning.message) for warning in heard] == []


def test_sources_are_kept_for_their_owner_alone(tmp_path: Path, server: Scripted) -> None:
    path = tmp_path / "sources.json"
    first = RemoteService(path, SOON)
    first.add("lab", server.url, KEY)
    first.close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    again = RemoteService(path, SOON)
    assert read(ask(again, "well")).text == "Hello wörld"
    assert KEY not in repr(again.list())
    again.remove("lab")
    assert again.list() == () and KEY not in path.read_text()
    with pytest.raises(NotInstalled):
        ask(again, "well")
    again.close()


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"a": 1}', '[7, {"name": "x"}, {"name": "../x", "url": 3}]', "\0"]
)
def test_a_spoiled_file_of_sources_is_an_empty_list(tmp_path: Path, content: str) -> None:
    path = tmp_path / "sources.json"
    path.write_text(content)
    assert RemoteService(path).list() == ()


def test_of_a_spoiled_file_what_makes_sense_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "sources.json"
    good = {"name": "lab", "url": "http://x/v1", "key": "", "models": ["m", 7, ""]}
    path.write_text(json.dumps([good, {**good, "name": ""}, {**good, "url": "ftp://x"}]))
    (source,) = RemoteService(path).list()
    assert (source.name, source.offered()) == ("lab", ("m",))


@pytest.mark.parametrize(
    "url",
    ["", "x", "ftp://host/v1", "file:///etc/passwd", "http://", "http:///v1", "//host/v1",
     "http://me:secret@host/v1", "http://host/v1?key=1", "http://host/#x", "http://ho st/v1",
     "http://host:99999/v1", "http://host:0/v1", "http://[::1", "javascript:alert(1)",
     "http://host/<script>", "http://hóst/v1", "http://host/" + "x" * 600, "http://host\n/v1"],
)  # fmt: skip
def test_an_address_that_is_none_is_refused(remote: RemoteService, url: str) -> None:
    with pytest.raises(InvalidSource, match="address"):
        remote.add("other", url)
    assert len(remote.list()) == 1


def test_an_address_without_a_path_gets_the_usual_one() -> None:
    assert check_url(" http://host:8080/ ") == "http://host:8080/v1"
    assert check_url("https://host/api/v2") == "https://host/api/v2"
    assert check_url("http://[::1]:80") == "http://[::1]:80/v1"


@pytest.mark.parametrize("name", ["", " ", "a:b", "../x", "-x", "x" * 41, "a\nb", "ä", "<b>"])
def test_a_name_that_is_none_is_refused(remote: RemoteService, name: str) -> None:
    with pytest.raises(InvalidSource, match="name"):
        remote.add(name, "http://host")


def test_keys_and_names_of_models_are_checked_too(remote: RemoteService) -> None:
    for key in ("a b", "é", "x" * 501, "a\r\nHost: evil"):
        with pytest.raises(InvalidSource, match="key"):
            remote.add("other", "http://host", key)
    with pytest.raises(InvalidSource, match="names of models"):
        remote.add("other", "http://host", models="a," * 21 + "b" * 301)


def test_the_engine_picks_by_the_models_name(engine: Engine, server: Scripted) -> None:
    engine.remote.add("lab", server.url, KEY)
    try:
        params = SamplingParams(system_prompt="be kind")
        answer = read(engine.chat(HELLO, params, "lab:well"))
        assert answer.text == "Hello wörld"
        assert server.bodies[-1]["messages"][0] == {"role": "system", "content": "be kind"}
        assert read(engine.chat(HELLO, SamplingParams(max_tokens=2), "tiny/llama")).text
        assert engine.suggested("lab:well") == (SamplingParams(), False)
        with pytest.raises(InvalidRequest):
            engine.chat([], params, "lab:well")
        with pytest.raises(InvalidRequest):
            engine.chat(HELLO, SamplingParams(temperature=9), "lab:well")
    finally:
        engine.remote.remove("lab")
