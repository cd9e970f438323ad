"""Kinds of data on the command line: the options of each, and what its data say to a system."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from hush.errors import UserError
from hush.systems.index import TABLE

if TYPE_CHECKING:
    from hush.data import Source
    from hush.system import System

Column = tuple[str, Any, Any]  # name, type and field of an option


class Kind(ABC):
    """What `hush train` must know of a kind of data."""

    own: ClassVar[tuple[str, ...]]
    """Parameters of a system that the data decide."""

    @abstractmethod
    def columns(self) -> list[Column]:
        """The options of how such data are read."""

    @abstractmethod
    def opened(self, name: str, options: Any) -> "Source":
        """The source that the options mean, as the system of that name learns it."""

    def must_suit(self, system: "System", source: "Source", options: Any) -> None:  # noqa: B027
        """Raise `UserError` unless the system can learn from the source."""


class Pictures(Kind):
    """Pictures, by themselves or with what they are made from."""

    own = ("shape", "classes", "levels")

    def columns(self) -> list[Column]:
        import tyro

        from hush.data import PictureOptions

        pairs = "Of a system that makes a picture from another, what it is made from: a folder of "
        pairs += "the same names. By default the system spoils --data itself."
        about = tyro.conf.arg(metavar="FOLDER", help=pairs)
        return [
            ("given", Annotated[Path | None, about], field(default=None)),
            ("pictures", PictureOptions, field(default=PictureOptions())),
        ]

    def opened(self, name: str, options: Any) -> "Source":
        from hush.app.pairing import in_pairs
        from hush.data import Windows, open_source

        if options.given is not None:
            return in_pairs(options)
        source = open_source(options.data, **given(options.pictures))
        if isinstance(source, Windows):
            known = ", ".join(name for name, row in TABLE.items() if "series" in row.data)
            raise UserError(f"{source.name} holds series, not pictures: train one of {known}.")
        return source

    def must_suit(self, system: "System", source: "Source", options: Any) -> None:
        from hush.app.pairing import must_take

        if options.given is not None:
            must_take(system, source)


class Series(Kind):
    """Windows of series."""

    own = ("shape", "classes", "features", "horizon")

    def columns(self) -> list[Column]:
        from hush.data import SeriesOptions

        @dataclass(frozen=True)
        class Flags(SeriesOptions):  # a flag is of one type
            missing: Sequence[str] = ()
            """Cells that mean a missing value, such as -99.9, beside blank, NaN, NA and null."""

        return [("series", Flags, field(default=Flags()))]

    def opened(self, name: str, options: Any) -> "Source":
        from hush.data import series
        from hush.systems.suited import windowed

        return series(options.data, **windowed(name, given(options.series)))


KINDS: dict[str, Kind] = {"pictures": Pictures(), "series": Series()}


def meant(name: str, flags: Sequence[str]) -> Kind:
    """The kind of the data that --data names, of those that the system of that name learns."""
    known = TABLE[name].data.split(", ")
    if len(known) == 1:
        return KINDS[known[0]]
    from hush.data.open import holds_series

    words = [word for flag in flags for word in flag.split("=", 1)]
    after = words.index("--data") + 1 if "--data" in words else len(words)
    options = {word[2:].replace("-", "_"): True for word in words if word.startswith("--")}
    holds = holds_series("".join(words[after : after + 1]), options)
    return KINDS["series" if holds else "pictures"]


def given(options: Any) -> dict[str, Any]:
    """The fields that were set, as keywords: a source refuses only what was asked of it."""
    blank = type(options)()
    return {key: value for key, value in asdict(options).items() if value != getattr(blank, key)}
