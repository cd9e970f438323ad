"""The network of controlled stochastic differential equations: many small ones side by side, each
of which sees its own."""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from hush.networks.sides import Conditions, Steps

Value = Float[Tensor, "batch channel"]
Answers = Float[Tensor, "agent batch kind channel"]

KINDS = 6  # numbers that an agent answers for every channel
FAR = 100.0  # sampling steps: how far away a channel counts to be of which nothing is known
QUIET = 4.0  # what is taken off the log of what stiffens beside a bridge, so that it begins near 0


class Steered(NamedTuple):
    """What moves a path from x.

    The model is dX = drift dt + diffusion dW at x, its drift changing by `rate` per unit of the way
    from there. What is known later bends it by a function h, with
    diffusion² log h(x') = pull·(x' - x) - ½ stiffness·(x' - x)² near x, up to a constant.
    """

    drift: Value
    diffusion: Value
    rate: Value
    pull: Value
    stiffness: Value


class SideBySide(nn.Module):
    """`count` perceptrons of one form, in one product per layer, 0 at the beginning: (batch, in)
    that all see, and (agent, batch, out) of `told`, to (agent, batch, out). None of them sees what
    another is told."""

    def __init__(self, count: int, inner: int, told: int, width: int, depth: int, out: int) -> None:
        super().__init__()
        sizes = [inner, *[width] * depth, out]
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        for number, (one, two) in enumerate(pairwise(sizes)):
            reach = 0.0 if number == depth else one**-0.5
            self.weights.append(torch.empty(count, one, two).uniform_(-reach, reach))
            self.biases.append(torch.empty(count, 1, two).uniform_(-reach, reach))
        reach = max(1, told) ** -0.5
        self.own = nn.Parameter(torch.empty(count, told, width).uniform_(-reach, reach))

    def told(self, own: Float[Tensor, "step agent batch told"]) -> Float[Tensor, "step agent _ _"]:
        """What each makes of what it alone is told, at every step."""
        return torch.einsum("sabi,aio->sabo", own, self.own) + self.biases[0]

    def forward(
        self, x: Float[Tensor, "batch in"], told: Float[Tensor, "agent batch width"]
    ) -> Float[Tensor, "agent batch out"]:
        weights, biases = list(self.weights), list(self.biases)
        hidden = torch.baddbmm(told, x.expand(len(told), -1, -1), weights[0])
        for weight, bias in zip(weights[1:], biases[1:], strict=True):
            hidden = torch.baddbmm(bias, functional.silu(hidden), weight)
        return hidden


class Controls(nn.Module):
    """What moves a path, told by 1 + `earlier` + `later` agents that see x, the covariates, and of
    the conditions around a step (`Steps`) one each:

        b, σ, rate    by the first, which sees none of them
        u_i           by agent i of the earlier ones: the drift is b + σ Σ_i w_i u_i
        log h_j       by agent j of the later ones: log h = Σ_j w_j log h_j

    with weights w that are learnt too, and add up to 1. So the model, b + σ Σ_i w_i u_i and σ, is
    told of what was, and only h of what will be. Its control is σ ∇log h, again a sum of controls.

    h_j is that of a Brownian motion which is to meet the condition y_j a time r away,
    σ² ∇log h = (y_j - x)/r, but for what is learnt: its strength and its aim, which begin as these
    and are these where r is 0. Park, Lee and Kwon 2022, "Neural Markov controlled SDE", have
    several controls, weights, and information that each has for itself ("temporal privacy"); this
    form of them is hush's.
    """

    def __init__(
        self,
        channels: int,
        width: int = 32,
        depth: int = 2,
        earlier: int = 2,
        later: int = 2,
        features: int = 0,
    ) -> None:
        super().__init__()
        self.earlier, self.later, self.features = earlier, later, features
        self.agents = SideBySide(
            1 + earlier + later, channels, 3 * channels + features, width, depth, KINDS * channels
        )

    @property
    def entered(self) -> tuple[nn.Module, ...]:
        """The parts that are called by themselves."""
        return (self.agents,)

    def forward(self, steps: Steps) -> Iterator[Callable[[Value], Steered]]:
        """For each step what moves a path from any x."""
        told = self.agents.told(own(steps)).unbind(0)
        past = _closed(steps.earlier.there, 0.0)
        future = _ahead(steps.later)
        for each, behind, ahead in zip(told, past.unbind(0), future, strict=True):
            yield partial(self._steered, each, behind, ahead)

    def _steered(self, told: Tensor, behind: Tensor, ahead: "Ahead", x: Value) -> Steered:
        answers = self.agents(x, told).unflatten(-1, (KINDS, x.shape[-1]))
        base, past, future = answers.split((1, self.earlier, self.later))
        drift, spread, rate, *_ = base[0].unbind(1)
        diffusion = (spread - 1.0).exp()
        if self.earlier:
            drift = drift + diffusion * (_weights(past[:, :, 5], behind) * past[:, :, 0]).sum(0)
        if not self.later:
            return Steered(drift, diffusion, rate, torch.zeros_like(x), torch.zeros_like(x))
        return Steered(drift, diffusion, rate, *_bent(x, future, ahead))


class Ahead(NamedTuple):
    """What is made of the later conditions of a step before x is known."""

    value: Float[Tensor, "agent batch channel"]
    reach: Float[Tensor, "agent batch channel"]
    near: Float[Tensor, "agent batch channel"]
    closed: Float[Tensor, "agent batch channel"]


def _ahead(later: Conditions) -> Iterator[Ahead]:
    """log(1 + r), 1/r and the part of the weights that is not learnt: an agent counts the less the
    further away its condition is."""
    gap = torch.where(later.there, later.gap, FAR).clamp(min=1e-6)
    closed = _closed(later.there.any(-1, keepdim=True), gap.log())
    parts = later.value, gap.log1p(), later.there / gap, closed
    return (Ahead(*row) for row in zip(*(part.unbind(0) for part in parts), strict=True))


def own(steps: Steps) -> Float[Tensor, "step agent batch told"]:
    """The covariates, and the conditions, one to each agent, none to the first."""
    sides = [
        torch.cat((side.value, side.gap.log1p(), side.there.to(side.value)), -1)
        for side in (steps.earlier, steps.later)
    ]
    none = sides[0].new_zeros(len(sides[0]), 1, *sides[0].shape[2:])
    own = torch.cat((none, *sides), 1)
    shared = steps.covariates.unsqueeze(1).expand(-1, own.shape[1], -1, -1)
    return torch.cat((own, shared), -1)


def _closed(there: Tensor, far: Tensor | float) -> Tensor:
    """The logits of agents before they are learnt, -∞ of those that have no condition."""
    return torch.where(there, -torch.as_tensor(far, device=there.device), -torch.inf)


def _weights(logits: Tensor, closed: Tensor) -> Float[Tensor, "agent batch channel"]:
    """The shares of the agents, which add up to 1, or are 0 where none of them has a condition."""
    return (logits + closed.clamp(min=-1e9)).softmax(0) * (closed > -torch.inf)


def _bent(x: Value, answers: Answers, ahead: Ahead) -> tuple[Value, Value]:
    """The pull and the stiffness."""
    narrow, strong, aim, stiffness, pull, weight = answers.unbind(2)
    value, reach, near, closed = ahead
    w = _weights(weight, closed)
    own = near * _grown(-reach * strong) * (value - x + reach * aim)
    stiff = near * _grown(-reach * narrow) + functional.softplus(stiffness - QUIET)
    return (w * (own + pull)).sum(0), (w * stiff).sum(0)


def _grown(log_share: Tensor) -> Tensor:
    """exp, held to what is finite."""
    return log_share.clamp(max=10.0).exp()
