"""Kernels that walk on a graph: a token goes to its neighbours, and from there on."""

from abc import abstractmethod
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from hush.errors import UserError
from hush.processes.kernels.base import Kernel, Matrix
from hush.schedules import Level, Schedule


class Walk(Kernel):
    """Jumps along the edges of a symmetric graph, Q_{t|s} = exp(-log(κ_t/κ_s) R), with the graph's
    Laplacian L = diag(A1) - A and R = -L/λ_2 scaled by its smallest eigenvalue above 0.

    So what a token says of its neighbourhood fades exactly as κ_t = α_t², and all else faster. One
    eigendecomposition serves every step. A subclass writes the weights of the edges.

    Raises:
        UserError: the graph falls into parts, so that no law is reached from everywhere.
    """

    def __post_init__(self) -> None:
        _ = self.modes

    @abstractmethod
    def adjacency(self) -> Float[Tensor, "state state"]:
        """A: the weights of the edges, symmetric; what is on the diagonal does not count."""

    @cached_property
    def modes(self) -> tuple[Float[Tensor, " state"], Float[Tensor, "state state"]]:
        """λ_k/λ_2, rising from 0, and the eigenvectors of the Laplacian in columns."""
        weights = self.adjacency().double().fill_diagonal_(0.0)
        speeds, shapes = torch.linalg.eigh(weights.sum(1).diag() - weights)
        if len(speeds) < 2 or speeds[1] <= 1e-9 * speeds[-1]:
            raise UserError(
                f"The graph of {len(speeds)} states of {type(self).__name__} falls into parts that "
                "no edge connects: a token could never leave its own. Give more neighbours."
            )
        speeds = speeds / speeds[1]
        speeds[0] = 0.0
        return speeds, shapes

    def matrix(self, schedule: Schedule, s: Level, t: Level) -> Matrix:
        left = torch.as_tensor((t.alpha / s.alpha) ** 2, dtype=torch.float64)
        speeds, shapes = (part.to(left.device) for part in self.modes)
        decay = left[..., None, None] ** speeds
        return ((shapes * decay) @ shapes.T).clamp(min=0.0)

    def generator(self, schedule: Schedule, t: Level) -> Matrix:
        alpha_rate, _ = schedule.rates(t)
        touched = torch.as_tensor(-2.0 * alpha_rate / t.alpha, dtype=torch.float64)
        speeds, shapes = (part.to(touched.device) for part in self.modes)
        return -touched[..., None, None] * ((shapes * speeds) @ shapes.T)

    def stationary(self) -> Float[Tensor, " state"]:
        return torch.full((self.states,), 1.0 / self.states, dtype=torch.float64)


@dataclass(frozen=True)
class Banded(Walk):
    """States in a row, those at most `width` apart being neighbours.

    The band-diagonal matrices of Austin et al. 2021 (D3PM), appendix A.2, as a walk in continuous
    time.
    """

    states: int = 5
    width: int = 1

    def adjacency(self) -> Float[Tensor, "state state"]:
        place = torch.arange(self.states)
        return ((place[:, None] - place).abs() <= self.width).double()


@dataclass(frozen=True)
class NearestNeighbour(Walk):
    """States with neighbours of their own: `neighbours[i]` are those that state i names. The walk
    goes both ways along an edge, twice as fast where both ends name each other.

    Austin et al. 2021 (D3PM), appendix A.2, where A ∝ G + Gᵀ of a graph G of nearest neighbours
    among word embeddings: `NearestNeighbour.of(embedding, k)`.
    """

    neighbours: tuple[tuple[int, ...], ...] = ((1,), (2,), (3,), (4,), (0,))

    @classmethod
    def of(cls, embedding: Float[Tensor, "state feature"], k: int) -> "NearestNeighbour":
        """Each state names the `k` others whose embeddings lie nearest."""
        apart = torch.cdist(embedding.double(), embedding.double()).fill_diagonal_(torch.inf)
        return cls(tuple(map(tuple, apart.topk(k, largest=False).indices.tolist())))

    @property
    def states(self) -> int:
        return len(self.neighbours)

    def adjacency(self) -> Float[Tensor, "state state"]:
        names = torch.zeros(self.states, self.states, dtype=torch.float64)
        for state, others in enumerate(self.neighbours):
            names[state, list(others)] = 1.0
        return names + names.T
