"""`hush impute` and `hush forecast`: from a file of series to the file made whole, or to what comes
after it, with a picture of both."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from hush.errors import UserError

if TYPE_CHECKING:
    from hush.data import Windows
    from hush.system import System
    from hush.tasks.impute import Told

Whole = Annotated[int | None, tyro.conf.arg(metavar="INT")]
Word = Annotated[str | None, tyro.conf.arg(metavar="NAME")]
Names = Annotated[Sequence[str], tyro.conf.arg(metavar="NAME …")]
Shares = Annotated[tuple[float, ...], tyro.conf.arg(metavar="SHARE …")]

READING = (
    *("time", "item", "values", "covariates", "static", "calendar", "missing"),
    *("time_format", "delimiter"),
)


@dataclass(frozen=True)
class Options:
    """How a file is read, and what is asked of a run."""

    run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """A folder written by `hush train`, of series."""
    file: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="FILE")]
    """A CSV or Parquet file with the columns that the run learnt; it is never changed."""
    out: Path
    """The file to write; a picture of it goes beside it, NAME.png."""
    samples: int = 100
    """Answers to each window; cells get their mean."""
    seed: Whole = None
    """The same seed gives the same answers; by default a new one, which is printed."""
    sampler: Word = None
    """ddim, multistep, …, as of `hush sample`."""
    steps: Whole = None
    """Steps of the walk."""
    threads: Whole = None
    """Processor threads; by default all cores."""
    time: Word = None
    """The column of time stamps; by default one named time, date, datetime, timestamp or ds."""
    item: Word = None
    """In long form, the column that says which series a row belongs to."""
    values: Names = ()
    """The columns the run learnt, by default of the same names."""
    covariates: Names = ()
    """Covariates, as for training."""
    static: Names = ()
    """Columns that never change within a series, as for training."""
    calendar: Names = ()
    """What is derived from the stamps, as for training."""
    missing: Names = ()
    """Cells that mean a missing value, such as -99.9."""
    time_format: Word = None
    """How stamps are written, such as %d/%m/%Y."""
    delimiter: str = ","
    """The sign between the cells of a CSV file."""


@dataclass(frozen=True)
class Impute(Options):
    """The file with its missing cells filled, what is known untouched; NAME.png shows the first
    windows with gaps, and bands of the answers."""

    quantiles: Shares = ()
    """Shares, such as .05 .5 .95: for each a column "NAME 0.05" beside those of the file."""


@dataclass(frozen=True)
class Forecast(Options):
    """A file of the stamps to come, each series going on by its own step; NAME.png shows the
    history and bands of the answers."""

    horizon: int = 1
    """How many stamps ahead."""
    quantiles: Shares = (0.05, 0.5, 0.95)
    """Shares: for each a column "NAME 0.05" beside the mean."""


def impute(arguments: list[str]) -> None:
    """Fill what is missing from a file of series."""
    from hush.data import filled
    from hush.tasks.impute import joined, must_fill, spans, told

    system, source, options, how = _asked(Impute, "impute", arguments)
    must_fill(system, source)
    answers = told(system, source, spans(source, system.task.shape[1]), **how)
    shown: list[Told] = []
    mean, shares = joined(source, _kept(answers, shown, system.task.shows), options.quantiles)
    filled(source, mean, options.out, shares)
    _draw(shown, options.out)
    count = int(source.table.values.isnan().sum())
    print(f"{count:,} values filled with seed {how['seed']} in {options.out}")


def forecast(arguments: list[str]) -> None:
    """Tell what comes after a file of series."""
    from hush.tasks.forecast import forecast as told

    system, source, options, how = _asked(Forecast, "forecast", arguments)
    found = told(system, source, options.horizon, **how)
    found.write(options.out, options.quantiles)
    _draw(found.answers[: system.task.shows], options.out)
    print(
        f"{options.horizon:,} stamps ahead of {len(source.items):,} series told with seed "
        f"{how['seed']} in {options.out}"
    )


def _asked(
    kind: type[Options], verb: str, arguments: list[str]
) -> tuple["System", "Windows", Any, dict[str, Any]]:
    """The run, the file, the options, and how answers are drawn."""
    from hush.app.choices import SAMPLERS, choose
    from hush.app.inputs import begun, learnt
    from hush.data import series
    from hush.tasks.impute import must_tell

    options = tyro.cli(kind, args=arguments, prog=f"hush {verb}", description=kind.__doc__)
    if options.samples < 1:
        raise UserError(f"--samples must be 1 or more, got {options.samples}.")
    system = begun(options.run, options.threads)
    must_tell(system, options.file)
    reading = {name: getattr(options, name) for name in READING}
    reading["values"] = options.values or learnt(options.run)
    how = {
        "samples": options.samples,
        "seed": random.getrandbits(31) if options.seed is None else options.seed,
        "sampler": choose(SAMPLERS, "sampler", options.sampler) if options.sampler else None,
        "grid": options.steps,
    }
    return system, series(options.file, length=1, **reading), options, how


def _kept(answers: Iterator["Told"], kept: "list[Told]", most: int) -> Iterator["Told"]:
    """The answers, the first of them kept as they go by."""
    for answer in answers:
        if len(kept) < most:
            kept.append(answer)
        yield answer


def _draw(answers: "Sequence[Told]", out: Path) -> None:
    """Windows of one length, one below the other, beside the file."""
    import torch

    from hush.data import save
    from hush.data.bands import bands

    alike = [answer for answer in answers if answer.known.shape == answers[0].known.shape]
    parts = ("known", "samples", "time")
    known, samples, time = (
        torch.stack([getattr(answer, part).cpu() for answer in alike]) for part in parts
    )
    save(bands(known, samples, time=time), out.with_suffix(".png"), overwrite=True)
