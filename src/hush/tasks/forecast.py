"""What is to come of series: the gap that lies ahead, told from the last window."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from hush.data import Windows, series
from hush.data.clock import frequency, stamps_of
from hush.data.future import extended
from hush.errors import UserError
from hush.evaluation.quantiles import quantiles as quantiles_of
from hush.samplers import Sampler
from hush.samplers.grids import Grid
from hush.system import System
from hush.tasks.ahead import Ahead
from hush.tasks.fit import must_fit
from hush.tasks.impute import ROWS, Span, Told, told
from hush.tasks.sample_forecast import SampleForecast

PARQUET = (".parquet", ".pq")


@dataclass(frozen=True)
class Forecast:
    """What each series is told to become.

    source     the table with the stamps to come
    answers    of each series its last window
    stamps     the stamps to come, as the table has them: dates or numbers, series after series
    """

    source: Windows
    answers: tuple[Told, ...]
    stamps: Any

    @property
    def samples(self) -> Float[Tensor, "series sample channel horizon"]:
        """In the table's units."""
        return torch.stack([answer.asked for answer in self.answers])

    def frame(self, quantiles: Sequence[float] = ()) -> Any:
        """A table of the stamps to come, which are its index (a DatetimeIndex of dates): of every
        channel the mean of the samples and its quantiles, "NAME 0.05"; in long form the series'
        name comes first."""
        import pandas

        drawn = self.samples.cpu()
        mean = drawn.double().mean(1).float()
        shares = quantiles_of(drawn, quantiles) if quantiles else drawn.new_zeros(0, *mean.shape)
        columns: dict[str, Any] = {}
        if item := self.source.options.item:
            columns[item] = [name for name in self.source.items for _ in range(mean.shape[2])]
        for k, name in enumerate(self.source.channels):
            columns[name] = mean[:, k].flatten().numpy()
        for k, name in enumerate(self.source.channels):
            for level, share in zip(quantiles, shares, strict=True):
                columns[f"{name} {level:g}"] = share[:, k].flatten().numpy()
        return pandas.DataFrame(columns, index=pandas.Index(self.stamps))

    def sample_forecasts(self) -> list[SampleForecast]:
        """The future of each series in the shape of GluonTS. Raises `UserError` for stamps that
        are numbers or uneven, of which there are no periods."""
        import pandas

        stamps, found = stamps_of(self.source), []
        for answer, name in zip(self.answers, self.source.items, strict=True):
            item, first = answer.span.item, answer.span.asked.start
            often = frequency(stamps.iloc[slice(*self.source.table.bounds[item : item + 2])])
            if often is None:
                raise UserError(
                    f"{self.source.name} has stamps that are no evenly spaced dates, and GluonTS "
                    "takes no others: use samples, or frame()."
                )
            start = pandas.DatetimeIndex(stamps.iloc[[first]].dt.tz_localize(None), freq=often)
            drawn = answer.asked.cpu().numpy()
            shaped = drawn[:, 0] if drawn.shape[1] == 1 else drawn.transpose(0, 2, 1)
            found.append(SampleForecast(shaped, start.to_period()[0], name or None))
        return found

    def write(self, out: str | os.PathLike[str], quantiles: Sequence[float] = ()) -> None:
        """The frame as a CSV file, or as Parquet by its ending; dates in ISO 8601. Raises
        `UserError` for a file that cannot be written."""
        path, frame = os.path.expanduser(os.fspath(out)), self.frame(quantiles)
        try:
            if path.lower().endswith(PARQUET):
                frame.to_parquet(path)
            else:
                frame.to_csv(path)
        except OSError as error:
            raise UserError(f"{path} cannot be written: {error.strerror}.") from error


def forecast(
    system: System,
    data: Any,
    horizon: int,
    samples: int = 100,
    seed: int = 0,
    sampler: Sampler | None = None,
    grid: Grid | int | None = None,
    batch: int = ROWS,
    **options: Any,
) -> Forecast:
    """`samples` futures of each series of `data`, `horizon` stamps that go on by the series' own
    step, told from the last window, `batch` rows at once.

    `data` is whatever `hush.data.series` reads, with its `options`, or a source that it made. All
    stamps of a future are drawn together, so its paths may be summed. Raises `UserError` for data
    the model does not fit, and a horizon beyond what it was trained for.
    """
    source = data if isinstance(data, Windows) else series(data, **{"length": 1, **options})
    must_fit(system, source)
    reach = reach_of(system, horizon)
    longer, length = extended(source, reach), system.task.shape[1]
    spans = [
        Span(item, slice(max(start, end - length), end), slice(end - reach, end - reach + horizon))
        for item, (start, end) in enumerate(pairwise(longer.table.bounds))
    ]
    answers = tuple(told(system, longer, spans, samples, seed, sampler, grid, batch))
    rows = torch.cat([longer.table.rows[span.asked] for span in spans])
    stamps = longer.table.cells.frame[longer.options.time].iloc[rows.numpy()]
    if stamps.dtype.kind == "f" and (stamps % 1 == 0).all():
        stamps = stamps.astype("int64")
    return Forecast(longer, answers, stamps)


def reach_of(system: System, horizon: int) -> int:
    """How many stamps are asked about: those the model learnt to tell, if it tells them together
    and learnt no others; the rest of its window is the context. Raises `UserError` for a horizon
    beyond what it was trained for."""
    length, learnt = system.task.shape[1], system.task.horizon
    if system.task.hide != "forecast":
        if not 0 < horizon < length:
            raise UserError(
                f"horizon={horizon}: the model learnt windows of {length} stamps, so it tells 1 to "
                f"{length - 1} ahead; train with a larger length for more."
            )
        return horizon
    if not 0 < horizon <= learnt:
        raise UserError(
            f"horizon={horizon}: the model learnt to tell 1 to {learnt} stamps ahead; train with a "
            "larger horizon for more."
        )
    return horizon if isinstance(system.task, Ahead) else learnt
