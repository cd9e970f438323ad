"""A network as a belief over states of several parts, and over one part when another is given."""

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from hush.denoisers.base import Denoiser
from hush.denoisers.gaussian import ticks
from hush.denoisers.parameterisations import EDM, Parameterisation
from hush.distributions import Gaussian, Product
from hush.errors import UserError
from hush.networks.given import PICTURE
from hush.processes import Moment, ProductProcess
from hush.processes.product import Still
from hush.rng import Streams
from hush.schedules import Level
from hush.tensors import Condition, Number, expand

State = dict[str, Tensor]
_PLACES = 2**30  # of the times that have noise of their own


class ProductDenoiser(Denoiser):
    """Gaussian beliefs over all parts of a state from one network, which sees the parts one after
    the other along the channels and answers for each in its place:

    x_0 = skip·x_t + out·network(c_in·x_t, clock, cond), the coefficients of each part at its own
    noise level. The clock is that of the first part. `network` maps (batch, channel, *space) to the
    same shape; a part that stays still is seen, and believed as it is.
    """

    def __init__(
        self,
        process: ProductProcess,
        network: nn.Module,
        parameterisation: Parameterisation | None = None,
    ) -> None:
        super().__init__()
        self.process, self.network = process, network
        self.parameterisation = parameterisation or EDM()

    def forward(self, x_t: State, t: Moment, cond: Condition | None = None) -> Product:
        first, says = self.process.schedule.level(t), self.parameterisation
        levels = self._levels(first.time)
        seen = [expand(says.c_in(level), x_t[name]) * x_t[name] for name, level in levels.items()]
        clock = says.clock(self.process.schedule, first)
        whole = torch.cat(seen, 1)
        answer = self.network(whole, ticks(clock, whole), cond).to(whole.dtype)
        answers = answer.split([part.shape[1] for part in seen], 1)
        beliefs = {}
        for (name, level), own in zip(levels.items(), answers, strict=True):
            part, x = self.process.parts[name], x_t[name]
            if isinstance(part, Still):
                beliefs[name] = part.certain(x)
                continue
            skip, out = says.belief(part.schedule, level)
            beliefs[name] = Gaussian.of(((skip, x), (out, own)), 0.0, part.noise)
        return Product(beliefs)

    def _levels(self, time: Number) -> dict[str, Level]:
        """Where each part is at a time."""
        return {
            name: Level(time, 1.0, 0.0) if isinstance(part, Still) else part.schedule.level(time)
            for name, part in self.process.parts.items()
        }


class DiffusedCondition(Denoiser):
    """p(x_0 | x_t, y) as a joint belief has it: y is shown as noisy as its own process makes it at
    t, y_t ~ q(y_t | y), and of the belief over (x, y) the part of x is taken. It is a denoiser of x
    alone, for any sampler.

    `joint` is a denoiser of states {"x", "y"}; y is the condition, or its part "picture", in [0, 1]
    and moved to [-1, 1]. Noise is drawn afresh at every level, as in the paper: of its errors the
    steps of a walk see the mean. It is a function of the sample's stream and the level, so the
    belief is one of x_t and t. `begun` gives it the streams; without them samples are the first
    ones of seed 0.

    Raises:
        UserError: y is missing, or there are more samples than streams.
    """

    cite: ClassVar[str] = (
        "Batzolis, Stanczuk, Schönlieb, Etmann 2021, Conditional image generation with score-based "
        "diffusion models"
    )

    def __init__(self, joint: Denoiser, rng: Streams | None = None) -> None:
        super().__init__()
        self.joint, self.process, self.rng = joint, joint.process.parts["x"], rng

    @property
    def network(self) -> nn.Module:
        """The joint denoiser's."""
        return self.joint.network

    def begun(self, rng: Streams) -> "DiffusedCondition":
        """The denoiser of a walk whose samples have these streams."""
        return DiffusedCondition(self.joint, rng)

    def among(self, samples: list[int]) -> "DiffusedCondition":
        """That with the streams of these samples."""
        return self if self.rng is None else DiffusedCondition(self.joint, self.rng[samples])

    def pair(self, x: Tensor, cond: Condition | None) -> State:
        """The state that x makes with the y of a condition."""
        y = cond.get(PICTURE) if isinstance(cond, Mapping) else cond
        if y is None:
            raise UserError("This model draws x for a given y: give it one as the condition.")
        return {"x": x, "y": 2.0 * y.to(x) - 1.0}

    def forward(self, x_t: Tensor, t: Moment, cond: Condition | None = None) -> Gaussian:
        level, pair = self.process.schedule.level(t), self.pair(x_t, cond)
        law = self.joint.process.parts["y"].marginal(pair["y"], level.time)
        y_t = law.sample(self._streams(level.time, x_t))
        return self.joint({"x": x_t, "y": y_t}, level).parts["x"]

    def _streams(self, time: Number, x: Tensor) -> Streams:
        """Those of a time, told apart by the upper half of the samples' numbers."""
        rng = Streams.of(0, len(x), device=x.device) if self.rng is None else self.rng
        if len(rng) != len(x):
            raise UserError(
                f"There are {len(x)} samples and streams of {len(rng)}: a walk needs one for each. "
                "A model that is always told y cannot be guided by leaving it out."
            )
        place = torch.as_tensor(time, dtype=torch.float64, device=rng.index.device) * _PLACES
        return replace(rng, index=rng.index + (place.round().long() << 32))
