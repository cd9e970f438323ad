"""Kernels of categorical processes: how one of K states becomes another.

A schedule says how much is left of the data: a token is still itself, untouched, with probability
κ_t = α_t² (ᾱ_t of a chain, whose β_t is then the chance of being touched at step t). A kernel says
where a touched token goes. Matrices have rows that sum to one, [Q_{t|s}]_ij = q(x_t = j | x_s = i).
"""

from abc import ABC, abstractmethod

from jaxtyping import Float, Int64
from torch import Tensor

from hush.schedules import Level, Schedule

Probabilities = Float[Tensor, "batch *event state"]
States = Int64[Tensor, "batch *event"]
Matrix = Float[Tensor, "*batch state state"]


class Kernel(ABC):
    """Where tokens go. A subclass writes `matrix` and `generator`; it may write `onward`, `forth`
    and `back` where they have a form that needs no matrix. Levels are shared or per sample."""

    states: int
    """K, how many states there are, a mask counted."""

    @property
    def tokens(self) -> int:
        """How many of the states data can be in: all but a mask, which is the last."""
        return self.states

    @abstractmethod
    def matrix(self, schedule: Schedule, s: Level, t: Level) -> Matrix:
        """Q_{t|s} in float64, (K, K) for shared levels or (batch, K, K)."""

    @abstractmethod
    def generator(self, schedule: Schedule, t: Level) -> Matrix:
        """R_t with dQ_{t|s}/dt = Q_{t|s} R_t: the rates of jumps at t; rows sum to zero."""

    @abstractmethod
    def stationary(self) -> Float[Tensor, " state"]:
        """The law that all states go to."""

    def onward(self, p: Probabilities, schedule: Schedule, s: Level, t: Level) -> Probabilities:
        """The law at t of states whose law at s is p: p Q_{t|s}."""
        return _events(p, self.matrix(schedule, s, t))

    def forth(self, x_s: States, schedule: Schedule, s: Level, t: Level) -> Probabilities:
        """q(x_t | x_s) as a law of x_t: the rows of Q_{t|s} at x_s."""
        return rows(self.matrix(schedule, s, t), x_s)

    def back(self, x_t: States, schedule: Schedule, s: Level, t: Level) -> Probabilities:
        """q(x_t | x_s) as a function of x_s: the columns of Q_{t|s} at x_t."""
        return rows(self.matrix(schedule, s, t).transpose(-1, -2), x_t)


def rows(matrix: Matrix, x: States) -> Probabilities:
    """The row of each token's state, of one matrix or of each sample's own."""
    matrix = matrix.to(x.device)
    if matrix.ndim == 2:
        return matrix[x]
    flat = x.flatten(1).unsqueeze(-1).expand(-1, -1, matrix.shape[-1])
    return matrix.gather(1, flat).reshape(*x.shape, matrix.shape[-1])


def _events(p: Probabilities, matrix: Matrix) -> Probabilities:
    matrix = matrix.to(p)
    if matrix.ndim == 2:
        return p @ matrix
    return (p.flatten(1, -2) @ matrix).reshape(p.shape)
