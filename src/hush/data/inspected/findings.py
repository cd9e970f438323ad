"""What is told of data: facts, and what is wrong with them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

Severity = Literal["error", "warning", "note"]
SHOWN = 3  # names of a finding that are told


class Fact(NamedTuple):
    """One thing that the data are."""

    name: str
    says: str


class Finding(NamedTuple):
    """One thing to know: an error stops training, a warning makes the model worse, a note says how
    hush reads what it has found."""

    severity: Severity
    what: str
    where: tuple[str, ...]
    """Some of the places, by name; the first `SHOWN`."""
    do: str


@dataclass(frozen=True)
class Inspected:
    """What data were found to be."""

    name: str
    facts: tuple[Fact, ...]
    findings: tuple[Finding, ...]


def some(names: Sequence[str]) -> tuple[str, ...]:
    """The names that are told of a finding."""
    return tuple(names[:SHOWN])


def counted(number: int, one: str, many: str | None = None) -> str:
    """A number of things.

    >>> counted(1, "picture"), counted(1200, "class", "classes")
    ('1 picture', '1,200 classes')
    """
    return f"{number:,} {one if number == 1 else many or one + 's'}"
