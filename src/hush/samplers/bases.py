"""The flow of a belief in coordinates where solving it is quadrature.

Along the flow x = α x̂_0 + σ ε̂, and each basis below names a scale, a variable u and a slope q with
d(x/scale)/du = q. So every solver here is x_s = carry·x_t + reach·(the mean of q over the step):

    basis       scale         u            q                      whose form it is
    Velocity    α + σ         σ/(α+σ)      ε - x_0                rectified flow
    Noise       α             σ/α          ε                      DDIM, EDM, DEIS, PNDM
    Data(τ)     σ(σ/α)^τ²     (α/σ)^1+τ²   x_0                    DPM-Solver++, UniPC, SA-Solver
    Angular(d)  √(α²d²+σ²)    atan(σ/αd)   cos u ε - sin u x_0/d  v-prediction
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor

from hush.distributions import Gaussian
from hush.errors import UserError
from hush.schedules import Level, Schedule
from hush.tensors import Terms, times, total

Part = Tensor | float


class Basis(ABC):
    """A scale, a variable and a slope: d(x/scale)/d(variable) = slope(x_0, noise).

    The variable depends on σ/α alone and falls or rises all the way to the data. With `tau` above 0
    the basis is that of the SDE below, and what is left to add is its noise.
    """

    tau: float = 0.0

    @abstractmethod
    def scale(self, level: Level) -> float: ...

    @abstractmethod
    def variable(self, level: Level) -> float: ...

    @abstractmethod
    def ratio(self, variable: float) -> float:
        """σ/α where the variable is this."""

    @abstractmethod
    def combine(self, x_0: Part, noise: Part, level: Level) -> Part:
        """The slope at a level as a linear combination of the belief's mean and its noise."""

    def slope(self, belief: Gaussian, x: Tensor, t: Level) -> Terms:
        """The slope at x, given the belief there: q = a x_0 + b (x - α x_0)/σ, not added up yet."""
        of_data, of_noise = self.combine(1.0, 0.0, t), self.combine(0.0, 1.0, t)
        if of_noise == 0.0:
            return times(of_data, belief.terms)
        of_x = of_noise / t.sigma
        return ((of_x, x), *times(of_data - t.alpha * of_x, belief.terms))

    def carry(self, t: Level, s: Level) -> float:
        """What of x_t is left in x_s: scale(s)/scale(t)."""
        return self.scale(s) / self.scale(t)

    def reach(self, t: Level, s: Level) -> float:
        """What of the mean slope arrives in x_s: scale(s)·(variable(s) - variable(t))."""
        return self.scale(s) * (self.variable(s) - self.variable(t))

    def advance(
        self, x: Tensor, t: Level, s: Level, mean: Tensor | Terms, kick: Tensor | float = 0.0
    ) -> Tensor:
        """The state at s, where `mean` is the slope's mean over the variable from t to s; `kick` is
        the noise on the way."""
        terms = ((1.0, mean),) if isinstance(mean, Tensor) else mean
        moved = ((self.carry(t, s), x), *times(self.reach(t, s), terms))
        return total((*moved, (1.0, kick)) if isinstance(kick, Tensor) else moved)

    def level(self, schedule: Schedule, variable: float) -> Level:
        """The level of a schedule where the variable is this."""
        return schedule.at_ratio(self.ratio(variable))


@dataclass(frozen=True)
class Velocity(Basis):
    """x/(α + σ) against τ = σ/(α + σ), slope ε - x_0: any schedule as the rectified flow it is.

    Finite where there is no noise and where there is no signal.
    """

    def scale(self, level: Level) -> float:
        return level.alpha + level.sigma

    def variable(self, level: Level) -> float:
        return level.sigma / (level.alpha + level.sigma)

    def ratio(self, variable: float) -> float:
        return variable / (1.0 - variable) if variable < 1.0 else math.inf

    def combine(self, x_0: Part, noise: Part, level: Level) -> Part:
        return noise - x_0


@dataclass(frozen=True)
class Noise(Basis):
    """x/α against r = σ/α, slope ε: the form of DDIM (Song et al. 2021, eq. 14) and of EDM. Needs
    some signal everywhere, α > 0."""

    def scale(self, level: Level) -> float:
        if level.alpha == 0.0:
            raise UserError(
                "The basis Noise divides by the signal, and this schedule ends with none: use the "
                "basis Velocity or Data, or begin the walk below t = 1."
            )
        return level.alpha

    def variable(self, level: Level) -> float:
        return level.sigma / level.alpha if level.alpha > 0.0 else math.inf

    def ratio(self, variable: float) -> float:
        return variable

    def combine(self, x_0: Part, noise: Part, level: Level) -> Part:
        return noise


@dataclass(frozen=True)
class Data(Basis):
    """x/(σ (σ/α)^τ²) against (α/σ)^(1+τ²), slope x_0: the form of DPM-Solver++ (Lu et al. 2022).

    With τ > 0 it is the flow's stochastic kin, dx = [f x - ½(1 + τ²) g² ∇log p] dt + τ g dw, whose
    linear part takes the scale and whose noise a solver adds (Xue et al. 2023, "SA-Solver"). τ = 1
    is the reverse diffusion: one Euler step of it is DDPM's.
    """

    tau: float = 0.0

    def scale(self, level: Level) -> float:
        return level.sigma / self._tilt(level)

    def variable(self, level: Level) -> float:
        return self._tilt(level) * level.alpha / level.sigma if level.sigma > 0.0 else math.inf

    def ratio(self, variable: float) -> float:
        return variable ** (-1.0 / (1.0 + self.tau**2)) if variable > 0.0 else math.inf

    def combine(self, x_0: Part, noise: Part, level: Level) -> Part:
        return x_0

    def carry(self, t: Level, s: Level) -> float:
        fall = s.sigma / t.sigma
        return fall * (fall * t.alpha / s.alpha) ** self.tau**2 if self.tau else fall

    def reach(self, t: Level, s: Level) -> float:
        return s.alpha - self.carry(t, s) * t.alpha

    def _tilt(self, level: Level) -> float:
        return (level.alpha / level.sigma) ** self.tau**2 if self.tau else 1.0


@dataclass(frozen=True)
class Angular(Basis):
    """x/√(α² d² + σ²) against θ = atan(σ/(α d)), slope cos θ ε - sin θ x_0/d, where d is the
    standard deviation of the data: the velocity on the circle, v of Salimans and Ho 2022.

    The slope of a belief that never changes still turns, so Euler's step here is not DDIM's; where
    the data are nearly Gaussian of deviation d, the slope hardly changes at all.
    """

    deviation: float = 1.0

    def scale(self, level: Level) -> float:
        return math.hypot(level.alpha * self.deviation, level.sigma)

    def variable(self, level: Level) -> float:
        return math.atan2(level.sigma, level.alpha * self.deviation)

    def ratio(self, variable: float) -> float:
        return self.deviation * math.tan(variable) if variable < 0.5 * math.pi else math.inf

    def combine(self, x_0: Part, noise: Part, level: Level) -> Part:
        angle = self.variable(level)
        return math.cos(angle) * noise - (math.sin(angle) / self.deviation) * x_0
