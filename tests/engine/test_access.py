"""Who is the owner, for how long, and who is which guest."""

import re

import pytest

from engine.access import GUEST_COOKIE, MOST_OWNER_SESSIONS, OWNER_COOKIE, Access, Visitor
from engine.errors import LinkEnded, NotOwner
from engine.passwords import make_password, read_password

PASSWORD = "correct horse battery"
GUEST = Visitor("guest", "somebody")


class Clock:
    def __init__(self) -> None:
        self.at = 1_000_000.0

    def __call__(self) -> float:
        return self.at


def signed_in(access: Access) -> Visitor:
    token = access.sign_in(PASSWORD)
    assert token is not None
    return access.visitor_of({OWNER_COOKIE: token})


def test_on_a_computer_alone_everybody_is_the_owner() -> None:
    access = Access()
    access.check_owner(access.visitor_of({}))
    assert not access.is_open and access.sign_in("") is None


def test_nobody_in_particular_is_never_the_owner() -> None:
    for access in (Access(), Access(PASSWORD)):
        with pytest.raises(NotOwner):
            access.check_owner(None)


def test_the_password_makes_an_owner_and_nothing_else_does() -> None:
    access = Access(PASSWORD)
    for wrong in ("", PASSWORD + " ", PASSWORD[:-1], PASSWORD.upper(), "\0", "\ud800", "x" * 9999):
        assert access.sign_in(wrong) is None
    owner = signed_in(access)
    access.check_owner(owner)
    for cookie in ("", "1", PASSWORD, owner.visitor_id):  # what is kept of a session opens nothing
        assert not access.visitor_of({OWNER_COOKIE: cookie}).is_owner


def test_an_owner_who_signed_out_is_a_guest_at_once() -> None:
    access = Access(PASSWORD)
    owner = signed_in(access)
    access.sign_out(owner)
    with pytest.raises(NotOwner):
        access.check_owner(owner)


def test_a_session_ends_by_itself() -> None:
    clock = Clock()
    access = Access(PASSWORD, now_at=clock)
    owner = signed_in(access)
    clock.at += 15 * 86_400
    with pytest.raises(NotOwner):
        access.check_owner(owner)


def test_sessions_are_bounded_and_the_oldest_makes_room() -> None:
    access = Access(PASSWORD)
    first = signed_in(access)
    last = [signed_in(access) for _ in range(MOST_OWNER_SESSIONS)][-1]
    access.check_owner(last)
    with pytest.raises(NotOwner):
        access.check_owner(first)


def test_a_guests_cookie_is_known_again_and_cannot_be_made_up() -> None:
    access = Access(PASSWORD)
    cookie = access.new_guest_cookie()
    visitor = access.visitor_of({GUEST_COOKIE: cookie})
    assert visitor.visitor_id and access.visitor_of({GUEST_COOKIE: cookie}) == visitor
    name, _, signature = cookie.partition(".")
    for forged in (name, f"{name}.", f"x{name}.{signature}", f"{name}.{signature[:-1]}0x", "é.é"):
        assert access.visitor_of({GUEST_COOKIE: forged}).visitor_id == ""
    assert Access(PASSWORD).visitor_of({GUEST_COOKIE: cookie}).visitor_id == ""


def test_guests_are_let_in_until_the_link_ends_by_the_clock() -> None:
    clock = Clock()
    access = Access(PASSWORD, clock.at + 10, clock)
    access.check_guest(GUEST)
    clock.at += 10
    with pytest.raises(LinkEnded):
        access.check_guest(GUEST)
    access.check_guest(signed_in(access))  # the owner may do what guests may, at any time


def test_ending_the_link_ends_every_session_but_that_of_whoever_does_it() -> None:
    access = Access(PASSWORD)
    mine, other = signed_in(access), signed_in(access)
    with pytest.raises(NotOwner):
        access.end_link(GUEST)
    access.end_link(mine)
    access.check_owner(mine)
    for visitor, error in ((other, NotOwner), (GUEST, LinkEnded)):
        with pytest.raises(error):
            access.check_guest(visitor)


def test_a_password_is_the_first_line_of_its_file(tmp_path) -> None:  # type: ignore[no-untyped-def]
    file = tmp_path / "password"
    file.write_text(f" {PASSWORD} \nnot this\n")
    assert read_password(file) == PASSWORD
    for bad in (b"", b"\n" + PASSWORD.encode(), b"short", b"\xff\xfe" * 9, b"x" * 2000):
        file.write_bytes(bad)
        with pytest.raises(ValueError, match="text|characters"):
            read_password(file)


def test_a_made_password_is_long_and_never_the_same() -> None:
    made = {make_password() for _ in range(50)}
    assert len(made) == 50
    assert all(re.fullmatch(r"([a-z2-9]{4}-){3}[a-z2-9]{4}", one) for one in made)
