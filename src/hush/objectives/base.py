"""What an objective is: noise the data, ask for the belief, judge it."""

from dataclasses import dataclass, field
from typing import Any

from jaxtyping import Float
from torch import Tensor

from hush.denoisers import Denoiser
from hush.distributions import Distribution
from hush.objectives.times import TimeLaw, Uniform
from hush.processes import Moment, Process
from hush.rng import Streams
from hush.schedules import Level
from hush.tensors import Condition, drop

Loss = Float[Tensor, " batch"]


@dataclass(frozen=True, kw_only=True)
class Objective:
    """What training makes small: E_t E_{x_t ~ q(x_t | x_0)} of how a belief is judged.

    `times` are the t that are drawn; a share `cond_dropout` of the conditions is hidden, as
    classifier-free guidance needs. A subclass writes `judge`, or `at` where it needs more than the
    belief at one x_t.
    """

    times: TimeLaw = field(default_factory=Uniform)
    cond_dropout: float = 0.1

    def __call__(
        self,
        denoiser: Denoiser,
        x_0: Any,
        rng: Streams,
        cond: Condition | None = None,
        mask: Tensor | None = None,
    ) -> Loss:
        """The loss of each sample at a time and with noise from its own stream (three draws).
        `mask` is true where the error counts."""
        schedule = denoiser.process.schedule
        t = self.times(schedule, rng)
        if cond is not None and self.cond_dropout > 0.0:
            cond = drop(cond, rng.next(2).uniform() < self.cond_dropout)
        loss = self.at(denoiser, x_0, t, rng.next(), cond, mask)
        correction = self.times.correction(schedule, t)
        self.times.observe(schedule, t, loss)
        return loss if isinstance(correction, float) else correction.to(loss) * loss

    def at(
        self,
        denoiser: Denoiser,
        x_0: Any,
        t: Moment,
        rng: Streams,
        cond: Condition | None = None,
        mask: Tensor | None = None,
    ) -> Loss:
        """The loss of each sample at the times t (batch,)."""
        process = denoiser.process
        level = process.schedule.level(t)
        x_t = process.marginal(x_0, level).sample(rng)
        return self.judge(process, denoiser(x_t, level, cond), x_0, x_t, level, mask)

    def judge(
        self,
        process: Process,
        belief: Distribution,
        x_0: Any,
        x_t: Any,
        level: Level,
        mask: Tensor | None = None,
    ) -> Loss:
        """How wrong a belief about x_0 is that was formed at x_t, per sample."""
        raise NotImplementedError(f"{type(self).__name__} judges more than one belief: use `at`.")
