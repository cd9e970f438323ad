"""The variational bound as something to train on, one step of the chain at a time."""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from hush.distributions import Distribution
from hush.errors import UserError
from hush.likelihoods.bound import step
from hush.likelihoods.decoders import Decoder, Density
from hush.objectives.base import Loss, Objective
from hush.objectives.denoising import Denoising
from hush.processes import Process
from hush.schedules import Level, Schedule, Tabulated


@dataclass(frozen=True)
class Variational(Objective):
    """T·KL(q(x_s | x_t, x_0) ‖ p(x_s | x_t)) with s = t - 1/T, or at the first step
    -T log p(x_0 | x_t). With t uniform over the steps its mean is the bound less the prior term, in
    nats per element.

    T is the chain's own, `steps` where the schedule is continuous. `only_variance` holds the
    belief's mean fixed, so that the bound teaches its variance alone.
    Nichol and Dhariwal 2021, eq. 4; for tokens Austin et al. 2021 (D3PM), eq. 1.
    """

    decoder: Decoder = field(default_factory=Density)
    steps: int = 1000
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
            raise UserError("The variational bound counts whole samples: train it without a mask.")
        belief = belief.detached() if self.only_variance else belief
        count = _steps(process.schedule, self.steps)
        first = level.time * count < 1.5
        # At the first step the other branch is not wanted, but must stay finite for its gradient.
        before = torch.where(first, 0.5 * level.time, level.time - 1.0 / count)
        middle = step(process, belief, x_0, x_t, process.schedule.level(before), level)
        clean = process.schedule.level(torch.zeros_like(level.time))
        law = process.reverse(belief, x_t, clean, level).blurred_like(process.seen(x_t, level))
        data = -self.decoder(law, x_0)
        return torch.where(first, data, middle) * (count / elements(x_0))


@dataclass(frozen=True)
class Hybrid(Objective):
    """One objective plus a share of another, both of the same belief: L_simple + 0.001 L_vlb of
    Nichol and Dhariwal 2021, eq. 16; L_vlb + 0.001 cross-entropy of D3PM."""

    main: Objective = field(default_factory=Denoising)
    other: Objective = field(default_factory=lambda: Variational(only_variance=True))
    share: float = 0.001

    def judge(
        self,
        process: Process,
        belief: Distribution,
        x_0: Any,
        x_t: Any,
        level: Level,
        mask: Tensor | None = None,
    ) -> Loss:
        main = self.main.judge(process, belief, x_0, x_t, level, mask)
        return main + self.share * self.other.judge(process, belief, x_0, x_t, level, mask)


def _steps(schedule: Schedule, otherwise: int) -> int:
    return schedule.steps if isinstance(schedule, Tabulated) else otherwise


def elements(x_0: Any) -> int:
    """How many numbers a sample has."""
    parts = x_0.values() if isinstance(x_0, dict) else (x_0,)
    return sum(part[0].numel() for part in parts)
