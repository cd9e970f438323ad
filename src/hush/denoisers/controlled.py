"""A controlled stochastic differential equation as a belief: the path that its noise drives."""

import math
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from hush.denoisers.base import Denoiser
from hush.distributions import Gaussian
from hush.networks.controls import Steered
from hush.networks.series import Known, Series, known
from hush.networks.sides import steps
from hush.processes import Driven, Moment
from hush.tensors import Condition

Cost = Float[Tensor, " batch"]
Noise = Float[Tensor, "batch channel step"]
Value = Float[Tensor, "batch channel"]

SHORTEST = 1e-6  # sampling steps


class Path(NamedTuple):
    """Where a path passes the stamps, and what it costs in nats."""

    values: Series
    running: Cost
    """KL of what bends it: ½ ∫ ‖u‖² dt, of steps of some length with what their variance costs."""
    terminal: Cost
    """-log p of each known value, given where the path came from."""

    @property
    def cost(self) -> Cost:
        """In the mean a bound on -log p of what is known, and that itself where h is exact."""
        return self.running + self.terminal


class Controlled(Denoiser):
    """p(x_0 | W): the path of dX = b(t, X) dt + σ(t, X) dW from x's first stamp to its last that
    passes through what is known, in Euler–Maruyama steps.

    A step has the law q(x' | x) ∝ N(x'; x + b Δ, σ² Δ) h(x'), h the network's guess of how likely
    what is known later is from x' (Doob's transform). For Δ → 0 that adds σ u to the drift with the
    control u = σ ∇log h. A channel that is known where a step arrives goes there, and costs
    -log N of that instead. No channel shares another's noise.

    Over all steps E[cost] = KL(q ‖ p) - E log p(known | path) ≥ -log p(known) for the chain of
    these steps, whatever h is. So the least that a control costs is the optimal one's, which is
    exact h. Dai Pra 1991, "A stochastic control approach to reciprocal diffusion processes"; steps
    bent in their mean and variance as in Durham and Gallant 2002, "Numerical techniques for maximum
    likelihood estimation of continuous-time diffusion processes".

    network     `Steps` -> for each of them x -> `Steered`; with the numbers of `earlier` and
                `later` conditions that it sees, and of `features`
    channels    of the series, whose first values are N(m, s²), learnt
    substeps    on the way to each stamp
    """

    def __init__(self, network: nn.Module, channels: int, substeps: int = 4) -> None:
        super().__init__()
        self.process = Driven(substeps)
        self.network = network
        self.first = nn.Parameter(torch.zeros(channels))
        self.log_variance = nn.Parameter(torch.zeros(channels))

    def forward(self, x_t: Noise, t: Moment = 1.0, cond: Condition | None = None) -> Gaussian:
        told = self.told(cond, x_t)
        return Gaussian(self.path(x_t, told, told).values)

    def told(self, cond: Condition | None, noise: Noise) -> Known:
        """What the condition says of the paths that the noise drives."""
        batch, channels, count = noise.shape
        length = 1 + (count - 1) // self.process.substeps
        return known(cond, noise.new_empty(batch, channels, length), self.network.features)

    def path(self, noise: Noise, told: Known, passed: Known) -> Path:
        """The paths that the noise drives through all that is `passed`; the model sees no more than
        what is `told`, of each moment's past."""
        along = steps(told, passed, self.process.substeps, *self._sides)
        x, moves, visited = self.first.expand(len(noise), -1), [], []
        rows = zip(self.network(along), along.length, along.met, along.goal, strict=True)
        for number, (law, length, met, goal) in enumerate(rows):
            move = self._moved(law(x), length.clamp(min=SHORTEST), number == 0)
            drawn = x + move.drift + move.pull + move.deviation * noise[:, :, number]
            moves.append(move._replace(miss=goal - x - move.drift))
            x = torch.where(met, goal, drawn)
            visited.append(x)
        values = torch.stack(visited[:: self.process.substeps], 2)
        return Path(values, *_costs(moves, along.met))

    @property
    def _sides(self) -> tuple[int, int]:
        return self.network.earlier, self.network.later

    def _moved(self, law: Steered, length: Tensor, first: bool) -> "Move":
        """A step from x: N(x + drift, variance) times h is a Gaussian again."""
        squared = law.diffusion.square()
        variance, drift = squared * length, law.drift * length
        if first:  # as far as a Brownian motion takes to spread so
            variance = self.log_variance.exp().expand_as(squared)
            length, drift = variance / squared, torch.zeros_like(drift)
        kept = 1.0 / (1.0 + law.stiffness * length)
        pull = kept * length * (law.pull - law.stiffness * drift)
        return Move(drift, pull, variance, kept, (kept * variance).sqrt(), drift)


class Move(NamedTuple):
    """What one step adds to x, and by how much it misses what is known; `kept` is the share of the
    model's variance that h leaves."""

    drift: Value
    pull: Value
    variance: Value
    kept: Value
    deviation: Value
    miss: Value


def _costs(moves: list[Move], met: Bool[Tensor, "step batch channel"]) -> tuple[Cost, Cost]:
    """(running, terminal): KL(N(pull, kept·variance) ‖ N(0, variance)), or -log N(miss; 0,
    variance) where a step arrives at what is known."""
    _, pull, variance, kept, _, miss = (torch.stack(part) for part in zip(*moves, strict=True))
    bent = 0.5 * (kept - 1.0 - kept.log() + pull.square() / variance)
    surprise = 0.5 * (miss.square() / variance + variance.log() + math.log(math.tau))
    running, terminal = torch.where(met, 0.0, bent), torch.where(met, surprise, 0.0)
    return running.sum((0, 2)), terminal.sum((0, 2))
