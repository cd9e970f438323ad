"""Guidance where it helps, and none elsewhere."""

from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from hush.denoisers import Denoiser
from hush.distributions import Distribution, Product
from hush.errors import UserError
from hush.guidance.base import Guidance
from hush.guidance.free import ClassifierFree
from hush.processes import Moment
from hush.schedules.base import over
from hush.tensors import Condition


@dataclass(frozen=True)
class Interval(Guidance):
    """`guidance` at the noise levels low < σ/α ≤ high, the bare denoiser (with its condition) at
    all others.

    In strong noise guidance cuts variety, in weak noise it does nothing but cost a second
    evaluation. Which range is best depends on the model: try some. (0, ∞] is everywhere.

    Raises:
        UserError: low is not below high, or is negative.
    """

    guidance: Guidance = field(default_factory=ClassifierFree)
    low: float = 0.28
    high: float = 5.42

    cite: ClassVar[str] = (
        "Kynkäänniemi et al. 2024, Applying guidance in a limited interval improves sample and "
        "distribution quality in diffusion models"
    )

    def __post_init__(self) -> None:
        if not 0.0 <= self.low < self.high:
            raise UserError(
                f"An interval of noise levels σ/α wants 0 <= low < high, got {self.low} and "
                f"{self.high}: give high=math.inf to guide from the very start."
            )

    def __call__(self, denoiser: Denoiser) -> Denoiser:
        return Sometimes(denoiser, self.guidance(denoiser), self.low, self.high)


class Sometimes(Denoiser):
    """What `Interval` makes: the guided denoiser inside, the bare one outside."""

    def __init__(self, denoiser: Denoiser, guided: Denoiser, low: float, high: float) -> None:
        super().__init__()
        self.denoiser, self.process, self.guided = denoiser, denoiser.process, guided
        self.low, self.high = low, high

    def forward(self, x_t: Any, t: Moment, cond: Condition | None = None) -> Distribution:
        level = self.process.schedule.level(t)
        ratio = over(level.sigma, level.alpha)
        if not isinstance(ratio, Tensor):
            inside = self.low < ratio <= self.high
            return (self.guided if inside else self.denoiser)(x_t, t, cond)
        inside = (ratio > self.low) & (ratio <= self.high)
        return _either(inside, self.guided(x_t, t, cond), self.denoiser(x_t, t, cond))


def _either(inside: Tensor, guided: Distribution, bare: Distribution) -> Distribution:
    """Of each sample the one belief or the other, where samples have times of their own."""
    if isinstance(guided, Product):
        parts = guided.parts.items()
        return Product({name: _either(inside, part, bare.parts[name]) for name, part in parts})
    tensors = {f.name: getattr(guided, f.name) for f in fields(guided)}
    chosen = {
        name: torch.where(inside.reshape(-1, *(1,) * (value.ndim - 1)), value, getattr(bare, name))
        for name, value in tensors.items()
        if isinstance(value, Tensor) and value.ndim
    }
    return replace(guided, **chosen)
