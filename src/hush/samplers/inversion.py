"""Inversion: the walk from data to the noise they came from.

x_0 ──► rise ──► x at t ──► rise ──► … ──► x at t=1, from which a walk comes back to x_0
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import ClassVar, NamedTuple

from torch import Tensor

from hush.denoisers import Denoiser
from hush.errors import UserError
from hush.rng import Streams
from hush.samplers.ancestral import Ancestral
from hush.samplers.base import Sampler, State
from hush.samplers.bases import Basis, Velocity
from hush.samplers.multistep import Multistep
from hush.schedules import Level
from hush.tensors import Condition, times, total


class Stretch(NamedTuple):
    """A step that begins or ends where a state stands: the level of its other end, and the mean
    slope over it."""

    end: Level
    mean: Tensor


@dataclass(frozen=True)
class Reversible(Sampler):
    """A solver of second order whose every step can be undone exactly, for any denoiser: one
    evaluation down, the same one up.

    It is the two-step midpoint rule in the coordinates of a basis, y = x/scale against u. With p
    the level before t, h = u_t - u_p and k = u_s - u_t, the slope at t is a weighted mean of the
    mean slopes over the steps on either side:

        mean_ts = slope_t + share (slope_t - mean_pt),    share = k/h e^(-damping·(τ_t - τ_s)),
        y_s = y_t + k mean_ts,

    which (y_s, mean_ts) undo as (y_t, mean_pt) did. The slope is asked for at t alone, never at the
    data. A walk begins with a step of the midpoint rule, two evaluations; the mean is its memory.

    `damping` weakens what the rule has besides the flow, an oscillation from step to step, by
    e^-damping over the whole walk (τ = σ/(α + σ)); rounding grows by as much on the way up, and by
    the longest step over the shortest. The order is 2 for any damping. With the basis `Noise` and
    no damping it is O-BELM.
    """

    basis: Basis = field(default_factory=Velocity)
    damping: float = 1.0

    order: ClassVar[int] = 2
    cite: ClassVar[str] = (
        "Wang et al. 2024, BELM: bidirectional explicit linear multi-step sampler for exact "
        "inversion in diffusion models; "
        "McCallum, Foster 2024, Efficient, accurate and stable gradients for neural ODEs"
    )

    def __post_init__(self) -> None:
        if not math.isfinite(self.basis.variable(Level(0.0, 1.0, 0.0))):
            raise UserError(
                f"Reversible needs a basis that is finite at the data, and {self.basis} is not: "
                "use Velocity, Noise or Angular."
            )
        if not 0.0 <= self.damping < math.inf:
            raise UserError(f"The damping must not be negative, got {self.damping}.")

    def step(
        self, denoiser: Denoiser, state: State, s: Level, cond: Condition | None = None
    ) -> State:
        x, t, known = state.x, state.t, state.memory
        if not known:
            mean = self._middle(denoiser, state, s, cond)
        elif known.end.time < t.time:
            mean = _ahead(known, s)
        else:
            share = self._share(known.end, t, s)
            slope = self.basis.slope(denoiser(x, t, cond), x, t)
            mean = total((*times(1.0 + share, slope), (-share, known.mean)))
        return state.moved(self.basis.advance(x, t, s, mean), s, Stretch(t, mean))

    def rise(
        self, denoiser: Denoiser, state: State, t: Level, cond: Condition | None = None
    ) -> State:
        """The step from t to state.t, undone: the state at the noisier level t."""
        x, s, known = state.x, state.t, state.memory
        if not known:
            mean = self._opening(denoiser, state, t, cond)
        elif known.end.time > s.time:
            mean = _ahead(known, t)
        else:
            share = 1.0 / self._share(t, s, known.end)
            slope = self.basis.slope(denoiser(x, s, cond), x, s)
            mean = total((*times(1.0 + share, slope), (-share, known.mean)))
        return _risen(state, self.basis.advance(x, s, t, mean), t, Stretch(s, mean))

    def _share(self, p: Level, t: Level, s: Level) -> float:
        u, tau = self.basis.variable, Velocity().variable
        return (u(s) - u(t)) / (u(t) - u(p)) * math.exp(self.damping * (tau(s) - tau(t)))

    def _middle(self, denoiser: Denoiser, state: State, s: Level, cond: Condition | None) -> Tensor:
        """The slope half way to s."""
        x, t, basis = state.x, state.t, self.basis
        slope = basis.slope(denoiser(x, t, cond), x, t)
        half = 0.5 * (basis.variable(t) + basis.variable(s))
        middle = basis.level(denoiser.process.schedule, half)
        x = basis.advance(x, t, middle, slope)
        return total(basis.slope(denoiser(x, middle, cond), x, middle))

    def _opening(
        self, denoiser: Denoiser, state: State, t: Level, cond: Condition | None
    ) -> Tensor:
        """The mean slope up to t where an inversion begins."""
        x, s, basis = state.x, state.t, self.basis
        if s.sigma > 0.0:
            return self._middle(denoiser, state, t, cond)
        rise = _first(denoiser, x, t, cond) / basis.scale(t) - x / basis.scale(s)
        return rise / (basis.variable(t) - basis.variable(s))


def invert(
    sampler: Sampler,
    denoiser: Denoiser,
    x_0: Tensor,
    levels: Sequence[Level],
    rng: Streams,
    cond: Condition | None = None,
) -> Iterator[State]:
    """The states from data up to the noise that a walk of `sampler` along `levels` would take to
    them, the data first. `levels` fall, as for `walk`; what a state remembers belongs to them.

    With `Reversible` the last state leads back to x_0 exactly, to rounding, by the sampler's own
    steps: the latent is its x and its memory. With DDIM,
    `Ancestral(0.0)`, it is the usual approximation: each step up takes the slope of where it
    starts, so the way back errs by O(1/steps).

    At the data the noise is unknown; the first step asks the denoiser about α_t x_0 at the first
    noisy level, and takes the mean of that answer and of none, which errs by O(σ_t³) where the data
    have a density.
    Song et al. 2021, "Denoising diffusion implicit models", section 5.4.

    Raises:
        UserError: the sampler has no inverse, or the levels do not fall.
    """
    if sampler in (Ancestral(0.0), Multistep(1)):
        rise = _ddim
    elif isinstance(sampler, Reversible):
        rise = sampler.rise
    else:
        raise UserError(
            f"{sampler} cannot be inverted: use Reversible(), which is undone exactly, or DDIM, "
            "Ancestral(eta=0.0)."
        )
    if len(levels) < 2 or any(s.time >= t.time for t, s in pairwise(levels)):
        raise UserError("An inversion goes up levels that fall, two or more, got others.")
    state = State(x_0, levels[-1], rng, left=0, steps=len(levels) - 1)
    yield state
    for t in reversed(levels[:-1]):
        state = rise(denoiser, state, t, cond)
        yield state


def _ddim(denoiser: Denoiser, state: State, t: Level, cond: Condition | None) -> State:
    """DDIM's step, upward."""
    x, s, basis = state.x, state.t, Velocity()
    if s.sigma == 0.0:
        return _risen(state, _first(denoiser, x, t, cond), t)
    slope = basis.slope(denoiser(x, s, cond), x, s)
    return _risen(state, basis.advance(x, s, t, slope), t)


def _first(denoiser: Denoiser, x_0: Tensor, t: Level, cond: Condition | None) -> Tensor:
    """The state at the first noisy level, from the data alone: α x_0 + ½ σ ε̂(α x_0)."""
    x = t.alpha * x_0
    return x + 0.5 * (x - t.alpha * denoiser(x, t, cond).mean)


def _ahead(known: Stretch, level: Level) -> Tensor:
    """The mean slope of the step ahead, if it goes to this level."""
    if known.end != level:
        raise UserError(
            f"What this state remembers leads to t = {known.end.time:g}, and the walk goes to "
            f"t = {level.time:g}: take the levels that it was made with."
        )
    return known.mean


def _risen(state: State, x: Tensor, t: Level, memory: Stretch | tuple = ()) -> State:
    return replace(state, x=x, t=t, memory=memory, left=state.left + 1)
