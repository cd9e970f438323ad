"""The bound of pairs: two things learnt together, each weighed as its own likelihood wants."""

from dataclasses import dataclass

from torch import Tensor

from hush.denoisers import Denoiser, DiffusedCondition
from hush.errors import UserError
from hush.objectives.base import Loss, Objective
from hush.processes import Moment
from hush.rng import Streams
from hush.tensors import Condition


@dataclass(frozen=True, kw_only=True)
class Joint(Objective):
    """E_t Σ -½ d(α²/σ²)/dt ‖x_0 - x̂_0‖² over the parts x and y = cond, each with the α and σ of its
    own process, in nats per element of x: likelihood weighting, part by part. A part that stays
    still counts nothing.

    A denoiser that is not in training is judged by its part x alone: x is what will be drawn, and
    so held-out losses can be read against those of any other denoiser of x, whatever y's speed.
    Batzolis et al. 2021, "Conditional image generation with score-based diffusion models".

    Raises:
        UserError: there is a mask, or no condition.
    """

    cond_dropout: float = 0.0

    def at(
        self,
        denoiser: Denoiser,
        x_0: Tensor,
        t: Moment,
        rng: Streams,
        cond: Condition | None = None,
        mask: Tensor | None = None,
    ) -> Loss:
        if mask is not None:
            raise UserError("Joint learns whole pairs: it cannot leave out what a mask hides.")
        state, judged = x_0, denoiser
        if isinstance(denoiser, DiffusedCondition):
            if denoiser.training:
                state, judged, cond = denoiser.pair(x_0, cond), denoiser.joint, None
            else:
                judged = denoiser.begun(rng.branch("y"))
        process = judged.process
        level = process.schedule.level(t)
        x_t = process.marginal(state, level).sample(rng)
        rate = process.rate(state, judged(x_t, level, cond), x_t, level)
        return rate / x_0[0].numel()
