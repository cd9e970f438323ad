"""Finding every class of an interface, so that none is left out of its suite."""

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from typing import TypeVar

Base = TypeVar("Base")


def every(base: type[Base], module_prefix: str | tuple[str, ...] = "hush.") -> list[Base]:
    """One instance, made without arguments, of each concrete subclass of `base`, however deep.

    All modules of the room that `base` lives in are imported first, so that a file nobody imports
    yet is found too. Only classes whose module begins with `module_prefix` count: give your own
    package, a tuple of several, or "" for all, also those defined inside tests.

    Raises:
        TypeError: for a class that cannot be made without arguments.

    >>> from hush.schedules import Schedule
    >>> {"Cosine", "Rectified", "Tabulated"} < {type(one).__name__ for one in every(Schedule)}
    True
    """
    _import_room(base)
    found = {cls for cls in _descendants(base) if cls.__module__.startswith(module_prefix)}
    concrete = [cls for cls in found if not inspect.isabstract(cls)]
    return [_made(cls, base) for cls in sorted(concrete, key=_full_name)]


def _full_name(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def _descendants(base: type) -> Iterator[type]:
    for cls in base.__subclasses__():
        yield cls
        yield from _descendants(cls)


def _import_room(base: type) -> None:
    room = importlib.import_module(".".join(base.__module__.split(".")[:2]))
    if hasattr(room, "__path__"):
        for module in pkgutil.walk_packages(room.__path__, f"{room.__name__}."):
            importlib.import_module(module.name)


def _made(cls: type[Base], base: type) -> Base:
    try:
        return cls()
    except TypeError as error:
        raise TypeError(
            f"{_full_name(cls)} cannot be made without arguments ({error}), so the suite of "
            f"{base.__name__} cannot hold it to its laws: give every parameter a default."
        ) from error
