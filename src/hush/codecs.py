"""Codecs: data in their own units to x_0 and back. What they measure lives in their buffers, so a
run stores it beside the weights."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable

import torch
from jaxtyping import Float, Int64, Shaped
from torch import Tensor, nn

from hush.errors import UserError
from hush.tensors import Condition

Batch = Float[Tensor, " batch *event"]
State = Shaped[Tensor, " batch *event"]


class Codec(nn.Module, ABC):
    """An invertible map between data and the x_0 a process works on, numbers or tokens."""

    @abstractmethod
    def fit(self, batches: Iterable[Tensor], levels: int | None = None) -> "Codec":
        """Measure what is needed on batches of data; `levels` is the number of evenly spaced values
        between 0 and 1 that the data can take, None when they are continuous."""

    @abstractmethod
    def encode(self, data: Batch, cond: Condition | None = None) -> State:
        """Data to x_0, which may be what the data are beyond their condition."""

    @abstractmethod
    def decode(self, x_0: State, cond: Condition | None = None) -> Batch:
        """x_0 to data, held to the range that was measured and to the data's own levels."""

    @abstractmethod
    def log_det(self, event: tuple[int, ...]) -> float:
        """log |d x_0 / d data| of a whole event: what turns a density of x_0 into one of data."""


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
        low, high, count, total, squares, pivot = math.inf, -math.inf, 0, 0.0, 0.0, None
        for data in batches:
            data = data.double()
            low, high = min(low, data.min().item()), max(high, data.max().item())
            pivot = data.mean().item() if pivot is None else pivot  # keeps the digits of far data
            count += data.numel()
            total += (data - pivot).sum().item()
            squares += (data - pivot).square().sum().item()
        if not low < high or not math.isfinite(squares):
            raise UserError(
                f"The data range from {low} to {high}: a model needs finite values that differ. "
                "Check that the files hold what you expect."
            )
        mean = total / count
        deviation = max(squares / count - mean**2, 0.0) ** 0.5
        shift, scale = self.choose(low, high, pivot + mean, deviation)
        for name, value in (("shift", shift), ("scale", scale), ("low", low), ("high", high)):
            getattr(self, name).fill_(value)
        self.levels.fill_(levels or 0)
        return self

    def encode(self, data: Batch, cond: Condition | None = None) -> Batch:
        return ((data.double() - self.shift) / self.scale).to(data.dtype)

    def decode(self, x_0: Batch, cond: Condition | None = None) -> Batch:
        data = (x_0.double() * self.scale + self.shift).clamp(self.low, self.high)
        steps = (self.levels - 1).clamp(min=1)
        snapped = (data * steps).round() / steps
        return torch.where(self.levels > 1, snapped, data).to(x_0.dtype)

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


class Levels(Codec):
    """Data of `count` evenly spaced values between 0 and 1 to tokens 0 … count - 1. Halfway through
    a walk tokens may be masked: that is shown as grey."""

    def __init__(self, count: int = 256) -> None:
        super().__init__()
        if count < 2:
            raise UserError(f"Tokens need at least 2 levels, got {count}.")
        self.register_buffer("levels", torch.tensor(count))

    def fit(self, batches: Iterable[Tensor], levels: int | None = None) -> "Codec":
        """Nothing to measure. Raises `UserError` for data of another number of levels, or none."""
        if levels != int(self.levels):
            found = "continuous values" if levels is None else f"{levels} levels"
            raise UserError(
                f"The model is over {int(self.levels)} levels, the data have {found}: make it with "
                "the data's own number of levels, or use a system of continuous values."
            )
        return self

    def encode(self, data: Batch, cond: Condition | None = None) -> Int64[Tensor, " batch *event"]:
        return (data.double() * (self.levels - 1)).round().long()

    def decode(self, x_0: Int64[Tensor, " batch *event"], cond: Condition | None = None) -> Batch:
        return torch.where(x_0 < self.levels, x_0.double() / (self.levels - 1), 0.5).float()

    def log_det(self, event: tuple[int, ...]) -> float:
        return 0.0  # a probability of tokens is one of the data
