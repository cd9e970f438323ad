"""Multistep solvers of the probability-flow ODE: one evaluation a step, any of three orders."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

import numpy as np
from torch import Tensor

from hush.denoisers import Denoiser
from hush.samplers.base import Sampler, State
from hush.samplers.bases import Basis, Velocity
from hush.schedules import Level


class Past(NamedTuple):
    """An evaluation already paid for: where it was, the state there, and the slope."""

    t: Level
    x: Tensor
    slope: Tensor


@dataclass(frozen=True)
class Multistep(Sampler):
    """Adams-Bashforth in the coordinates of a basis: the slope is interpolated by a polynomial in
    the basis' own variable through the last `order` evaluations and integrated exactly.

    It starts with lower orders; for order 3 the very first step, which is Euler's, is redone with
    the trapezoid as soon as the second evaluation is there, so the order holds from the start at
    no cost. Order 1 is DDIM.
    """

    order: int = 3
    basis: Basis = field(default_factory=Velocity)

    cite: ClassVar[str] = (
        "Hairer, Nørsett, Wanner 1993, Solving ordinary differential equations I, section III.5; "
        "Liu, Ren, Lin, Zhao 2022, Pseudo numerical methods for diffusion models on manifolds; "
        "Zhang, Chen 2023, Fast sampling of diffusion models with exponential integrator"
    )

    def __post_init__(self) -> None:
        if self.order not in (1, 2, 3):
            raise ValueError(f"Multistep has orders 1, 2 and 3, not {self.order}.")

    def step(self, denoiser: Denoiser, state: State, s: Level, cond: Tensor | None = None) -> State:
        x, t, past = state.x, state.t, state.memory
        slope = self.basis.slope(denoiser(x, t, cond).mean, x, t)
        if self.order == 3 and len(past) == 1:
            start = past[0]
            x = self._advance(start.x, start.t, t, (start, Past(t, x, slope)))
        past = (*past, Past(t, x, slope))[-self.order :]
        return state.moved(self._advance(x, t, s, past), s, past)

    def _advance(self, x: Tensor, t: Level, s: Level, past: Sequence[Past]) -> Tensor:
        nodes = [self.basis.variable(one.t) for one in past]
        weights = interpolation_weights(nodes, self.basis.variable(t), self.basis.variable(s))
        area = sum(weight * one.slope for weight, one in zip(weights, past, strict=True))
        return self.basis.advance(x, t, s, area)


def interpolation_weights(nodes: Sequence[float], start: float, end: float) -> list[float]:
    """The weights w_j of ∫ p = Σ_j w_j p(node_j) over [start, end], exact for polynomials p through
    the nodes. The interval is mapped to [0, 1] so that narrow ones lose no digits.

    >>> interpolation_weights([0.0], 0.0, 0.5)
    [0.5]
    >>> [round(weight, 12) for weight in interpolation_weights([0.0, 1.0], 1.0, 2.0)]
    [-0.5, 1.5]
    """
    places = (np.array(nodes) - start) / (end - start)
    powers = np.arange(len(places))
    moments = 1.0 / (powers + 1.0)
    weights = np.linalg.solve(places[None, :] ** powers[:, None], moments)
    return ((end - start) * weights).tolist()
