"""What a person reads when the Hub fails: a sentence and what to do next. Pure.

No sentence has a token, a URL with a login in it, or the Hub's own words in it.
"""

from dataclasses import dataclass

from engine.errors import Gated, HubBroken, HubError, Offline, RateLimited, RepoNotFound
from engine.patience import format_wait

DEFAULT_ENDPOINT = "https://huggingface.co"
_LOG_IN = "log in with `hf auth login`, or start Pomona with HF_TOKEN set"


@dataclass(frozen=True)
class Subject:
    """What a request is about. ``page`` is the repo's web page, empty for a listing."""

    repo_id: str = ""
    page: str = ""
    file: str = ""


def shown(text: object) -> str:
    """A stranger's text for a sentence: printable, on one line, at most 60 characters."""
    cleaned = "".join(char for char in str(text)[:200] if char.isprintable())
    return cleaned if len(cleaned) <= 60 else cleaned[:59] + "…"


def broken(what: str) -> HubBroken:
    """An answer that is none; ``what`` goes on after "The Hub"."""
    return HubBroken(
        f"The Hub {what}.", "Try again later; if it stays so, check the network and HF_ENDPOINT."
    )


def web_page_instead() -> HubBroken:
    """A web page where facts or a file should be."""
    return HubBroken(
        "A web page came back instead of the Hub's answer.",
        "Open any site in the browser: the network may want a login first. "
        "If HF_ENDPOINT is set, check that it names a Hub.",
    )


def not_a_name(name: object) -> RepoNotFound:
    """Text that cannot be a repo's name; it was not sent anywhere."""
    return RepoNotFound(
        f"“{shown(name)}” is not a model name.",
        "Names look like owner/name: the last two parts of the model's page address.",
    )


def not_found(about: Subject, has_token: bool) -> RepoNotFound:
    """The Hub says the same of what does not exist and of what is private."""
    hint = "Check the spelling. If it is private, " + (
        "your login must be allowed to read it, and still be valid: `hf auth login` renews it."
        if has_token
        else f"{_LOG_IN}."
    )
    return RepoNotFound(f"The Hub has no model {about.repo_id}, or it is private.", hint)


def disabled(about: Subject) -> RepoNotFound:
    """A repo that can be seen but not read any more."""
    return RepoNotFound(f"{about.repo_id} was disabled on the Hub.", "Choose another model.")


def no_version(about: Subject) -> RepoNotFound:
    """The repo is there, the revision is not."""
    return RepoNotFound(
        f"{about.repo_id} has no such version.", "Leave the version out to get the newest."
    )


def no_file(about: Subject) -> RepoNotFound:
    """The repo is there, the file is not."""
    return RepoNotFound(
        f"{about.repo_id} has no file “{shown(about.file)}”.", "Its authors may have moved it."
    )


def gated(about: Subject, has_token: bool) -> Gated:
    """The repo's authors want to be asked first."""
    if has_token:
        return Gated(
            f"{about.repo_id} is open only to those its authors let in, and your login is not.",
            f"Ask for access on {about.page} and try again; if you have it, `hf auth login` anew.",
        )
    return Gated(
        f"{about.repo_id} asks for permission first.",
        f"Open {about.page}, agree to its terms, then {_LOG_IN}.",
    )


def token_refused() -> HubError:
    """Even public things are refused to a wrong token."""
    return HubError(
        "The Hub refused your access token: it is wrong or has expired.",
        "Log in again with `hf auth login`, or correct HF_TOKEN, or remove it.",
    )


def login_unreadable() -> HubError:
    """The token file cannot be read, or holds something that no header can carry."""
    return HubError(
        "The stored Hugging Face login could not be read.",
        "Log in again with `hf auth login`, or correct HF_TOKEN.",
    )


def rate_limited(wait_s: float) -> RateLimited:
    """The Hub wants a pause that is longer than we keep by ourselves."""
    return RateLimited(
        f"The Hub asked us to wait {format_wait(wait_s)} before the next request.",
        "Try again then. It allows more requests to those who log in: `hf auth login`.",
        wait_s,
    )


def refused(status: int) -> HubError:
    """Any other answer with an error status."""
    if status in (401, 403):
        return HubError("The Hub refused this request.", f"It may want a login: {_LOG_IN}.")
    if status == 404:
        return broken("was not found: something else answered in its place")
    if status >= 500:
        return HubBroken(f"The Hub has trouble (error {status}).", "Try again in a few minutes.")
    return broken(f"did not accept the request (error {status})")


def offline_mode() -> Offline:
    """Somebody switched the Hub off."""
    return Offline("Pomona is in offline mode.", "Start it without HF_HUB_OFFLINE to use the Hub.")


def unreachable() -> Offline:
    """No connection, or one that broke off."""
    return Offline(
        "The Hub cannot be reached.",
        "Check the network, and any proxy; models on this computer work without it.",
    )


def too_slow() -> Offline:
    """No whole answer in time."""
    return Offline("The Hub did not answer in time.", "Check the network, or try again later.")


def bad_endpoint() -> HubBroken:
    """HF_ENDPOINT is not the address of a web server."""
    return HubBroken(
        "The Hub's address is not one.", f"Set HF_ENDPOINT to {DEFAULT_ENDPOINT}, or remove it."
    )


def closed() -> HubError:
    """The program ends, and a request came late."""
    return HubError("The connection to the Hub is closed.", "Start Pomona again.")
