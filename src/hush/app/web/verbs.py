"""What a run can be asked: found by asking it, of the options that each command has."""

from collections.abc import Iterator
from dataclasses import fields
from typing import Any, NamedTuple

import torch

from hush.app import detecting, generating, purifying, restoring, sampling, stretches, telling
from hush.app.cli import COMMANDS
from hush.errors import UserError
from hush.system import System
from hush.tasks.fit import must_tell, must_tell_gaps
from hush.tasks.restore import question

SETTINGS = (
    *("count", "steps", "sampler", "classes", "guidance", "factor", "exact", "horizon"),
    *("top", "right", "bottom", "left", "depth", "repeats", "by", "samples"),
)


class Verb(NamedTuple):
    """A command that a run answers: the options it takes, whether it is given `"picture"` or
    `"series"`, and whether it is walked here, to be watched step by step."""

    name: str
    options: type
    takes: str
    walked: bool = False

    @property
    def says(self) -> str:
        """What it does, in the words of `hush --help`."""
        return COMMANDS[self.name].says

    def settings(self) -> tuple[str, ...]:
        """The fields of its options that the page offers."""
        own = {field.name for field in fields(self.options)}
        return tuple(name for name in SETTINGS if name in own)


def verbs(system: System) -> tuple[Verb, ...]:
    """All that a run answers about something that it is given."""
    return tuple(_of_series(system) if of_series(system) else _of_pictures(system))


def of_series(system: System) -> bool:
    """Whether it has learnt series."""
    return len(system.task.shape) == 2


def draws(system: System) -> type | None:
    """The options of the command that draws from it out of nothing; None where it wants something
    given first."""
    if system.task.asks or not (of_series(system) or len(system.task.shape) == 3):
        return None
    return generating.Options if of_series(system) else sampling.Options


def _of_series(system: System) -> Iterator[Verb]:
    if _agrees(must_tell, system, "a file"):
        if _agrees(must_tell_gaps, system):
            yield Verb("impute", telling.Impute, "series")
        yield Verb("forecast", telling.Forecast, "series")
        yield Verb("detect", stretches.Detect, "series")


def _of_pictures(system: System) -> Iterator[Verb]:
    """A question about a grey picture is enough to learn whether it would be answered."""
    grey = torch.full((1, *system.task.shape), 0.5)
    hole = torch.ones_like(grey[:, :1], dtype=torch.bool)
    for name, options in restoring.ASKED.items():
        mask = hole if name in ("inpaint", "uncrop") else None
        if _agrees(question, system, name, grey, mask):
            yield Verb(name, options, "picture", walked=True)
    if not system.task.asks:
        yield Verb("detect", detecting.Options, "picture")
        yield Verb("purify", purifying.Options, "picture")


def _agrees(asked: Any, *arguments: Any) -> bool:
    try:
        asked(*arguments)
    except UserError:
        return False
    return True
