"""Guidance by a classifier of noised states."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from hush.denoisers import Denoiser
from hush.distributions import Gaussian
from hush.guidance.evidence import Evidence, ascend
from hush.schedules import Level
from hush.tensors import Condition, absent

LogProb = Callable[[Tensor, Level, Tensor], Tensor]


@dataclass(frozen=True)
class Classifier(Evidence):
    """score ← score + scale·∇ log p(c | x_t): x̂_0 gains scale·σ²/α times the gradient.

    `log_prob(x_t, level, cond)` (batch,) is a classifier's answer in nats, taught on noised states,
    that of each sample alone; `level` says how noised they are, and conditions come as they are,
    absent ones (-1, NaN) too. The model is asked without its condition, so one that was never given
    any will do. At scale 1 and with an exact classifier the belief's mean is the conditional one.
    Without a log_prob, or where no condition is given, there is no guidance. Tokens have no
    gradient in x_t and are refused.

    Raises:
        UserError: as `Evidence` does.
    """

    log_prob: LogProb | None = None
    scale: float = 1.0

    cite: ClassVar[str] = "Dhariwal and Nichol 2021, Diffusion models beat GANs on image synthesis"

    @property
    def speaks(self) -> bool:
        return self.log_prob is not None

    def weigh(
        self, denoiser: Denoiser, x_t: Tensor, level: Level, cond: Condition | None
    ) -> tuple[Gaussian, Tensor]:
        belief = denoiser(x_t, level, absent(cond))
        if cond is None:
            return belief, torch.zeros_like(x_t)
        slope, _ = ascend(lambda x: (self.log_prob(x, level, cond), None), x_t)
        return belief, self.scale * slope
