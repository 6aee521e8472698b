"""The exceptions are those that the docstring draws, and each of them speaks to a person."""

import inspect
import re

import engine
from engine import errors
from engine.errors import Cancelled, EngineError, InsufficientMemory


def _drawn() -> dict[str, str]:
    """Class name -> its base, as the tree in the docstring shows them."""
    bases = {}
    group = ""
    for line in (errors.__doc__ or "").splitlines():
        text = re.sub(r"\(.*?\)", "", line.split("control flow")[0])
        names = re.findall(r"\b[A-Z][A-Za-z]+\b", text)
        if line.startswith("    EngineError"):
            bases["EngineError"] = "Exception"
        elif re.match(r"    [├└] ", line):
            group = names.pop(0)
            bases[group] = "EngineError"
            bases |= dict.fromkeys(names, group)
        elif line.startswith("    │"):
            bases |= dict.fromkeys(names, group)
        elif line.startswith("    Cancelled"):
            bases["Cancelled"] = "Exception"
    return bases


def test_the_drawn_tree_is_the_real_tree() -> None:
    real = {
        name: thing.__bases__[0].__name__
        for name, thing in vars(errors).items()
        if inspect.isclass(thing) and thing.__module__ == errors.__name__
    }
    assert len(real) > 20
    assert _drawn() == real


def test_every_public_name_exists() -> None:
    assert [name for name in engine.__all__ if not hasattr(engine, name)] == []


def test_a_person_reads_the_sentence_and_the_hint() -> None:
    error = InsufficientMemory("It needs 9 GB.", "Choose a smaller one.", 9, 8)
    assert error.text == "It needs 9 GB. Choose a smaller one."
    assert (error.needed_bytes, error.budget_bytes) == (9, 8)
    assert EngineError("Alone.").text == "Alone."


def test_cancelled_is_never_shown_as_an_error() -> None:
    assert not issubclass(Cancelled, EngineError)
