"""`hush impute` and `hush forecast`: from a file of series to the file made whole, or to what comes
after it, with a picture of both."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from hush.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

    from hush.data import Windows
    from hush.system import System
    from hush.tasks.forecast import Forecast as Found

Whole = Annotated[int | None, tyro.conf.arg(metavar="INT")]
Word = Annotated[str | None, tyro.conf.arg(metavar="NAME")]
Names = Annotated[Sequence[str], tyro.conf.arg(metavar="NAME …")]
Shares = Annotated[tuple[float, ...], tyro.conf.arg(metavar="SHARE …")]

BEFORE = 20  # stamps that a picture shows before the first gap
HISTORY, LEAST = 6, 80  # horizons that it shows of a history and its future, and stamps

READING = (
    *("time", "item", "values", "covariates", "static", "calendar", "missing"),
    *("time_format", "delimiter"),
)
FEATURES = ("covariates", "static", "calendar")  # what a run is told beside the values


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
    """Columns that are known beside the values; by default those of the training."""
    static: Names = ()
    """Columns that never change within a series; by default those of the training."""
    calendar: Names = ()
    """What is derived from the stamps; by default as for training."""
    missing: Names = ()
    """Cells that mean a missing value, such as -99.9."""
    time_format: Word = None
    """How stamps are written, such as %d/%m/%Y."""
    delimiter: str = ","
    """The sign between the cells of a CSV file."""


@dataclass(frozen=True)
class Impute(Options):
    """The file with its missing cells filled, what is known untouched; NAME.png shows each
    channel from its first gap on, and bands of the answers."""

    quantiles: Shares = ()
    """Shares, such as .05 .5 .95: for each a column "NAME 0.05" beside those of the file."""


@dataclass(frozen=True)
class Forecast(Options):
    """A file of the stamps to come, each series going on by its own step; NAME.png shows the
    end of the history and bands of the answers."""

    horizon: int = 1
    """How many stamps ahead."""
    quantiles: Shares = (0.05, 0.5, 0.95)
    """Shares: for each a column "NAME 0.05" beside the mean."""


def impute(arguments: list[str]) -> None:
    """Fill what is missing from a file of series."""
    import torch

    from hush.data import filled
    from hush.data.bands import SHARES
    from hush.data.history import STAMPS, Panel, history
    from hush.tasks.fit import must_fill
    from hush.tasks.impute import joined, spans, told

    system, source, options, how = asked(Impute, "impute", arguments)
    must_fill(system, source)
    answers = told(system, source, spans(source, system.task.shape[1]), **how)
    mean, shares = joined(source, answers, (*SHARES, *options.quantiles))
    filled(source, mean, options.out, {level: shares[level] for level in options.quantiles})
    gaps = source.table.values.isnan()
    bands = torch.stack([shares[level] for level in SHARES]).where(gaps, torch.nan)
    panels = [
        Panel(item, channel, start + int(gap[0]) + STAMPS // 2 - BEFORE)
        for item, (start, end) in enumerate(pairwise(source.table.bounds))
        for channel, row in enumerate(gaps[:, start:end])
        if len(gap := row.nonzero())
    ]
    drawn_beside(options.out, history(source, bands, panels))
    print(f"{int(gaps.sum()):,} values filled with seed {how['seed']} in {options.out}")


def forecast(arguments: list[str]) -> None:
    """Tell what comes after a file of series."""
    from hush.tasks.forecast import forecast as told

    system, source, options, how = asked(Forecast, "forecast", arguments)
    found = told(system, source, options.horizon, **how)
    found.write(options.out, options.quantiles)
    drawn_beside(options.out, _ahead(found, options.horizon))
    print(
        f"{options.horizon:,} stamps ahead of {len(source.items):,} series told with seed "
        f"{how['seed']} in {options.out}"
    )


def asked(
    kind: type[Options], verb: str, arguments: list[str]
) -> tuple["System", "Windows", Any, dict[str, Any]]:
    """The run, the file, the options, and how answers are drawn."""
    from hush.app.choices import SAMPLERS, choose
    from hush.app.inputs import begun
    from hush.data import series
    from hush.tasks.fit import must_tell

    options = tyro.cli(kind, args=arguments, prog=f"hush {verb}", description=kind.__doc__)
    if options.samples < 1:
        raise UserError(f"--samples must be 1 or more, got {options.samples}.")
    system = begun(options.run, options.threads, series=True)
    file = options.file or _own(options.run)
    must_tell(system, file)
    how = {
        "samples": options.samples,
        "seed": random.getrandbits(31) if options.seed is None else options.seed,
        "sampler": choose(SAMPLERS, "sampler", options.sampler) if options.sampler else None,
        "grid": options.steps,
    }
    return system, series(file, length=1, **reading(options, file)), options, how


def _own(run: Path) -> str:
    """The name of what a run has learnt from."""
    from hush.training.run import Run

    name = Run(run).record.get("data", {}).get("name")
    if not name:
        raise UserError(f"{run} does not say what it has learnt from: give --data.")
    return name


def reading(options: Options, file: str) -> dict[str, Any]:
    """How a file is read: as was asked, and where nothing is said, what the features of the run
    were made of as for its training; of its own data all."""
    from hush.app.inputs import learnt
    from hush.training.run import Run

    data = Run(options.run).record.get("data", {})
    own = file == data.get("name")
    kept = {name: data.get("asked", {}).get(name) for name in (READING if own else FEATURES)}
    kept["values"] = learnt(options.run)
    usual = {field.name: field.default for field in fields(Options)}
    asked = {name: getattr(options, name) for name in READING}
    return {
        name: (kept.get(name) or said) if said == usual[name] else said
        for name, said in asked.items()
    }


def _ahead(found: "Found", horizon: int) -> "Tensor":
    """The end of each series, and what it is told to become."""
    import torch

    from hush.data.bands import SHARES
    from hush.data.history import Panel, history
    from hush.evaluation.quantiles import quantiles

    source = found.source
    bands = torch.full((len(SHARES), *source.table.values.shape), torch.nan)
    for answer in found.answers:
        drawn = answer.asked.cpu().unsqueeze(0)
        bands[..., answer.span.asked] = quantiles(drawn, SHARES)[:, 0]
    panels = [
        Panel(item, channel, answer.span.asked.stop)
        for item, answer in enumerate(found.answers)
        for channel in range(len(source.channels))
    ]
    return history(source, bands, panels, stamps=max(LEAST, HISTORY * horizon))


def drawn_beside(out: Path, picture: "Tensor") -> None:
    """Save a picture of what is in the file `out` beside it."""
    from hush.data import save

    save(picture, out.with_suffix(".png"), overwrite=True)
