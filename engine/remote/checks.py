"""What the owner types about another server: a name, an address, a key, names of models. Pure."""

import re
from urllib.parse import urlsplit

from engine.errors import InvalidSource

MAX_NAME_CHARS = 40
MAX_URL_CHARS = 500
MAX_KEY_CHARS = 500
MAX_MODEL_CHARS = 300
MAX_NAMED_MODELS = 20
_NAME = re.compile(rf"[A-Za-z0-9][\w .-]{{0,{MAX_NAME_CHARS - 1}}}", re.ASCII)
_KEY = re.compile(r"[\x21-\x7e]+")


def check_name(text: str) -> str:
    """A source's name. Raises InvalidSource."""
    name = text.strip()
    if not _NAME.fullmatch(name):
        raise InvalidSource(
            f"A name has 1 to {MAX_NAME_CHARS} letters, digits, spaces, dots or dashes.",
            "Such as: lab.",
        )
    return name


def check_url(text: str) -> str:
    """An address without a slash at its end; ``/v1`` is added where there is no path.

    Raises InvalidSource for anything but a plain http or https address of a host.
    """
    url = text.strip().rstrip("/")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
        parts = urlsplit("")
    is_plain = not (parts.username or parts.password or parts.query or parts.fragment)
    is_text = url.isprintable() and url.isascii() and not set(url) & set(" \\\"'<>`{}|^")
    if parts.scheme not in ("http", "https") or not host or port == 0 or not is_plain:
        raise _no_address()
    if not is_text or len(url) > MAX_URL_CHARS:
        raise _no_address()
    return url if parts.path else f"{url}/v1"


def _no_address() -> InvalidSource:
    return InvalidSource(
        "This is not the address of a server.",
        "It begins with http:// or https:// and holds no password, such as http://192.168.1.5:8080/v1.",
    )


def check_key(text: str) -> str:
    """A key, "" for none. Raises InvalidSource for what no header can carry."""
    key = text.strip()
    if key and (len(key) > MAX_KEY_CHARS or not _KEY.fullmatch(key)):
        raise InvalidSource("A key has no spaces and only plain characters.", "Copy it again.")
    return key


def check_models(text: str) -> tuple[str, ...]:
    """Names of models, from a text with commas or lines between them. Raises InvalidSource."""
    names = tuple(filter(None, (one.strip() for one in re.split(r"[,\n]", text))))
    if len(names) > MAX_NAMED_MODELS or not all(map(is_model_name, names)):
        raise InvalidSource(
            f"At most {MAX_NAMED_MODELS} names of models, with commas between them.",
            "Leave it empty where the server lists its models itself.",
        )
    return names


def is_model_name(value: object) -> bool:
    """Whether a server may call a model so."""
    return isinstance(value, str) and 0 < len(value) <= MAX_MODEL_CHARS and value.isprintable()
