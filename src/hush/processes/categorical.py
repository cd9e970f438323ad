"""The forward process of tokens, for any schedule and any kernel."""

from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from hush.distributions import Categorical
from hush.errors import UserError
from hush.processes.base import Moment, Process
from hush.processes.kernels import Kernel, Uniform
from hush.processes.kernels.base import rows
from hush.schedules import Level, Schedule, Tabulated

State = Int64[Tensor, "batch *event"]


@dataclass(frozen=True)
class CategoricalProcess(Process):
    """q(x_t | x_0) = Cat(Q̄_t[x_0]), each token by itself, Q̄_t = Q_{t|0} of the kernel.

    Austin et al. 2021, "Structured denoising diffusion models in discrete state-spaces". States are
    integers from 0; those of the data come first, a mask last. Arithmetic is float64.
    """

    schedule: Schedule = field(default_factory=Tabulated)
    kernel: Kernel = field(default_factory=Uniform)

    def prior(self, shape: tuple[int, ...], like: Tensor) -> Categorical:
        """The law that the kernel takes all states to."""
        law = self.kernel.stationary().to(like.device)
        return Categorical(law.log().expand(*shape, -1))

    def marginal(self, x_0: State, t: Moment) -> Categorical:
        """Cat(Q̄_t[x_0])."""
        return self.transition(x_0, self.schedule.level(0.0), t)

    def transition(self, x_s: State, s: Moment, t: Moment) -> Categorical:
        """Cat(Q_{t|s}[x_s])."""
        s, t = self.schedule.level(s), self.schedule.level(t)
        return Categorical(self.kernel.forth(x_s, self.schedule, s, t).log())

    def reverse(
        self, posterior: Categorical, x_t: State, s: Moment, t: Moment, eta: float = 1.0
    ) -> Categorical:
        """Σ_{x_0} p(x_0) q(x_s | x_t, x_0) over x_0 ~ posterior, with
        q(x_s | x_t, x_0) = Q_{t|s}[x_s, x_t] Q̄_s[x_0, x_s]/Q̄_t[x_0, x_t]. What the posterior gives
        to x_0 that cannot have led to x_t does not count. D3PM, eq. 3.

        Raises:
            UserError: `eta` is not 1: tokens have no walk with less noise.
        """
        if eta != 1.0:
            raise UserError(
                f"eta is {eta:g}, but a walk over tokens always draws with the chain's own noise: "
                "use eta 1, Ancestral()."
            )
        s, t = self.schedule.level(s), self.schedule.level(t)
        onto = self.kernel.back(x_t, self.schedule, s, t)
        p = self._weighed(posterior, x_t, t)
        return Categorical.of(onto * self.kernel.onward(p, self.schedule, self._clean(t), s))

    def certain(self, x_0: State) -> Categorical:
        return Categorical.certain(x_0, self.kernel.states)

    def seen(self, x_t: State, t: Moment) -> Categorical:
        """∝ q(x_t | x_0)."""
        return Categorical(self.evidence(x_t, self.schedule.level(t)).log())

    def evidence(self, x_t: State, t: Level) -> Float[Tensor, "batch *event state"]:
        """q(x_t | x_0) for every x_0 that each token may have been: data are never the mask."""
        likely = self.kernel.back(x_t, self.schedule, self._clean(t), t)
        masks = torch.arange(self.kernel.states, device=x_t.device) >= self.kernel.tokens
        return likely.masked_fill(masks, 0.0)

    def rate(
        self, x_0: State, posterior: Categorical, x_t: State, t: Moment
    ) -> Float[Tensor, " batch"]:
        """Σ_{y ≠ x_t} p(y) - q(y) + q(y) log q(y)/p(y), the divergence of two jump processes, with
        q(y) = R_t[y, x_t] Q̄_t[x_0, y]/Q̄_t[x_0, x_t] the rate at which the past was y, and p(y) its
        average over the belief. Campbell et al. 2022, "A continuous time framework for discrete
        denoising models"; with a mask alone it is Σ_masked -κ'/(1 - κ) log p(x_0).
        """
        t = self.schedule.level(t)
        true = self._jumps(self.certain(x_0), x_t, t)
        belief = self._jumps(posterior, x_t, t).clamp(min=torch.finfo(torch.float64).tiny)
        gain = torch.where(true > 0.0, true * (true / belief).log(), 0.0)
        return (belief - true + gain).flatten(1).sum(1)

    def _jumps(self, posterior: Categorical, x_t: State, t: Level) -> Tensor:
        """The rates of having come from each state, 0 for x_t itself."""
        onto = rows(self.kernel.generator(self.schedule, t).transpose(-1, -2), x_t)
        p = self._weighed(posterior, x_t, t)
        there = self.kernel.onward(p, self.schedule, self._clean(t), t)
        here = torch.nn.functional.one_hot(x_t, self.kernel.states) > 0
        return torch.where(here, 0.0, onto * there)

    def _weighed(self, posterior: Categorical, x_t: State, t: Level) -> Tensor:
        """p(x_0)/q(x_t | x_0), nothing where x_0 cannot have led to x_t, scaled to Σ p = 1."""
        evidence = self.evidence(x_t, t)
        possible = evidence > 0.0
        p = torch.where(possible, posterior.probs.double(), 0.0)
        total = p.sum(-1, keepdim=True)
        return p / torch.where(possible, evidence, 1.0) / torch.where(total > 0.0, total, 1.0)

    def _clean(self, t: Level) -> Level:
        """The level of the data, shared or per sample as t is."""
        like = t.time
        return self.schedule.level(torch.zeros_like(like) if isinstance(like, Tensor) else 0.0)
