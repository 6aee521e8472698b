"""Other servers that speak OpenAI's API, as the rest of the app knows them."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class RemoteSource:
    """A server that was added. ``url`` is the base, such as ``http://host:8080/v1``.

    ``models`` are the names that it listed when it was last asked, ``named`` those that the owner
    gave; ``problem`` says in a sentence why it could not be asked, "" when it could.
    """

    name: str
    url: str
    key: str = field(default="", repr=False)
    named: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    problem: str = ""

    def offered(self) -> tuple[str, ...]:
        """Names of all its models, those that the owner gave first."""
        return tuple(dict.fromkeys((*self.named, *self.models)))


@dataclass(frozen=True)
class RemoteModel:
    """One model of a source. ``model_id`` is what the picker and /v1 call it."""

    source: str
    name: str

    @property
    def model_id(self) -> str:
        """``source:name``; no local model's name has a colon."""
        return f"{self.source}:{self.name}"
