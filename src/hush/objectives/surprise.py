"""How surprised a belief is by the truth."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from hush.distributions import Distribution
from hush.errors import UserError
from hush.objectives.base import Loss, Objective
from hush.objectives.variational import elements
from hush.processes import Process
from hush.schedules import Level


@dataclass(frozen=True)
class Surprise(Objective):
    """-log p(x_0 | x_t), in nats per element: of tokens the cross-entropy, of numbers with a
    variance ½ (log 2π Var + (x_0 - x̂_0)²/Var), whose best answer is the mean and variance of x_0
    given x_t.

    `only_variance` holds the mean fixed. Raises `UserError` for a belief without a variance.
    """

    only_variance: bool = False

    def judge(
        self,
        process: Process,
        belief: Distribution,
        x_0: Any,
        x_t: Any,
        level: Level,
        mask: Tensor | None = None,
    ) -> Loss:
        if mask is not None:
            raise UserError("The surprise counts whole samples: train it without a mask.")
        if belief.is_point:
            raise UserError(
                "A belief without a variance is surprised without end: give the denoiser one, such "
                "as variances.Share()."
            )
        belief = belief.detached() if self.only_variance else belief
        return -belief.log_prob(x_0) / elements(x_0)
