"""Futures in the shape that GluonTS gives its own, for evaluators and plots that read those."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hush.errors import UserError

_PERCENT = re.compile(r"p(\d{2})")


@dataclass(frozen=True, eq=False)
class SampleForecast:
    """The future of one series, with the names, shapes and rules of
    `gluonts.model.forecast.SampleForecast` (0.17), which is not needed:

        gluonts.model.forecast.SampleForecast(f.samples, f.start_date, f.item_id, f.info)

    samples     (sample, horizon) or, of several channels, (sample, horizon, channel), in the
                table's units
    start_date  the first stamp that is told, a Period of pandas
    item_id     the name of the series, None where a table has one
    """

    samples: np.ndarray
    start_date: Any
    item_id: str | None = None
    info: dict | None = None

    @property
    def num_samples(self) -> int:
        return self.samples.shape[0]

    @property
    def prediction_length(self) -> int:
        return self.samples.shape[1]

    @property
    def freq(self) -> Any:
        """The offset of pandas from one stamp to the next."""
        return self.start_date.freq

    @property
    def index(self) -> Any:
        """The stamps that are told, a PeriodIndex."""
        import pandas

        return pandas.period_range(self.start_date, periods=self.prediction_length, freq=self.freq)

    @property
    def mean(self) -> np.ndarray:
        return self.samples.mean(0)

    @property
    def mean_ts(self) -> Any:
        """The mean of one channel as a Series of pandas."""
        return self._series(self.mean)

    @property
    def median(self) -> np.ndarray:
        return self.quantile(0.5)

    def quantile(self, q: float | str) -> np.ndarray:
        """Of n samples in order the one at round((n - 1) q); q may be "0.9" or "p90" too. Raises
        `UserError` for what is no share."""
        percent = _PERCENT.fullmatch(q) if isinstance(q, str) else None
        try:
            share = int(percent[1]) / 100 if percent else float(q)
        except ValueError:
            share = -1.0
        if not 0.0 <= share <= 1.0:
            raise UserError(f"quantile={q}: expected a share such as 0.9, '0.9' or 'p90'.")
        return np.sort(self.samples, axis=0)[int(np.round((self.num_samples - 1) * share))]

    def quantile_ts(self, q: float | str) -> Any:
        """A quantile of one channel as a Series of pandas."""
        return self._series(self.quantile(q))

    def __getitem__(self, name: float | str) -> np.ndarray:
        return getattr(self, name) if name in ("mean", "median") else self.quantile(name)

    def dim(self) -> int:
        """How many channels."""
        return self.samples.shape[2] if self.samples.ndim == 3 else 1

    def copy_dim(self, dim: int) -> "SampleForecast":
        """One of the channels."""
        one = self.samples if self.samples.ndim == 2 else self.samples[:, :, dim]
        return replace(self, samples=one)

    def copy_aggregate(self, agg_fun: Callable) -> "SampleForecast":
        """The channels aggregated, as agg_fun(samples, axis=2) does."""
        whole = self.samples if self.samples.ndim == 2 else agg_fun(self.samples, axis=2)
        return replace(self, samples=whole)

    def _series(self, values: np.ndarray) -> Any:
        import pandas

        return pandas.Series(values, index=self.index)
