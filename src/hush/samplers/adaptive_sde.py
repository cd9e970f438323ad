"""The reverse SDE in steps that each sample chooses for itself."""

import math
from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from hush.denoisers import Denoiser
from hush.errors import UserError
from hush.processes import GaussianProcess
from hush.rng import Streams
from hush.samplers.base import Sampler, State
from hush.samplers.stochastic import rates_of, score_of
from hush.schedules import Level
from hush.tensors import Condition, expand, per_sample, times, total

_LOUD = 100.0  # σ/α above which beliefs hardly change
_QUIET = 0.002  # and below which there is nothing left to draw
_FIRST = 0.01  # the first width tried, in time
_DEPTH = 14  # halvings of the clock, down to cells of 6e-5

Times = Float64[Tensor, " batch"]
States = Float[Tensor, "batch *event"]


@dataclass(frozen=True)
class Brownian:
    """A Brownian motion over [0, 1] of the process's own noise for each sample, each at a place of
    its own: u Z + Σ ½ 2^(-d/2) tent(2^d u) Z_{d,cell}, a tent for each halving of the cell around u
    (Lévy and Ciesielski's series), every Z from its own counter."""

    process: GaussianProcess
    streams: Streams
    event: tuple[int, ...]
    dtype: torch.dtype

    def __call__(self, place: Times) -> States:
        widths = 2.0 ** torch.arange(0, -_DEPTH, -1, dtype=place.dtype, device=place.device)
        cell, part = (place / widths[:, None]).floor(), (place / widths[:, None]).frac()
        tents = 0.5 * widths[:, None].sqrt() * (1.0 - (2.0 * part - 1.0).abs())
        nodes = torch.cat((torch.zeros_like(cell[:1]), 1.0 / widths[:, None] + cell)).long()
        # A counter of its own for every tent: in the upper word of the sample's number.
        index = (self.streams.index + (nodes << 32)).flatten()
        noise = self.process.noise(replace(self.streams, index=index), self.event, self.dtype)
        shares = torch.cat((place[None], tents)).to(noise)
        return torch.einsum("db,db...->b...", shares, noise.unflatten(0, shares.shape))

    def __getitem__(self, part: Int64[Tensor, " some"]) -> "Brownian":
        """The motions of some of the samples."""
        return replace(self, streams=replace(self.streams, index=self.streams.index[part]))


class Walkers(NamedTuple):
    """Where each sample stands: its state and time, the width it tries next, Euler's state of its
    step before, and its Brownian motion there."""

    x: States
    time: Times
    width: Times
    euler: States
    w: States


@dataclass(frozen=True)
class AdaptiveSDE(Sampler):
    """The reverse SDE by the stochastic improved Euler rule, in steps as wide as an error allows:

    x' = x - h [f x - g² ∇log p](x, t) + g_t √h z,     x" = x with all of that taken at (x', t - h),

    and the step goes to ½(x' + x") if |x' - ½(x' + x")|, each element over max(absolute,
    relative·max(|x'|, |x' of the step before|)), has a root mean square of at most 1. The width
    tried next is 0.9 h error^-0.9.

    Each sample has its own widths; those still on the way are evaluated, twice an attempt, until
    the slowest has come to s: a grid of 1 step leaves all to the error. The z are increments of one
    Brownian motion per sample (over (σ/α)^1/7), which a rejected step has seen too. So no noise is
    favoured for being small, and with smaller tolerances a seed comes nearer to one solution; the
    published code draws anew. Above σ/α = 100 a step is the process's own reverse law, and below
    0.002 it is the belief's mean. Raises `UserError` for a step of more than `attempts`.
    """

    absolute: float = 0.0078
    relative: float = 0.05
    attempts: int = 2000

    order: ClassVar[int] = 0
    cite: ClassVar[str] = (
        "Jolicoeur-Martineau et al. 2021, Gotta go fast when generating data with score-based "
        "models, algorithm 1"
    )

    def __post_init__(self) -> None:
        if not (self.absolute > 0.0 and self.relative >= 0.0):
            raise UserError(
                "The absolute tolerance must be positive and the relative not negative, got "
                f"{self.absolute} and {self.relative}."
            )

    def step(
        self, denoiser: Denoiser, state: State, s: Level, cond: Condition | None = None
    ) -> State:
        x, t, memory, process = state.x, state.t, state.memory, denoiser.process
        if t.log_ratio > math.log(_LOUD):
            first = s if s.log_ratio > math.log(_LOUD) else process.schedule.at_ratio(_LOUD)
            law = process.reverse(denoiser(x, t, cond), x, first, t)
            x, t = law.sample(state.rng), first
        end = s if s.sigma > 0.0 else process.schedule.at_ratio(_QUIET)
        if end.time < t.time:
            motion, walkers = memory or _start(denoiser, state, t)
            walkers = walkers._replace(x=x, time=torch.full_like(walkers.time, t.time))
            walkers = self._walked(denoiser, walkers, motion, end, cond)
            x, t, memory = walkers.x, end, (motion, walkers)
        if s.sigma == 0.0:
            x = denoiser(x, t, cond).mean
        return state.moved(x, s, memory)

    def _walked(
        self, denoiser: Denoiser, all_: Walkers, motion: Brownian, s: Level, cond: Condition | None
    ) -> Walkers:
        """All of them at s."""
        all_ = Walkers(*(values.clone() for values in all_))
        here = torch.arange(len(all_.x), device=all_.x.device)
        for _ in range(self.attempts):
            part = Walkers(*(values[here] for values in all_))
            given = cond if cond is None else cond[here]
            for values, new in zip(
                all_, self._attempt(denoiser, part, motion[here], s, given), strict=True
            ):
                values[here] = new
            here = here[all_.time[here] > s.time]
            if not len(here):
                return all_
        raise UserError(
            f"AdaptiveSDE did not come to t = {s.time:.4g} in {self.attempts} attempts, one sample "
            f"is still at {all_.time.max().item():.4g}: raise the tolerances, or the attempts."
        )

    def _attempt(
        self, denoiser: Denoiser, here: Walkers, motion: Brownian, s: Level, cond: Condition | None
    ) -> Walkers:
        """The walkers after one attempt: moved if it was good, and with another width."""
        x, time, schedule = here.x, here.time, denoiser.process.schedule
        after = torch.where(here.width >= time - s.time, s.time, time - here.width)
        width, start, end = time - after, schedule.level(time), schedule.level(after)
        w = motion(_clock(end))
        kick = expand((width / (_clock(start) - _clock(end))).sqrt(), x) * (here.w - w)

        def change(at: Tensor, level: Level) -> Tensor:
            f, g2 = rates_of(schedule, level)
            push = times(width * g2, score_of(denoiser(at, level, cond), at, level))
            return total(((g2**0.5, kick), (-width * f, at), *push))

        euler = x + change(x, start)
        improved = 0.5 * (euler + x + change(euler, end))
        allowed = self.relative * torch.maximum(euler.abs(), here.euler.abs())
        error = (euler - improved) / allowed.clamp(min=self.absolute)
        error = per_sample(error**2).double().sqrt()
        tried = (0.9 * width * error.clamp(min=1e-6) ** -0.9).clamp(max=1.0)
        good = error <= 1.0
        choice = _as(good, x)
        x, euler, w = (
            torch.where(choice, new, old)
            for new, old in ((improved, x), (euler, here.euler), (w, here.w))
        )
        return Walkers(x, torch.where(good, after, time), tried, euler, w)


def _start(denoiser: Denoiser, state: State, t: Level) -> tuple[Brownian, Walkers]:
    streams = state.rng.branch("adaptive")
    motion = Brownian(denoiser.process, streams, tuple(state.x.shape[1:]), state.x.dtype)
    time = torch.full((len(state.x),), t.time, dtype=torch.float64, device=state.x.device)
    w = motion(_clock(denoiser.process.schedule.level(time)))
    width = torch.full_like(time, _FIRST)
    return motion, Walkers(state.x, time, width, torch.zeros_like(state.x), w)


def _clock(level: Level) -> Times:
    """Where the Brownian motion is read: steps as wide as errors allow are about even in it."""
    return (level.sigma / (_LOUD * level.alpha)) ** (1 / 7)


def _as(choice: Tensor, like: Tensor) -> Tensor:
    """One choice for each sample, to broadcast over states."""
    return choice.reshape(-1, *(1,) * (like.ndim - 1))
