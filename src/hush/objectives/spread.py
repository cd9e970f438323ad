"""Teaching a belief how sure it is, its mean held fixed."""

from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor

from hush.distributions import Gaussian
from hush.objectives.base import Loss, Objective
from hush.processes import Process
from hush.schedules import Level
from hush.tensors import expand, per_sample


@dataclass(frozen=True)
class Spread(Objective):
    """‖square - α²/σ² Var[x_0 | x_t]‖², with the square of the noise that a network missed:

    of "residual"        (ε - ε̂)² (NPR-DPM)
    of "second_moment"   ε² - ε̂² (SN-DPM)

    Both have the conditional variance for their best answer where the mean is exact.
    Bao et al. 2022, "Estimating the optimal covariance with imperfect mean in diffusion
    probabilistic models", section 4.
    """

    of: Literal["residual", "second_moment"] = "residual"

    def judge(
        self,
        process: Process,
        belief: Gaussian,
        x_0: Any,
        x_t: Any,
        level: Level,
        mask: Tensor | None = None,
    ) -> Loss:
        alpha, sigma = expand(level.alpha, x_t), expand(level.sigma, x_t)
        noise, guess = ((x_t - alpha * data) / sigma for data in (x_0, belief.mean.detach()))
        square = (noise - guess) ** 2 if self.of == "residual" else noise**2 - guess**2
        error = (square - (alpha / sigma) ** 2 * belief.spread) ** 2
        return per_sample(error if mask is None else error * mask)
