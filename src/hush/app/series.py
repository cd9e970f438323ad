"""`hush evaluate` of a run of series: gaps and futures of what it has not learnt, told beside what
needs no diffusion, and whether it is as sure as it may be."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from hush.app.judging import PAGE, printed, said, shown
from hush.app.telling import Names, Options, Shares, Whole, asked
from hush.errors import UserError, nearest

if TYPE_CHECKING:
    from hush.data import Windows
    from hush.evaluation import Calibration, Table
    from hush.system import System
    from hush.tasks.judged import SeriesRow

    Judged = tuple[Table, Sequence[SeriesRow]]

File = Annotated[Path | None, tyro.conf.arg(metavar="FILE")]


@dataclass(frozen=True)
class Evaluate(Options):
    """Of a run that tells gaps: shares of known values hidden, and told by it, by the last value, a
    line, the last season and a Gaussian process. Of one that tells futures: forecasts from rolling
    origins, beside the last value, the last season, ETS, ARIMA and a vector autoregression, each
    fitted to the past of its origin. A picture shows whether the run is as sure as it may be."""

    file: Annotated[str | None, tyro.conf.arg(name="data", metavar="FILE")] = None
    """A CSV or Parquet file, or co2, elnino, …; by default the run's own data. Of those, the part
    that was held out, the last of each series, is used."""
    out: File = None
    """The picture of its calibration to write; by default calibration.png in the run."""
    report: File = None
    """The page to write; by default report.html in the run."""
    seed: int = 0
    """Of everything random."""
    shares: Shares = (0.1, 0.5, 0.9)
    """Of the known values that are hidden; none judges forecasts alone."""
    where: Literal["random", "middle", "end"] = "random"
    """Whether values are hidden at random, or a stretch of all channels."""
    horizon: Whole = None
    """Stamps ahead; by default those the run learnt, or a quarter of its window; 0 judges gaps
    alone."""
    stride: Whole = None
    """Stamps from one origin to the next; by default the horizon."""
    count: int = 32
    """Windows, and origins, at most; they are taken evenly from all."""
    against: Names = ()
    """Methods to hold it against, such as "Gaussian process"; by default all that apply."""
    period: Whole = None
    """Stamps of a season; by default what their dates say."""


def evaluate(arguments: list[str]) -> None:
    """Judge a run of series, a table for its gaps and one for its futures."""
    from hush.app.examining import about
    from hush.evaluation import Comparison, calibration_plot
    from hush.tasks.judged import Units

    system, source, options, how = asked(Evaluate, "evaluate", arguments)
    if options.count < 2:
        raise UserError(f"--count must be 2 or more, got {options.count}.")
    _must_be_known(options.against)
    seen, unseen = _parts(system, source, options)
    units = Units.of(seen or unseen)
    how |= {"most": options.count, "period": options.period}
    found = [
        *_gaps(system, unseen, units, options, how),
        *_futures(system, unseen, units, options, how),
    ]
    if not found:
        raise UserError("Nothing is left to judge: give --shares, or a --horizon.")
    whose = "not learnt from this, the last of each series" if seen else "maybe learnt from this"
    reading = (
        f"The run has {whose}. In units of each\nchannel's deviation in "
        f"{'what it has learnt' if seen else 'the whole'}. CRPS: of the law told, exact; of a\n"
        "point it is the MAE. CSDI's: of 19 quantiles, some 4 % more. 90 %: how much of\nthe truth "
        "lies in the central interval of so much, and its mean width."
    )
    tables, rows = (tuple(part) for part in zip(*found, strict=True))
    curves = _calibrations(chain(*rows), system.name)
    told = about(options.run, system, unseen, options.seed, said(arguments))
    shown(Comparison(told, tables, reading, curves), options.report or options.run / PAGE)
    out = options.out or options.run / "calibration.png"
    if curves:
        calibration_plot(curves, out)
    print(f"Calibration: {out}" if curves else "19 --samples or more tell its calibration.")


def _calibrations(rows: "Iterable[SeriesRow]", name: str) -> "dict[str, Calibration]":
    """Of the run's own answers, where there are enough of them."""
    return {
        f"{row.who}, {row.hidden}": row.calibration
        for row in rows
        if row.who == name and row.calibration is not None
    }


def _parts(system: "System", source: "Windows", options: Any) -> tuple["Windows | None", "Windows"]:
    """(what the run has learnt, what it has not) in windows of its own: if the data are its own,
    parted as for training."""
    from hush.data import Windows, split
    from hush.training.run import Run

    length, learnt = system.task.shape[1], system.arguments.get("horizon") or None
    context = length - learnt if learnt else None
    cut = {"length": length, "context": context, "horizon": learnt, "stride": 1}
    source = Windows(source.table, replace(source.options, **cut))
    record = Run(options.run).record
    share = record.get("recipe", {}).get("held_out")
    if record.get("data", {}).get("name") != source.name or not share:
        return None, source
    return split(source, share, seed=record["recipe"]["seed"])


def _gaps(
    system: "System", unseen: "Windows", units: Any, options: Any, how: dict[str, Any]
) -> "list[Judged]":
    """A table of gaps and its rows; none of a run that tells what comes last, and nothing else."""
    from hush.tasks.judged import judge_gaps
    from hush.tasks.judged.gaps import GAPS

    if system.task.hide == "forecast" or not options.shares:
        return []
    against = _of(options.against, GAPS)
    rows = judge_gaps(system, unseen, units, options.shares, options.where, against=against, **how)
    count = min(len(unseen), options.count)
    apart = "overlap: intervals are too narrow" if len(unseen) > len(unseen.spans) else "lie apart"
    title = f"gaps: {count:,} windows of {system.task.shape[1]:,} stamps, which {apart}"
    return [(_table(title, rows), rows)]


def _futures(
    system: "System", unseen: "Windows", units: Any, options: Any, how: dict[str, Any]
) -> "list[Judged]":
    """A table of forecasts and its rows."""
    from hush.tasks.judged import backtest
    from hush.tasks.judged.backtest import FORECASTS

    horizon = options.horizon
    if horizon is None:
        horizon = system.arguments.get("horizon") or max(1, system.task.shape[1] // 4)
    if not horizon:
        return []
    against = _of(options.against, FORECASTS)
    rows = backtest(system, unseen, units, horizon, options.stride, against=against, **how)
    count = len(rows[0].crps.total)
    title = f"forecasts: {count:,} origins, {horizon:,} stamps ahead of each"
    return [(_table(title, rows, 1), rows)]


def _must_be_known(against: Sequence[str]) -> None:
    from hush.tasks.judged.backtest import FORECASTS
    from hush.tasks.judged.gaps import GAPS

    for name in against:
        if name not in {*GAPS, *FORECASTS}:
            hint = nearest(name, dict.fromkeys((*GAPS, *FORECASTS)))
            raise UserError(f"--against {name!r}: there is no such method; {hint}")


def _of(against: Sequence[str], known: tuple[str, ...]) -> Sequence[str]:
    """Those that were asked for and apply here, or all."""
    return [name for name in against if name in known] if against else known


def _table(title: str, rows: "Sequence[SeriesRow]", first: int = 0) -> "Table":
    from hush.evaluation import Table
    from hush.tasks.judged.series import COLUMNS

    cells = tuple(row.cells()[first:] for row in rows)
    return printed(Table(title, COLUMNS[first:], cells))
