"""Grids searched for one model: dynamic programming over the trajectories of a fine walk."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hush.denoisers import Denoiser
from hush.errors import UserError
from hush.rng import Streams
from hush.samplers.base import walk
from hush.samplers.bases import Velocity
from hush.samplers.grids import Focused, Given
from hush.samplers.multistep import Multistep
from hush.schedules import Level
from hush.tensors import Condition, total

_BASIS = Velocity()
FINE = Multistep(4, _BASIS, corrector=4, start="lower")  # the most exact at one evaluation a step


@dataclass(frozen=True)
class Teacher:
    """A fine walk of the probability flow in the coordinates of the velocity: its levels, where it
    stood (steps + 1, n), its slopes at all but the last (steps, n), and its end in x."""

    levels: tuple[Level, ...]
    places: Tensor
    slopes: Tensor
    end: Tensor

    @classmethod
    def of(
        cls, denoiser: Denoiser, x: Tensor, steps: int, cond: Condition | None = None
    ) -> "Teacher":
        """From x, states at t = 1, in so many evaluations."""
        levels = Focused(steps)(denoiser.process.schedule)
        states = list(walk(FINE, denoiser, x, levels, Streams.of(0, len(x)), cond))
        past = [state.memory.past[-1] for state in states[1:]]
        places = [one.x / _BASIS.scale(one.t) for one in past] + [states[-1].x]
        flat = [
            torch.stack(part).flatten(1).double()
            for part in (places, [total(p.slope) for p in past])
        ]
        return cls(tuple(levels), *flat, states[-1].x)


def searched(teacher: Teacher, steps: int) -> Given:
    """The levels of the teacher on which `steps` steps of a third-order corrected Adams method
    leave the least sum of local errors.

    A step from i to j after h errs by e = (u_j - u_i) Σ_k w_k q_k - (y_j - y_i), w the shares of
    the nodes h, i, j (the last step, into σ = 0, has no slope at its end), measured as the root
    mean square over the teacher's trajectories. Least sums over chains of pairs (h, i) are found
    level by level. The idea of dynamic programming is that of Watson et al. 2021, "Learning to
    efficiently sample from diffusion probabilistic models".
    """
    count = len(teacher.levels) - 1
    if not 2 <= steps < count:
        raise UserError(f"A search over {count} levels finds 2 to {count - 1} steps, got {steps}.")
    u = np.array([_BASIS.variable(level) for level in teacher.levels])
    gram = _gram(teacher)
    costs = np.stack([_inner(gram, u, i) for i in range(count)], 1)  # (h, i, j)
    best = np.full((count, count), np.inf)  # of a chain ending in the pair (i, j)
    best[0] = _first(gram, u)
    origins = []
    for _ in range(steps - 2):
        sums = best[:, :, None] + costs
        origins.append(sums.argmin(0))
        best = sums.min(0)
    i, j = np.unravel_index((best + _last(gram, u)).argmin(), best.shape)
    path = [j, i]
    for origin in reversed(origins):
        i, j = origin[i, j], i
        path.append(i)
    return Given.at([teacher.levels[place].time for place in reversed(path)] + [0.0])


def _gram(teacher: Teacher) -> np.ndarray:
    """Inner products, per element, of all slopes and then all places."""
    vectors = torch.cat((teacher.slopes, teacher.places))
    return (vectors @ vectors.T / vectors.shape[1]).cpu().numpy()


def _norm(gram: np.ndarray, *parts: tuple[np.ndarray | int, np.ndarray | float]) -> np.ndarray:
    """‖Σ coefficient·vector[index]‖ for arrays of indices and coefficients."""
    square = sum(c * d * gram[a, b] for a, c in parts for b, d in parts)
    return np.sqrt(np.maximum(square, 0.0))


def _first(gram: np.ndarray, u: np.ndarray) -> np.ndarray:
    """What the first step leaves, corrected by the trapezoid, from 0 to each j (infinite to 0)."""
    count = len(u) - 1
    j, width = np.arange(count), u[:-1] - u[0]
    error = _norm(gram, (0, width / 2), (j, width / 2), (count, 1.0), (count + j, -1.0))
    return np.where(j > 0, error, np.inf)


def _inner(gram: np.ndarray, u: np.ndarray, i: int) -> np.ndarray:
    """What a step from i leaves after each h to each j, (h, j), infinite unless h < i < j."""
    count = len(u) - 1
    errors = np.full((count, count), np.inf)
    h, j = np.arange(i)[:, None], np.arange(i + 1, count)[None]
    width = u[j] - u[i]
    place = (u[h] - u[i]) / width  # of h, where i is at 0 and j at 1
    w_h = -1.0 / (6.0 * place * (place - 1.0))
    w_i, w_j = 0.5 - 1.0 / (6.0 * place), (1 / 3 - place / 2) / (1.0 - place)
    parts = (h, width * w_h), (i, width * w_i), (j, width * w_j)
    errors[:i, i + 1 :] = _norm(gram, *parts, (count + i, 1.0), (count + j, -1.0))
    return errors


def _last(gram: np.ndarray, u: np.ndarray) -> np.ndarray:
    """What the last step leaves, from i after h to the end, (h, i): a line through both."""
    count = len(u) - 1
    h, i = np.indices((count, count))
    width = u[-1] - u[i]
    place = np.where(h < i, (u[h] - u[i]) / width, -1.0)
    parts = (h, width * 0.5 / place), (i, width * (1.0 - 0.5 / place))
    error = _norm(gram, *parts, (count + i, 1.0), (2 * count, -1.0))
    return np.where(h < i, error, np.inf)
