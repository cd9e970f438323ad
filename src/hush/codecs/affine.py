"""Codecs that shift and scale, with what they measured of the data."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable

import torch
from torch import Tensor

from hush.codecs.base import Batch, Codec
from hush.codecs.measured import measured
from hush.errors import UserError
from hush.tensors import Condition


class Affine(Codec, ABC):
    """x_0 = (data - shift)/scale. A subclass says which shift and scale the measured data get."""

    def __init__(self) -> None:
        super().__init__()
        for name, value in (("shift", 0.0), ("scale", 1.0), ("low", -math.inf), ("high", math.inf)):
            self.register_buffer(name, torch.tensor(value, dtype=torch.float64))
        self.register_buffer("levels", torch.tensor(0))

    @abstractmethod
    def choose(self, low: float, high: float, mean: float, deviation: float) -> tuple[float, float]:
        """(shift, scale) for data of this range, mean and standard deviation."""

    def fit(self, batches: Iterable[Tensor], levels: int | None = None) -> "Codec":
        rows = (data.where(~data.isnan(), math.inf).reshape(1, -1) for data in batches)
        low, high, mean, deviation = (found.item() for found in measured(rows))
        if not low < high or not math.isfinite(mean + deviation):
            raise UserError(
                f"The data range from {low} to {high}: a model needs finite values that differ. "
                "Check that the files hold what you expect."
            )
        shift, scale = self.choose(low, high, mean, deviation)
        for name, value in (("shift", shift), ("scale", scale), ("low", low), ("high", high)):
            getattr(self, name).fill_(value)
        self.levels.fill_(levels or 0)
        return self

    def encode(self, data: Batch, cond: Condition | None = None) -> Batch:
        return ((data.double() - self.shift) / self.scale).to(data.dtype)

    def decode(self, x_0: Batch, cond: Condition | None = None) -> Batch:
        line = x_0.double() * self.scale + self.shift
        data, steps = line.clamp(self.low, self.high), (self.levels - 1).clamp(min=1)
        held = torch.where(self.levels > 1, (data * steps).round() / steps, data)
        if x_0.requires_grad:  # rounding has no slope: on the way back it is the line
            held = line + (held - line).detach()
        return held.to(x_0.dtype)

    def log_det(self, event: tuple[int, ...]) -> float:
        return -math.prod(event) * math.log(self.scale.item())

    def binned(self) -> tuple[float, float, float]:
        """(spacing, low, high) of the levels of the data, in units of x_0. Raises `UserError` for
        continuous data, which have none."""
        if int(self.levels) < 2:
            raise UserError(
                "The data are continuous: they have a density, but no levels whose probability "
                "could be measured in bits."
            )
        low, high = ((end - self.shift) / self.scale for end in (0.0, 1.0))
        return ((high - low) / (self.levels - 1)).item(), low.item(), high.item()


class Range(Affine):
    """The data's range to [-1, 1], as DDPM assumes."""

    def choose(self, low: float, high: float, mean: float, deviation: float) -> tuple[float, float]:
        return 0.5 * (low + high), 0.5 * (high - low)


class Residual(Range):
    """What pictures are beyond the one they are made from, the "picture" of their condition:
    x_0 = gain·(data - given)/scale, with the scale of `Range`. Without a condition the middle of
    the range is given.

    Li et al. 2022, "SRDiff: single image super-resolution with diffusion probabilistic models".
    """

    def __init__(self, gain: float = 2.0) -> None:
        super().__init__()
        self.gain = gain

    def encode(self, data: Batch, cond: Condition | None = None) -> Batch:
        return (self.gain * (data.double() - self._given(cond)) / self.scale).to(data.dtype)

    def decode(self, x_0: Batch, cond: Condition | None = None) -> Batch:
        given = (self._given(cond) - self.shift) / self.scale
        return super().decode(given + x_0.double() / self.gain).to(x_0.dtype)

    def log_det(self, event: tuple[int, ...]) -> float:
        return super().log_det(event) + math.prod(event) * math.log(self.gain)

    def _given(self, cond: Condition | None) -> Tensor:
        return self.shift if cond is None else cond["picture"].double()


class Standard(Affine):
    """Mean 0 and standard deviation `deviation`, as EDM assumes (σ_data = 0.5)."""

    def __init__(self, deviation: float = 0.5) -> None:
        super().__init__()
        self.deviation = deviation

    def choose(self, low: float, high: float, mean: float, deviation: float) -> tuple[float, float]:
        return mean, deviation / self.deviation
