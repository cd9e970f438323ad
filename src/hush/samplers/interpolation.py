"""The mean of a slope over a step, from its values at a few levels: a polynomial, integrated."""

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Literal

import numpy as np

from hush.samplers.bases import Basis
from hush.schedules import Level, Schedule

Along = Literal["variable", "log_snr", "time"]
Rule = Literal["exact", "midpoint"]

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(24)
_NODES, _WEIGHTS = 0.5 * (_NODES + 1.0), 0.5 * _WEIGHTS  # on [0, 1]


def mean_shares(
    basis: Basis,
    nodes: Sequence[Level],
    t: Level,
    s: Level,
    along: Along = "variable",
    rule: Rule = "exact",
) -> list[float]:
    """What the slope at each node counts for in its mean over the basis' variable from t to s: with
    p the polynomial through the nodes, Σ_j share_j p(node_j) = ∫ p du / (u_s - u_t).

    `along` is what p is a polynomial in: the variable u itself, the log-SNR, or the time, in which
    u is then taken for even ("pseudo" methods). Where the log-SNR is infinite, from no signal or to
    no noise, p runs in u, and where that is infinite too, is the newest slope. `rule` "midpoint"
    takes a line half way, which has the same order; other polynomials are integrated.

    >>> from hush.samplers.bases import Velocity
    >>> rectified = [Level(t, 1.0 - t, t) for t in (1.0, 0.5, 0.0)]
    >>> [round(share, 12) for share in mean_shares(Velocity(), rectified[:2], *rectified[1:])]
    [-0.5, 1.5]
    """
    return list(_mean_shares(basis, tuple(nodes), t, s, along, rule))


@lru_cache(maxsize=4096)
def _mean_shares(
    basis: Basis, nodes: tuple[Level, ...], t: Level, s: Level, along: Along, rule: Rule
) -> tuple[float, ...]:
    """`mean_shares`, which every batch walked along the same levels asks for again."""
    place = _place(basis, along, (*nodes, t, s))
    if place is None or len(nodes) == 1:
        return (*(0.0 for _ in nodes[1:]), 1.0)
    start, width = place(t), place(s) - place(t)
    places = np.array([(place(node) - start) / width for node in nodes])
    powers = np.arange(len(nodes))
    if rule == "midpoint" and len(nodes) == 2:
        moments = 0.5**powers
    elif place is _half_log_snr:
        moments = _moments(basis, start, width, powers)
    else:
        moments = 1.0 / (powers + 1.0)
    return tuple(np.linalg.solve(places ** powers[:, None], moments).tolist())


def level_between(
    basis: Basis, along: Along, schedule: Schedule, t: Level, s: Level, part: float
) -> Level:
    """The level that is this part of the way from t to s, in what `along` says."""
    if part == 1.0:
        return s
    place = _time if along == "time" else _place(basis, along, (t, s))
    at = place(t) + part * (place(s) - place(t))
    if place is _time:
        return schedule.level(at)
    return schedule.at_ratio(math.exp(-at) if place is _half_log_snr else basis.ratio(at))


def _place(basis: Basis, along: Along, levels: Sequence[Level]) -> Callable[[Level], float] | None:
    """What a polynomial runs in: the first choice that is finite at all the levels."""
    first = {"variable": basis.variable, "log_snr": _half_log_snr, "time": _time}[along]
    for place in (first, basis.variable):
        if all(math.isfinite(place(level)) for level in levels):
            return place
    return None


def _half_log_snr(level: Level) -> float:
    return -level.log_ratio


def _time(level: Level) -> float:
    return level.time


def _moments(basis: Basis, start: float, width: float, powers: np.ndarray) -> np.ndarray:
    """The means over u of v^k, v running from 0 to 1 along the step's log-SNR: by parts,
    1 - k ∫ U v^(k-1) dv with U = (u - u_t)/(u_s - u_t), a smooth integrand."""
    ratios = [math.exp(-(start + width * v)) for v in (0.0, *_NODES, 1.0)]
    u = np.array([basis.variable(Level(math.nan, 1.0, ratio)) for ratio in ratios])
    risen = (u[1:-1] - u[0]) / (u[-1] - u[0])
    return np.array([1.0 - k * (_WEIGHTS * risen * _NODES ** max(k - 1, 0)).sum() for k in powers])
