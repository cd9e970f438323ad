"""The likelihood of the probability flow: the change of variables along its ODE.

x_0 ──► up the flow, gathering the trace of its Jacobian ──► x_1 ──► the density of the prior
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from hush.denoisers import Denoiser
from hush.errors import UserError
from hush.noise import White
from hush.processes import GaussianProcess
from hush.rng import Streams
from hush.schedules import Level
from hush.tensors import Condition

State = Float[Tensor, " batch *event"]


@dataclass(frozen=True)
class Flow:
    """log p_0(x_0) of the model that draws x_1 from the prior and follows the flow to the data.

    In y = x/(α + σ) and τ = σ/(α + σ) every schedule has the flow dy/dτ = ε̂ - x̂_0 = (y - x̂_0)/τ,
    along which d log p/dτ is minus its divergence. So for events of D elements

        log p_0(x_0) = log p_1(x_1) + D log((α_1 + σ_1)(1 - τ_0)) + ∫ (D - tr ∂x̂_0/∂y)/τ dτ

    from τ_0, where σ/α is `start`, to τ_1. Before τ_0 x/α is taken to stay where it is, which errs
    by O(start²): this is exactly the density of the model's x/α there, and integrates to one.

    trace      "exact": D vector-Jacobian products at a time; "hutchinson": unbiased, eᵀ(∂x̂_0/∂y)e
    probes     the random vectors e of signs ±1 it is averaged over, the same all along the flow
    tolerance  of the solver, absolute and relative, for y and for the integral
    start      σ/α where the flow begins: 1e-3 is t = 1e-5 of the variance-preserving SDE; the
               network of a chain knows nothing below its first step (0.01 for DDPM's)

    Steps are the whole batch's, so its other samples change an answer within the tolerance. The
    network is asked in the precision of x_0 (below about 1e-6 single precision costs many steps),
    all else is float64; no gradient comes back.

    Raises:
        UserError: the noise is not white, an answer is not finite, or the tolerance was not met.
    """

    trace: Literal["exact", "hutchinson"] = "hutchinson"
    probes: int = 1
    tolerance: float = 1e-5
    start: float = 1e-3

    cite: ClassVar[str] = (
        "Song et al. 2021, Score-based generative modeling through SDEs, section 4.3; "
        "Grathwohl et al. 2019, FFJORD: free-form continuous dynamics for scalable reversible "
        "generative models"
    )

    def __post_init__(self) -> None:
        if self.trace not in ("exact", "hutchinson"):
            raise UserError(f'trace must be "exact" or "hutchinson", got {self.trace!r}.')
        if not (self.probes > 0 and self.tolerance > 0.0 and self.start > 0.0):
            raise UserError(
                "Flow needs probes, tolerance and start above 0, got "
                f"probes={self.probes}, tolerance={self.tolerance}, start={self.start}."
            )

    def __call__(
        self,
        denoiser: Denoiser,
        x_0: State,
        rng: Streams,
        cond: Condition | None = None,
        end: Callable[[Tensor], Tensor] | None = None,
    ) -> Float64[Tensor, " batch"]:
        """log p_0(x_0) in nats, per unit volume of x_0. `end` is log p_1, (batch, *event) to
        (batch,), where a better one is known than the process's prior. A draw for each probe."""
        _white(denoiser)
        last = denoiser.process.schedule.level(1.0)
        total, first = last.alpha + last.sigma, self.start / (1.0 + self.start)
        climb = _Climb(denoiser, cond, self._probes(x_0, rng), last)
        y, gathered = self._solved(climb, first, (1.0 - first) * x_0.detach().double())
        x_1 = total * y
        log_end = end or denoiser.process.prior(tuple(x_1.shape), x_1).log_prob
        stretch = math.log(total * (1.0 - first))
        return log_end(x_1) + math.prod(x_0.shape[1:]) * stretch + gathered

    def _probes(self, x: State, rng: Streams) -> Float[Tensor, "probe batch *event"]:
        """Vectors e for which Σ_e eᵀ J e is the trace of J, or has it as its mean."""
        event, size = tuple(x.shape[1:]), math.prod(x.shape[1:])
        if self.trace == "exact":
            units = torch.eye(size, dtype=x.dtype, device=x.device)
            return units.reshape(size, 1, *event).expand(size, *x.shape)
        signs = torch.stack([rng.next(k).uniform(event) - 0.5 for k in range(self.probes)]).sign()
        return signs.to(x) / self.probes**0.5

    def _solved(self, climb: "_Climb", first: float, y: State) -> tuple[State, Tensor]:
        """y and the integral, at the end of the flow."""
        from scipy.integrate import solve_ivp  # heavy, and only needed here

        rows = torch.cat((y.flatten(1), y.new_zeros(len(y), 1)), 1)
        end = _tau(climb.last)
        solved = solve_ivp(
            climb,
            (first, end),
            rows.flatten().cpu().numpy(),
            method="RK45",  # networks are rough in time: higher orders ask them more
            t_eval=(end,),  # keeps nothing of the way
            rtol=self.tolerance,
            atol=self.tolerance,
        )
        if not solved.success:
            raise UserError(
                f"The flow could not be followed to a tolerance of {self.tolerance:g}: "
                f"{solved.message} Allow a larger tolerance, or compute in double precision."
            )
        rows = torch.from_numpy(solved.y[:, -1].copy()).to(y.device).reshape(rows.shape)
        return rows[:, :-1].reshape(y.shape), rows[:, -1]


@dataclass(frozen=True)
class _Climb:
    """The slope of (y, the integral) in τ, one row per sample, as scipy asks for it."""

    denoiser: Denoiser
    cond: Condition | None
    probes: Tensor
    last: Level

    def __call__(self, tau: float, rows: np.ndarray) -> np.ndarray:
        level, shape = self._level(tau), self.probes.shape[1:]
        total = level.alpha + level.sigma
        state = torch.from_numpy(rows).to(self.probes.device).reshape(len(self.probes[0]), -1)
        y = state[:, :-1]
        x = (total * y).to(self.probes.dtype).reshape(shape)
        x_0, trace = self._belief(x, level)
        slope = (y - x_0.double().flatten(1)) / tau
        divergence = (y.shape[1] - total * trace) / tau
        slopes = torch.cat((slope, divergence.unsqueeze(1)), 1)
        if not slopes.isfinite().all():  # scipy would never give up
            raise UserError(
                f"At t = {level.time:g} the denoiser's answer or its derivative is not "
                "finite: check the data, and that the network can answer at every noise level."
            )
        return slopes.flatten().cpu().numpy()

    def _belief(self, x: Tensor, level: Level) -> tuple[Tensor, Tensor]:
        """x̂_0, and Σ_e eᵀ (∂x̂_0/∂x) e of each sample."""
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            x_0 = self.denoiser(x, level, self.cond).mean
        trace = torch.zeros(len(x), dtype=torch.float64, device=x.device)
        for probe in self.probes:
            (product,) = torch.autograd.grad(x_0, x, probe, retain_graph=True)
            trace += (product * probe).double().flatten(1).sum(1)
        return x_0.detach(), trace

    def _level(self, tau: float) -> Level:
        if tau >= _tau(self.last):
            return self.last
        return self.denoiser.process.schedule.at_ratio(tau / (1.0 - tau))


def _tau(level: Level) -> float:
    return level.sigma / (level.alpha + level.sigma)


def _white(denoiser: Denoiser) -> None:
    process = denoiser.process
    if not isinstance(process, GaussianProcess) or process.noise != White():
        raise UserError(
            f"The flow's likelihood is known for Gaussian processes of White() noise, got "
            f"{process}: use a variational bound."
        )
