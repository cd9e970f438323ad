"""Steps that choose their own length, for each sample apart."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple

import torch
from jaxtyping import Float64
from torch import Tensor

from hush.denoisers import Denoiser
from hush.errors import UserError
from hush.samplers.base import Sampler, State
from hush.schedules import Level
from hush.tensors import Condition, expand

Each = Float64[Tensor, " batch"]
_LANDING = 1 / 8  # how much nearer to the data each attempt to land on them begins


class Spent(NamedTuple):
    """The memory of `Adaptive`: how often each sample has asked the denoiser since the memory was
    begun, and the length in τ that its next step will try, both (batch,)."""

    evaluations: Tensor
    length: Each


@dataclass(frozen=True)
class _Flow:
    """dy/dτ = ε - x_0 in y = x/(α + σ) and τ = σ/(α + σ), finite from noise to data, where every
    sample has a τ of its own."""

    denoiser: Denoiser
    cond: Condition | None

    def slope(self, y: Tensor, tau: Each) -> Tensor:
        schedule = self.denoiser.process.schedule
        level = schedule.level(schedule.time(-2.0 * tau.logit()))
        alpha, sigma = expand(level.alpha, y), expand(level.sigma, y)
        x = (alpha + sigma) * y
        x_0 = self.denoiser(x, level, self.cond).mean
        return (x - alpha * x_0) / sigma - x_0

    def of(self, part: Tensor) -> "_Flow":
        """The flow of some of the samples."""
        return self if self.cond is None else replace(self, cond=self.cond[part])


@dataclass(frozen=True)
class _Walkers:
    """The samples on their way: where each is, the slope there, the length it will try next and
    what it has asked. All of a sample's numbers are its own."""

    y: Tensor
    tau: Each
    slope: Tensor
    length: Each
    evaluations: Tensor

    def __getitem__(self, part: Tensor) -> "_Walkers":
        return _Walkers(*(value[part] for value in vars(self).values()))

    def put(self, part: Tensor, others: "_Walkers") -> "_Walkers":
        """These, with some of them replaced."""
        pairs = zip(vars(self).values(), vars(others).values(), strict=True)
        return _Walkers(*(mine.index_put((part,), other) for mine, other in pairs))


@dataclass(frozen=True)
class Adaptive(Sampler):
    """The probability-flow ODE to a tolerance: within each step of the grid, as many steps of
    Dormand and Prince's fifth-order rule as its fourth-order companion says are needed, a sample's
    own number for each sample. A grid of one step is enough.

    A step is taken where the root mean square of error/(atol + rtol·|y|) over the sample's elements
    is at most 1, y = x/(α + σ), which at the data is x. Results do not depend on the batch; samples
    that have arrived are not asked about again.

    At σ = 0 there is no noise to ask about, and Dormand and Prince ask at the end of a step. So the
    last stretch is one step of Bogacki and Shampine's third-order rule, which asks before its end,
    checked by the midpoint's: it is tried from an eighth of where the walk stands, and again from
    an eighth of that, until it holds.

    rtol, atol  tolerances; in single precision below about 1e-6 they cannot be held
    attempts    the most steps in a row, taken or not, before it arrives, tries to land or gives up

    The memory of a state tells the cost: `state.memory.evaluations` (batch,). Errors follow the
    tolerance and not the grid.

    Raises:
        UserError: the tolerance was not met in so many attempts.
    """

    rtol: float = 1e-5
    atol: float = 1e-5
    attempts: int = 1000

    order: ClassVar[int] = 0
    cite: ClassVar[str] = (
        "Dormand, Prince 1980, A family of embedded Runge-Kutta formulae; "
        "Bogacki, Shampine 1989, A 3(2) pair of Runge-Kutta formulas; "
        "Song et al. 2021, Score-based generative modeling through SDEs, section 4.3"
    )

    def __post_init__(self) -> None:
        if not (self.rtol >= 0.0 and self.atol > 0.0 and self.attempts > 0):
            raise UserError(
                "Adaptive needs rtol ≥ 0, atol > 0 and attempts > 0, got "
                f"rtol={self.rtol}, atol={self.atol}, attempts={self.attempts}."
            )

    def step(
        self, denoiser: Denoiser, state: State, s: Level, cond: Condition | None = None
    ) -> State:
        flow, walkers = _Flow(denoiser, cond), self._start(state)
        walkers = replace(walkers, slope=flow.slope(walkers.y, walkers.tau))
        end = torch.full_like(walkers.tau, _tau(s))
        noisy = s.sigma > 0.0
        walkers = self._reach(flow, walkers, end) if noisy else self._land(flow, walkers)
        memory = Spent(walkers.evaluations, walkers.length)
        return state.moved((s.alpha + s.sigma) * walkers.y, s, memory)

    def _start(self, state: State) -> _Walkers:
        y = state.x / (state.t.alpha + state.t.sigma)
        whole = torch.full((len(y),), _tau(state.t), dtype=torch.float64, device=y.device)
        spent, length = state.memory or (torch.zeros_like(whole, dtype=torch.long), whole)
        return _Walkers(y, whole, torch.zeros_like(y), length, spent + 1)

    def _reach(self, flow: _Flow, walkers: _Walkers, end: Each) -> _Walkers:
        """All of them at the τ of `end`, each in its own steps."""
        for _ in range(self.attempts):
            on_the_way = (walkers.tau > end).nonzero().squeeze(1)
            if not len(on_the_way):
                return walkers
            tried = self._try(flow.of(on_the_way), walkers[on_the_way], end[on_the_way])
            walkers = walkers.put(on_the_way, tried)
        raise UserError(
            f"Adaptive got no further than τ = {walkers.tau.max().item():.3g} (σ/(α + σ), 0 being "
            f"the data) in {self.attempts} attempts at rtol={self.rtol:g}, atol={self.atol:g}: "
            "allow more attempts or a larger tolerance, or compute in double precision."
        )

    def _try(self, flow: _Flow, at: _Walkers, end: Each) -> _Walkers:
        """One attempt each: farther on where the error is small enough, and the next length."""
        from scipy.integrate import RK45  # heavy: imported by the walk that needs it

        left = at.tau - end
        length = at.length.minimum(left)
        slopes = _stages(flow, at, length, RK45)
        y = _moved(at.y, length, RK45.B, slopes)
        tau = torch.where(length < left, at.tau - length, end)
        slopes.append(flow.slope(y, tau))
        error = self._error(at.y, y, _moved(torch.zeros_like(y), length, RK45.E, slopes))
        taken = error <= 1.0
        change = (0.9 * error**-0.2).clamp(0.2, 10.0)
        return _Walkers(
            _where(taken, y, at.y),
            _where(taken, tau, at.tau),
            _where(taken, slopes[-1], at.slope),
            length * _where(taken, change, change.clamp(max=1.0)),
            at.evaluations + len(RK45.C),
        )

    def _land(self, flow: _Flow, walkers: _Walkers) -> _Walkers:
        """All of them on the data."""
        from scipy.integrate import RK23

        while len(aloft := (walkers.tau > 0.0).nonzero().squeeze(1)):
            here, part = walkers[aloft], flow.of(aloft)
            here = self._reach(part, here, _LANDING * here.tau)
            slopes = _stages(part, here, here.tau, RK23)
            y = _moved(here.y, here.tau, RK23.B, slopes)
            off = _moved(torch.zeros_like(y), here.tau, RK23.B - [0.0, 1.0, 0.0], slopes)
            landed = self._error(here.y, y, off) <= 1.0
            here = replace(
                here,
                y=_where(landed, y, here.y),
                tau=here.tau.where(~landed, 0.0),
                evaluations=here.evaluations + len(RK23.C) - 1,
            )
            walkers = walkers.put(aloft, here)
        return walkers

    def _error(self, y: Tensor, new: Tensor, off: Tensor) -> Each:
        """The root mean square of the error in units of what is allowed; infinite if not finite."""
        allowed = self.atol + self.rtol * torch.maximum(y.abs(), new.abs())
        share = (off / allowed).double().flatten(1).square().mean(1).sqrt()
        return share.nan_to_num(torch.inf, torch.inf)


def _stages(flow: _Flow, at: _Walkers, length: Each, rule: Any) -> list[Tensor]:
    """The slopes of a Runge-Kutta rule of scipy's over a step of this length toward the data."""
    slopes = [at.slope]
    for shares, part in zip(rule.A[1:], rule.C[1:], strict=True):
        y = _moved(at.y, length, shares, slopes)
        slopes.append(flow.slope(y, at.tau - part * length))
    return slopes


def _moved(y: Tensor, length: Each, shares: Any, slopes: list[Tensor]) -> Tensor:
    """y - length·Σ_i share_i slope_i: τ falls."""
    mean = sum(float(share) * slope for share, slope in zip(shares, slopes, strict=False))
    return y - expand(length, y) * mean


def _where(chosen: Tensor, one: Tensor, other: Tensor) -> Tensor:
    return torch.where(chosen.reshape(-1, *(1,) * (one.ndim - 1)), one, other)


def _tau(level: Level) -> float:
    return level.sigma / (level.alpha + level.sigma)
