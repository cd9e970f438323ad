"""What data decide of a system, and how a system has its data read."""

import inspect
from collections.abc import Mapping
from typing import Any

from hush.data import Source, Windows
from hush.errors import UserError
from hush.systems.index import TABLE, find

TOLD = ("covariates", "static", "calendar")  # what a network can be told beside a series


def decided(name: str, source: Source) -> dict[str, Any]:
    """The parameters of the system of that name that the data decide: the shape of an event, the
    classes; of pictures how many levels there are; of windows how many covariates there are, with
    the facts that never change, and how many stamps at the end are to be told.

    Raises `UserError` for a system of tokens and data that have no levels.
    """
    known = inspect.signature(find(name)).parameters
    found: dict[str, Any] = {"shape": tuple(source.shape), "classes": tuple(source.classes)}
    if isinstance(source, Windows):
        found["features"] = len(source.features) + source.table.static.shape[1]
        found["horizon"] = source.options.horizon or 0
    else:
        found["levels"] = source.levels
        if source.levels is None and "levels" in known and known["levels"].annotation is int:
            raise UserError(
                f"{name} needs data of evenly spaced levels, and {source.name} is continuous: save "
                "it with 8 bits a channel, or use a system of continuous values, such as ddpm."
            )
    return {key: value for key, value in found.items() if key in known}


def windowed(name: str, said: Mapping[str, Any]) -> dict[str, Any]:
    """How the system of that name has series read, the options `said`: what draws windows from
    nothing learns whole ones, and is told nothing beside them. Raises `UserError` where it is to be
    told something."""
    if TABLE[name].task != "generate":
        return dict(said)
    if told := [key for key in TOLD if key in said]:
        raise UserError(
            f"--{told[0]}: {name} draws windows from nothing and is told nothing beside them; "
            "leave that out, or train csdi, sssd, csde or timegrad."
        )
    return {**said, "whole": True}
