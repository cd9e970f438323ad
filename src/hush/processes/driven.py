"""A path as what its noise makes of it: the increments of a Wiener process, and the data."""

from dataclasses import dataclass, field
from typing import ClassVar, NoReturn

from jaxtyping import Float
from torch import Tensor

from hush.distributions import Gaussian
from hush.processes.base import Moment
from hush.processes.one_step import OneStep
from hush.schedules import Rectified, Schedule

Paths = Float[Tensor, "batch channel length"]


@dataclass(frozen=True)
class Driven(OneStep):
    """x_1 are the increments ΔW/√Δ ~ N(0, I) that drive a stochastic differential equation along
    the stamps of a path x_0, one for the first stamp and `substeps` of them on the way to each
    other. The belief p(x_0 | x_1) is the equation's solution: once its noise is known, a point.

    Its time is the data's own, and no noise level: the times between 0 and 1 mean nothing.
    """

    substeps: int = 4
    schedule: Schedule = field(default_factory=Rectified)

    only: ClassVar[str] = "A stochastic differential equation makes a path of its noise in one step"

    def prior(self, shape: tuple[int, ...], like: Tensor) -> Gaussian:
        """N(0, I) of the increments for paths of `shape` (batch, channel, length)."""
        batch, channels, length = shape
        return Gaussian(like.new_zeros(batch, channels, 1 + self.substeps * (length - 1)), 1.0)

    def marginal(self, x_0: Paths, t: Moment) -> NoReturn:
        """Stamps do not say what drove the path between them."""
        raise self.between()
