"""A controlled stochastic differential equation as a belief: the path that its noise drives."""

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from hush.denoisers.base import Denoiser
from hush.denoisers.links import Link, Links
from hush.distributions import Gaussian
from hush.networks.controls import Steered
from hush.networks.series import Known, Series, known
from hush.networks.sides import Steps, steps
from hush.processes import Driven, Moment
from hush.tensors import Condition

Cost = Float[Tensor, " batch"]
Noise = Float[Tensor, "batch channel step"]
Value = Float[Tensor, "batch channel"]
Met = Bool[Tensor, "batch channel"]
Law = Callable[[Value], Steered]

SHORTEST = 1e-6  # sampling steps
FASTEST = 2.0  # the z of a step: beyond it a drift that pushes away is held to grow no faster


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
    passes through what is known, in steps that are Euler-Maruyama's where a rate is 0, z = Δ rate:

        p(x' | x) = N(x + b Δ (e^z - 1)/z, σ² Δ (e^{2z} - 1)/(2z)),

    the law of a drift that is linear around x, exact of every Ornstein-Uhlenbeck process of its
    rate. The network's rate is as free as b and σ: whatever it is, for Δ → 0 that is the equation.
    Ozaki 1992, "A bridge between nonlinear time series models and nonlinear stochastic dynamical
    systems: a local linearization approach".

    A path's steps have the law q(x' | x) ∝ p(x' | x) h(x'), h the network's guess of how likely
    what is known later is from x' (Doob's transform). For Δ → 0 that adds σ u to the drift with the
    control u = σ ∇log h. A channel that is known where a step arrives goes there, and costs
    -log p of that instead. Channels share noise (`Links`).

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
        self.links = Links(channels)

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
        laws = zip(self.network(along), self.links(along), along.length, strict=True)
        for law, step, draw in zip(laws, _nearest(along), noise.unbind(2), strict=True):
            model = self._model(law, x, not moves)
            move = _moved(model, x, step, draw)
            moves.append(move)
            x = torch.where(step.met, step.goal, x + model.drift + model.deviation * move.drawn)
            visited.append(x)
        values = torch.stack(visited[:: self.process.substeps], 2)
        return Path(values, *_costs(moves, along.met))

    @property
    def _sides(self) -> tuple[int, int]:
        return self.network.earlier, self.network.later

    def _model(self, step: tuple[Law, Link | None, Tensor], x: Value, first: bool) -> "Model":
        """What the model does in a step from x, and what h would have of it."""
        at, link, length = step
        law, length = at(x), length.clamp(min=SHORTEST)
        way, length = _slowed(law.rate, length)
        drift, deviation = law.drift * way, law.diffusion * length.sqrt()
        if first:  # as far as a Brownian motion takes to spread so
            spread = (0.5 * self.log_variance).exp()
            drift, deviation = torch.zeros_like(drift), spread.expand_as(drift)
            length = (spread / law.diffusion).square()
        if link:
            deviation = deviation * link.scale
        kept = 1.0 / (1.0 + law.stiffness * length)
        aim = kept * length * (law.pull - law.stiffness * drift) / deviation
        return Model(drift, deviation, kept, aim, link)


def _slowed(rate: Value, length: Tensor) -> tuple[Value, Value]:
    """(Δ (e^z - 1)/z, Δ (e^{2z} - 1)/(2z)) with z = Δ rate, held to what is finite."""
    z = (rate * length).clamp(max=FASTEST)
    near = z.abs() < 0.01
    grown = torch.expm1(torch.where(near, 0.01, z)) / torch.where(near, 0.01, z)
    way = length * torch.where(near, 1.0 + z / 2.0 + z.square() / 6.0, grown)
    return way, way * (1.0 + 0.5 * z * way / length)


class Nearest(NamedTuple):
    """What is known of each channel next, and whether that is where the step arrives."""

    goal: Value
    there: Met
    met: Met


class Model(NamedTuple):
    """A step: x + drift + deviation·ε, where h makes N(aim, kept) of ε ~ N(0, 1)."""

    drift: Value
    deviation: Value
    kept: Value
    aim: Value
    link: Link | None


class Move(NamedTuple):
    """What is drawn in units of the model's deviation, and what is paid for: by how much ε is bent
    or, where the step arrives at what is known, what ε that takes."""

    drawn: Value
    off: Value
    kept: Value
    deviation: Value


def _nearest(along: Steps) -> Iterator[Nearest]:
    goal, there = along.goal, along.met
    if along.later.value.shape[1]:
        goal, there = along.later.value[:, 0], along.later.there[:, 0]
    return map(Nearest, goal, there, along.met)


def _moved(model: Model, x: Value, step: Nearest, draw: Value) -> Move:
    """A step that arrives at the goal where that is met. Where channels share noise, what those
    before a channel move it by is no part of ε; nor is what they will until it meets its goal."""
    goal, aim, offset = (step.goal - x - model.drift) / model.deviation, model.aim, 0.0
    link, there, met = model.link, step.there, step.met
    if link:
        will = link.offset(torch.where(there, goal, 0.0), there.to(goal))
        aim = aim - torch.where(there, (1.0 - model.kept) * will, 0.0)
    own = aim + model.kept.sqrt() * draw
    if link:
        offset = link.offset(torch.where(met, goal, own), met.to(goal))
    return Move(own + offset, torch.where(met, goal - offset, aim), model.kept, model.deviation)


def _costs(moves: list[Move], met: Bool[Tensor, "step batch channel"]) -> tuple[Cost, Cost]:
    """(running, terminal): KL(N(off, kept) ‖ N(0, 1)), or -log N(off; 0, 1)/deviation where a step
    arrives at what is known."""
    _, off, kept, deviation = (torch.stack(part) for part in zip(*moves, strict=True))
    bent = 0.5 * (kept - 1.0 - kept.log() + off.square())
    surprise = 0.5 * (off.square() + math.log(math.tau)) + deviation.log()
    running, terminal = torch.where(met, 0.0, bent), torch.where(met, surprise, 0.0)
    return running.sum((0, 2)), terminal.sum((0, 2))
