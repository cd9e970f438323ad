"""Guidance by a judge of clean data, asked about what the belief holds to be x_0."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from hush.denoisers import Denoiser
from hush.distributions import Gaussian
from hush.guidance.classifier import LogProb
from hush.guidance.evidence import Evidence, through
from hush.schedules import Level
from hush.tensors import Condition


@dataclass(frozen=True)
class Judged(Evidence):
    """score ← score + scale·∇_{x_t} log p(y | x̂_0(x_t)): the gradient of a judge's answer about the
    mean of the belief, through the denoiser.

    `judge(x̂_0, level, cond)` (batch,) is in nats, that of each sample alone, and need never have
    seen noise: where `Classifier` wants one taught on noised states, this takes any that reads
    clean data, such as a classifier of pictures or their likeness to a text (`hush.tasks.edit`).
    x̂_0 is as the codec encodes it; `level` says how sure it is. What a judge looks at, such as the
    inside of a mask, is its own business. Where the data are Gaussian and the judge is linear,
    scale 1 is Bayes' rule; else x̂_0 stands for the x_0 that it is the mean of, and the scale is to
    be tried. A step costs two to three evaluations, and the memory of training. The condition is
    passed on. Without a judge, or at scale 0, there is no guidance.

    Raises:
        UserError: as `Evidence` does.
    """

    judge: LogProb | None = None
    scale: float = 1.0

    neutral: ClassVar[float | None] = 0.0
    cite: ClassVar[str] = (
        "Avrahami, Lischinski, Fried 2022, Blended diffusion for text-driven editing of natural "
        "images, arXiv:2111.14818"
    )

    @property
    def speaks(self) -> bool:
        return self.judge is not None and self.scale != 0.0

    def weigh(
        self, denoiser: Denoiser, x_t: Tensor, level: Level, cond: Condition | None
    ) -> tuple[Gaussian, Tensor]:
        def log_prob(belief: Gaussian) -> Tensor:
            return self.judge(belief.mean, level, cond)

        belief, slope = through(denoiser, log_prob, x_t, level, cond)
        return belief, self.scale * slope
