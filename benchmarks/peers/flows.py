"""Data whose probability flow is known: mixtures, noise problems, and walks along them that count
what they ask.

The rule of every comparison. A schedule ends at its noisiest level (α, σ): the last step of a
chain, σ_max, t = 1. Fixed pairs (x_0, ε) give the states x = α x_0 + σ ε there, and the exact end
of each is where the probability-flow ODE takes x from *that* level (DOP853 at 1e-12). A walk is
handed the same x, and every level it likes to skip, first or last, is its own error: that is what
its user gets. A library whose schedule ends elsewhere (the cosine chain of 1000 steps ends at
log-SNR -19.83, hush's `Cosine` at -20) is compared with the flow from the end of its own schedule.

A state may be asked for in any scaling: the flow depends on σ/α alone, so x/√(α² + σ²) (VP) and
x/α (EDM's) are the same walk, and one that begins at a lower σ/α than its schedule's end begins,
as libraries do, with the same unit noise x/√(α² + σ²).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby

import numpy as np
import torch
from torch import Tensor

from hush.rng import Streams
from hush.schedules import EDM, Cosine, Level, Rectified, Schedule, Tabulated
from hush.testing import GaussianMixture, flow_map
from peers.beliefs import Beliefs


@dataclass(frozen=True)
class Data:
    """A mixture and how many starting points of it are walked."""

    name: str
    mixture: GaussianMixture
    points: int

    @property
    def size(self) -> int:
        """D."""
        return math.prod(self.mixture.event)

    def pairs(self) -> tuple[Tensor, Tensor]:
        """The fixed (x_0, ε), (points, D)."""
        rng = Streams.of(20, self.points)
        return self.mixture.sample(rng), rng.next(2).normal((self.size,), torch.float64)


def scattered(seed: int, widths: Sequence[float], size: int, scale: float) -> GaussianMixture:
    """Equal components of the given standard deviations, means uniform in ±scale."""
    draws = Streams.of(seed, len(widths)).normal((size,), torch.float64)
    means = scale * torch.erf(draws / math.sqrt(2.0))
    weights = [1.0] * len(widths)
    return GaussianMixture.of(weights, means.tolist(), [width**2 for width in widths])


def all_data(quick: bool = False) -> tuple[Data, ...]:
    """Two mixtures in 2 dimensions (near zero mean and unit variance) and two in 64 (as pictures
    in [-1, 1] are: one of well-separated kinds, one whose kinds overlap)."""
    plane_a = GaussianMixture.of(
        [0.35, 0.3, 0.2, 0.15],
        [[-0.9, -0.7], [1.2, -0.1], [-0.1, 1.3], [0.2, -1.5]],
        [0.09, 0.16, 0.04, 0.25],
    )
    plane_b = GaussianMixture.of(
        [0.1, 0.15, 0.2, 0.25, 0.3],
        [[1.7, 1.1], [-1.4, 0.9], [0.6, -0.2], [-0.5, -1.2], [-0.2, 0.6]],
        [0.01, 0.0225, 0.09, 0.36, 0.0625],
    )
    space_a = scattered(1, [0.1, 0.15, 0.2, 0.25, 0.3, 0.4], 64, 0.9)
    space_b = scattered(2, [0.15, 0.2, 0.3, 0.3, 0.4, 0.5, 0.2, 0.25], 64, 0.35)
    plane, space = (64, 16) if quick else (256, 64)
    return (
        Data("2-D A", plane_a, plane),
        Data("2-D B", plane_b, plane),
        Data("64-D A", space_a, space),
        Data("64-D B", space_b, space),
    )


PROBLEMS: dict[str, Schedule] = {
    "VP-linear": Tabulated.linear(),
    "cosine": Cosine(),
    "EDM": EDM(),
    "rectified flow": Rectified(),
}


@dataclass(frozen=True)
class Flows:
    """Several data sets walked at once, side by side in one flat vector.

    Every deterministic sampler combines states and answers element by element, so this gives the
    same numbers as walking each alone.
    """

    data: tuple[Data, ...]
    _known: dict = field(default_factory=dict, repr=False, compare=False)

    def split(self, x: Tensor) -> list[Tensor]:
        """The part of each data set, (points, D)."""
        parts = x.flatten().split([one.points * one.size for one in self.data])
        return [part.view(one.points, one.size) for part, one in zip(parts, self.data, strict=True)]

    def start(self, alpha: float, sigma: float) -> tuple[Tensor, Tensor]:
        """The states at a schedule's noisy end and their exact ends, both flat."""
        if (alpha, sigma) not in self._known:
            states, ends = [], []
            for one in self.data:
                x_0, noise = one.pairs()
                states.append(alpha * x_0 + sigma * noise)
                ends.append(flow_map(one.mixture, states[-1], Level(1.0, alpha, sigma)))
            self._known[alpha, sigma] = tuple(
                torch.cat([part.flatten() for part in parts]) for parts in (states, ends)
            )
        return self._known[alpha, sigma]

    @cached_property
    def groups(self) -> list[tuple[int, Beliefs]]:
        """Neighbours of one shape together, and how many they are."""
        shapes = groupby(self.data, key=lambda one: (one.points, one.size))
        rows = [[one.mixture for one in group] for _, group in shapes]
        return [(len(row), Beliefs(row)) for row in rows]

    def mean(self, x: Tensor, alpha: float, sigma: float) -> Tensor:
        """E[x_0 | x] at the level (α, σ), exact."""
        flat, answers, first, place = x.double().flatten().numpy(), [], 0, 0
        for count, beliefs in self.groups:
            one = self.data[first]
            size = count * one.points * one.size
            part = flat[place : place + size].reshape(count, one.points, one.size)
            answers.append(beliefs.mean(part, alpha, sigma).ravel())
            first, place = first + count, place + size
        return torch.from_numpy(np.concatenate(answers)).view_as(x).to(x.dtype)

    def errors(self, end: Tensor, exact: Tensor) -> list[float]:
        """Mean distance from the exact end over √(D/2), for each data set."""
        gaps = self.split(end.double() - exact.view_as(end))
        return [gap.norm(dim=1).mean().item() / math.sqrt(gap.shape[1] / 2) for gap in gaps]


class Walk:
    """One walk from a schedule's noisy end: the state there, exact beliefs, and their count."""

    def __init__(self, flows: Flows, alpha: float, sigma: float) -> None:
        self.flows = flows
        self.x, self.exact = flows.start(alpha, sigma)
        self.unit = self.x / math.hypot(alpha, sigma)
        self.evaluations = 0

    def mean(self, x: Tensor, alpha: float, sigma: float) -> Tensor:
        """E[x_0 | x] at (α, σ): one evaluation."""
        self.evaluations += 1
        return self.flows.mean(x, alpha, sigma)

    def errors(self, end: Tensor) -> list[float]:
        """How far from the exact ends, for each data set."""
        return self.flows.errors(end, self.exact)
