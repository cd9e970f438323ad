"""Series, each channel by itself, with values that are missing."""

import math
from collections.abc import Iterable
from typing import ClassVar

import torch
from torch import Tensor

from hush.codecs.base import Batch, Codec
from hush.codecs.measured import measured
from hush.errors import UserError
from hush.networks.series import COVARIATES, SERIES
from hush.tensors import Condition


class PerChannel(Codec):
    """x_0 = d (data - m_c)/s_c with the mean m and the deviation s of each channel c, measured
    where it has values; a missing one (NaN) is 0. A channel that never varies keeps its unit.

    Nothing holds what is decoded: what is to come may lie beyond all that was. What the condition
    knows of the series comes back as it is there, to the last bit. The network is told that in
    units of x_0, and covariates in units of their own deviation.

    channels    of the series
    features    covariates that are told beside it
    unit        d, the deviation of x_0
    """

    gaps: ClassVar[bool] = True
    bounded: ClassVar[bool] = False

    def __init__(self, channels: int = 2, features: int = 0, unit: float = 1.0) -> None:
        super().__init__()
        self.unit = unit
        for name, rows in (("", channels), ("told_", features)):
            self.register_buffer(f"{name}mean", torch.zeros(rows, dtype=torch.float64))
            self.register_buffer(f"{name}deviation", torch.ones(rows, dtype=torch.float64))
        self.register_buffer("levels", torch.tensor(0))

    def fit(self, batches: Iterable[Tensor], levels: int | None = None) -> "PerChannel":
        """Measure the channels. Raises `UserError` for data of levels, and for data that say
        nothing."""
        if levels is not None:
            raise UserError(
                f"Series are of continuous values, got data of {levels} levels: use a system of "
                "such data."
            )
        low, high = self._measure("", batches)
        if not (low < high).any():
            raise UserError(
                "No channel of the series varies: a model needs values that differ. Check that "
                "the files hold what you expect."
            )
        return self

    def fit_told(self, conds: Iterable[Condition | None]) -> None:
        if len(self.told_mean):
            self._measure("told_", (cond[COVARIATES] for cond in conds))

    def told(self, cond: Condition | None) -> Condition | None:
        if not _tells(cond):
            return cond
        series = self._encoded("", cond[SERIES])
        if COVARIATES not in cond:
            return {**cond, SERIES: series}
        return {**cond, SERIES: series, COVARIATES: self._encoded("told_", cond[COVARIATES])}

    def encode(self, data: Batch, cond: Condition | None = None) -> Batch:
        return self._encoded("", data).nan_to_num(nan=0.0)

    def decode(self, x_0: Batch, cond: Condition | None = None) -> Batch:
        mean, deviation = self._measures("", x_0)
        data = (x_0.double() * deviation + mean).to(x_0.dtype)
        if not _tells(cond):
            return data
        known = cond[SERIES][..., -data.shape[-1] :].to(data)  # of which these are the last stamps
        return torch.where(known.isnan(), data, known)

    def log_det(self, event: tuple[int, ...]) -> float:
        return -math.prod(event[1:]) * (self.deviation / self.unit).log().sum().item()

    def _measure(self, name: str, batches: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
        found = measured(data.transpose(0, 1).flatten(1) for data in batches)
        low, high, mean, deviation = found
        if not (mean + deviation)[low <= high].isfinite().all():
            raise UserError(
                f"The series range from {low.min():g} to {high.max():g}: a model needs finite "
                "values. Name what means a missing one when the data are read."
            )
        getattr(self, f"{name}mean").copy_(torch.where(low <= high, mean, 0.0))
        getattr(self, f"{name}deviation").copy_(torch.where(low < high, deviation, 1.0))
        return low, high

    def _measures(self, name: str, like: Batch) -> tuple[Tensor, Tensor]:
        """(mean, what one of x_0 is), to be broadcast over (batch, channel, *length)."""
        shape = (-1, *(1 for _ in like.shape[2:]))
        mean, deviation = (getattr(self, name + of).reshape(shape) for of in ("mean", "deviation"))
        return mean, deviation / self.unit

    def _encoded(self, name: str, data: Batch) -> Batch:
        mean, deviation = self._measures(name, data)
        return ((data.double() - mean) / deviation).to(data.dtype)


def _tells(cond: Condition | None) -> bool:
    """Whether a condition knows something of the series itself; a class does not."""
    return isinstance(cond, dict) and SERIES in cond
