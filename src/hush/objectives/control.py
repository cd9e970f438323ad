"""What a controlled equation is taught: to pass through what is known at the least cost."""

from dataclasses import dataclass

import torch
from torch import Tensor

from hush.denoisers.controlled import Controlled
from hush.networks.series import Known
from hush.objectives.base import Loss, Objective
from hush.processes import Moment
from hush.rng import Streams
from hush.tensors import Condition


@dataclass(frozen=True, kw_only=True)
class StochasticControl(Objective):
    """½ (C(known) + C(seen))/n in nats per known value, n their number: C is the cost of `Path`,
    ½ ∫ ‖u‖² dt - log p(what is passed | path), along a path through all that is known of a window
    and along one through what the task has left to be seen.

    Both bound -log p of what they pass. The first teaches the model, also how far it may be told
    from what it sees; the second the controls across what is hidden. `mask` is where a value is
    known and hidden. Two draws.
    """

    cond_dropout: float = 0.0

    def at(
        self,
        denoiser: Controlled,
        x_0: Tensor,
        t: Moment,
        rng: Streams,
        cond: Condition | None = None,
        mask: Tensor | None = None,
    ) -> Loss:
        prior = denoiser.process.prior(tuple(x_0.shape), x_0)
        noise = torch.cat((prior.sample(rng), prior.sample(rng.next())))
        seen = denoiser.told(cond, noise[: len(x_0)])
        hidden = torch.zeros_like(seen.seen) if mask is None else mask.expand_as(seen.seen)
        values = torch.where(hidden, x_0, seen.values)
        whole = seen._replace(values=values, seen=seen.seen | hidden)
        cost = denoiser.path(noise, _both(seen, seen), _both(whole, seen)).cost
        number = whole.seen.sum((1, 2)).clamp(min=1)
        return 0.5 * cost.unflatten(0, (2, -1)).sum(0) / number


def _both(one: Known, other: Known) -> Known:
    return Known(*(torch.cat(parts) for parts in zip(one, other, strict=True)))
