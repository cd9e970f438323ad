"""How well hidden values of series are told: what is hidden, and a row for each who told it.

source ── hide, ahead ──► Hidden ──┬─ answers(system)       a run
                                   └─ classical methods     gaps.py, backtest.py
                          Hidden.row(who, samples) ──► SeriesRow, a line of the table

All scores are in units of each channel's deviation in the part that was learnt (`Units`).
"""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor

from hush.data import Windows
from hush.evaluation.calibration import Calibration, calibration, coverage, interval_width
from hush.evaluation.forecasts import Score, crps, fair_crps, mae, quantile_crps, summed
from hush.networks.series import SERIES
from hush.system import System
from hush.tasks.impute import Samples, drawn

COLUMNS = ("hidden", "who", "CRPS (95 %)", "CRPS-sum (95 %)", "CSDI's", "MAE", "90 %", "width")
LEVEL = 0.9  # of the interval whose coverage is told
ENOUGH = 19  # samples that tell it


@dataclass(frozen=True)
class Units:
    """z = (x - mean)/deviation of each channel, (channel, 1)."""

    mean: Float64[Tensor, "channel 1"]
    deviation: Float64[Tensor, "channel 1"]

    @classmethod
    def of(cls, train: Windows) -> "Units":
        """Measured on all that is known of the stamps of `train`; a channel that does not vary
        there keeps its unit."""
        table = torch.cat([train.table.values[:, slice(*span)] for span in train.spans], 1).double()
        mean = table.nanmean(1, keepdim=True).nan_to_num()
        deviation = (table - mean).square().nanmean(1, keepdim=True).sqrt().nan_to_num()
        return cls(mean, torch.where(deviation > 0.0, deviation, 1.0))

    def standard(self, values: Float[Tensor, "*window channel length"]) -> Tensor:
        """Values of the table's units in these."""
        return (values.double() - self.mean) / self.deviation


@dataclass(frozen=True)
class Hidden:
    """Windows of which known values are hidden, the same for whoever is asked.

    name     what is hidden, in words
    record   the windows as a model is given them, NaN where hidden or missing
    truth    in standard units, NaN where missing
    mask     true where a value was hidden, and is scored
    firsts   the first stamp of each window, which names its streams
    together whether channels are told together, so that their sum is scored
    """

    name: str
    record: dict[str, Tensor]
    truth: Float64[Tensor, "window channel length"]
    mask: Bool[Tensor, "window channel length"]
    firsts: Int64[Tensor, " window"]
    units: Units
    together: bool = False

    @property
    def seen(self) -> Float64[Tensor, "window channel length"]:
        """What is given, in standard units."""
        return self.units.standard(self.record[SERIES])

    def answers(self, system: System, samples: int = 100, seed: int = 0, **how: Any) -> Samples:
        """Those of a system, in standard units; `how` goes on to `hush.tasks.impute.drawn`
        (sampler, grid, batch)."""
        told = drawn(system, self.record, self.firsts, samples, seed, **how)
        return self.units.standard(told.cpu())

    def row(self, who: str, samples: Samples) -> "SeriesRow":
        """How good samples in standard units are; of one sample, which is a point, CRPS is MAE."""
        asked = samples, self.truth, self.mask
        draws = samples.shape[1] > 1
        exact = fair_crps if draws else crps
        sure = samples.shape[1] >= ENOUGH
        return SeriesRow(
            self.name,
            who,
            exact(*asked),
            quantile_crps(*asked),
            mae(*asked),
            exact(*summed(*asked)) if self.together and samples.shape[2] > 1 else None,
            coverage(*asked, LEVEL) if sure else None,
            interval_width(*asked, LEVEL) if sure else None,
            calibration(*asked) if sure and len(samples) > 1 else None,
        )


@dataclass(frozen=True)
class SeriesRow:
    """Who told what was hidden, and how well, in standard units.

    crps       the exact score of the law told, without bias (`fair_crps`)
    quantiles  CSDI's own, of 19 quantiles: some 4 % more, to be compared with itself alone
    mae        of the median
    crps_sum   the CRPS of the sum over channels, of forecasts
    coverage   the share of the truth in the central 90 % interval, and its mean width, of those who
    width      draw 19 samples or more
    """

    hidden: str
    who: str
    crps: Score
    quantiles: Score
    mae: Score
    crps_sum: Score | None = None
    coverage: Score | None = None
    width: Score | None = None
    calibration: Calibration | None = None

    def cells(self) -> tuple[str, ...]:
        """A line under `COLUMNS`; what does not apply is blank."""
        return (
            self.hidden,
            self.who,
            _with_interval(self.crps),
            "" if self.crps_sum is None else _with_interval(self.crps_sum),
            f"{self.quantiles.value:.3f}",
            f"{self.mae.value:.3f}",
            "" if self.coverage is None else f"{100 * self.coverage.value:.0f} %",
            "" if self.width is None else f"{self.width.value:.2f}",
        )


def _with_interval(score: Score) -> str:
    if len(score.total) < 2:
        return f"{score.value:.3f}"
    low, high = score.interval()
    return f"{score.value:.3f} ({low:.2f}-{high:.2f})"
