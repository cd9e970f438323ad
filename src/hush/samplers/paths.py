"""Random paths: noise that is one and the same curve, however finely a walk steps along it."""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from hush.processes import GaussianProcess
from hush.rng import Streams
from hush.samplers.base import State
from hush.schedules import Level
from hush.tensors import total

_REACH = 64.0  # the path is drawn over ±64; its ends are independent to e^-64
_DEPTH = 18  # halvings, down to cells of 5e-4


@dataclass(frozen=True)
class Path:
    """A stationary Gaussian path Z over the real line, E[Z_a Z_b] = e^{-|a-b|/2}, one for each
    sample, of the process's own noise: an Ornstein-Uhlenbeck process.

    √n Z(log n) is a Brownian motion in n, so a solver that adds its increments walks the same path
    at any number of steps. A value is found by halving the cell around its place and drawing the
    middle given the ends, each middle from its own counter (Lévy's construction; Li et al. 2020,
    "Scalable gradients for stochastic differential equations", the virtual Brownian tree).
    """

    process: GaussianProcess
    streams: Streams
    event: tuple[int, ...]
    dtype: torch.dtype

    @classmethod
    def of(cls, state: State, process: GaussianProcess) -> "Path":
        """The path of a walk that begins in this state."""
        return cls(process, state.rng.branch("path"), tuple(state.x.shape[1:]), state.x.dtype)

    def __call__(self, place: float) -> Tensor:
        """Z there, (batch, *event)."""
        place = min(max(place, -_REACH), _REACH)
        low, high, node = -_REACH, _REACH, 1
        z_low, z_high = self._draw(0), self._draw(1 << _DEPTH)
        for _ in range(_DEPTH):
            middle, kept = 0.5 * (low + high), math.exp(-0.25 * (high - low))
            share, fresh = kept / (1.0 + kept**2), ((1.0 - kept**2) / (1.0 + kept**2)) ** 0.5
            z = torch.add(z_low, z_high).mul_(share).add_(self._draw(node), alpha=fresh)
            if place < middle:
                high, z_high, node = middle, z, 2 * node
            else:
                low, z_low, node = middle, z, 2 * node + 1
        whole = math.sinh(0.5 * (high - low))
        z = z_low * (math.sinh(0.5 * (high - place)) / whole)
        return z.add_(z_high, alpha=math.sinh(0.5 * (place - low)) / whole)

    def _draw(self, node: int) -> Tensor:
        return self.process.noise(replace(self.streams, draw=node), self.event, self.dtype)


@dataclass(frozen=True)
class Drift:
    """The noise of the SDE with τ on its way: its path on the clock τ² log(α²/σ²), and the path's
    value z at the level t where the walk stands."""

    path: Path
    tau: float
    t: Level
    z: Tensor

    @classmethod
    def of(cls, state: State, process: GaussianProcess, tau: float) -> "Drift":
        """That of a walk that begins in this state."""
        path = Path.of(state, process)
        return cls(path, tau, state.t, path(tau**2 * state.t.log_snr))

    def to(self, s: Level) -> tuple[Tensor | float, "Drift"]:
        """What is added from t to s, σ_s (Z_s - decay·Z_t), of variance σ_s² (1 - decay²) with
        decay = (SNR_t/SNR_s)^½τ², and the same seen from s."""
        if s.sigma == 0.0:
            return 0.0, replace(self, t=s)
        decay = (s.sigma * self.t.alpha / (s.alpha * self.t.sigma)) ** self.tau**2
        z = self.path(self.tau**2 * s.log_snr)
        kick = total(((s.sigma, z), (-s.sigma * decay, self.z)))
        return kick, replace(self, t=s, z=z)
