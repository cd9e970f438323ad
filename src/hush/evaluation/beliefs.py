"""Whether what a denoiser believes of x_0 is so, noise level by noise level.

An exact belief p(x_0 | x_t) with mean m and variance v has, at every level and for any data,

E[x_0 | m] = m            so x_0 against m has the slope 1
E (x_0 - m)² = E v        so the squared error over the variance is 1

A slope below 1 is a belief that says too much (it holds its own noise, or what it knows by heart,
for signal), one above 1 says too little.
"""

from dataclasses import dataclass
from math import nan, sqrt

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import one_hot

from hush.data import Source
from hush.distributions import Categorical, Distribution, Gaussian
from hush.evaluation.held_out import device_of
from hush.rng import Streams, derive
from hush.system import System

LEVELS = 8
RECORDS = 512  # seen at every level, at most
FEWEST = 4  # below which no error is known
_BATCH = 256
_COVERED = 1.6448536269514722  # standard deviations to either side: 90 % of a Gaussian

Rows = Float[Tensor, "record element"]
Estimated = tuple[float, float]


@dataclass(frozen=True)
class Believed:
    """What a belief at one time is worth; each number with its standard error over records."""

    time: float
    slope: Estimated
    """b = Σ (m - m̄)(x_0 - x̄_0)/Σ (m - m̄)², over records and elements: 1."""
    gain: float
    """(1 - b)² Σ (m - m̄)²/Σ (x_0 - m)², the share of the error that the slope makes."""
    spread: Estimated | None
    """Σ (x_0 - m)²/Σ v: 1; None where the belief has no variance."""
    covered: Estimated | None
    """The share of elements with |x_0 - m| ≤ 1.645 √v: .9 where the belief is a Gaussian's."""


@torch.no_grad()
def believed(
    system: System,
    source: Source,
    levels: int = LEVELS,
    given_class: bool = True,
    seed: int = 0,
) -> tuple[Believed, ...]:
    """The beliefs of a system about at most 512 records, at `levels` times spread evenly over the
    law it trains on; empty for fewer than 4 records, and for beliefs that are neither Gaussian nor
    categorical (of these m is the probabilities, v = m (1 - m), x_0 one of K)."""
    count, device = min(len(source), RECORDS), device_of(system)
    u = (torch.arange(levels, dtype=torch.float64, device=device) + 0.5) / levels
    times = system.objective.times.quantile(system.denoiser.process.schedule, u).tolist()
    found = []
    for number, time in enumerate(times if count >= FEWEST else ()):
        rng = Streams.of(derive(seed, f"beliefs {number}"), count, device=device)
        parts = [
            _seen(system, source, range(start, min(start + _BATCH, count)), time, rng, given_class)
            for start in range(0, count, _BATCH)
        ]
        if None in parts:
            return ()
        means, truths, variances = zip(*parts, strict=True)
        variance = None if variances[0] is None else torch.cat(variances)
        found.append(_weighed(time, torch.cat(means), torch.cat(truths), variance))
    return tuple(found)


def _seen(
    system: System, source: Source, places: range, time: float, rng: Streams, given_class: bool
) -> tuple[Rows, Rows, Rows | None] | None:
    """(m, x_0, v) of some records seen at a time."""
    denoiser = system.threshold(system.denoiser) if system.threshold else system.denoiser
    record = {key: value.to(rng.index.device) for key, value in source.read(places).items()}
    rng = rng[places.start : places.stop]
    x_0, cond, _ = system.learnt(record, rng.branch("task"))
    if isinstance(x_0, dict):
        return None
    x_t = system.denoiser.process.marginal(x_0, time).sample(rng)
    return _rows(denoiser.eval()(x_t, time, cond if given_class else None), x_0)


def _rows(belief: Distribution, x_0: Tensor) -> tuple[Rows, Rows, Rows | None] | None:
    if isinstance(belief, Categorical):
        share = belief.logits.double().softmax(-1)
        truth = one_hot(x_0, share.shape[-1]).double()
        return share.flatten(1), truth.flatten(1), (share * (1.0 - share)).flatten(1)
    if not isinstance(belief, Gaussian):
        return None
    mean = belief.mean.double()
    variance = None if belief.is_point else belief.spread.double().expand_as(mean).flatten(1)
    return mean.flatten(1), x_0.double().flatten(1), variance


def _weighed(time: float, mean: Rows, truth: Rows, variance: Rows | None) -> Believed:
    told, true = mean - mean.mean(0), truth - truth.mean(0)
    square, error = told.square().sum(1), (truth - mean).square().sum(1)
    slope, its_error = _ratio((told * true).sum(1), square)
    gain = (1.0 - slope) ** 2 * float(square.sum() / error.sum().clamp(min=1e-300))
    if variance is None:
        return Believed(time, (slope, its_error), gain, None, None)
    within = ((truth - mean).abs() <= _COVERED * variance.sqrt()).double().mean(1)
    covered = within.mean().item(), (within.var() / len(within)).sqrt().item()
    return Believed(time, (slope, its_error), gain, _ratio(error, variance.sum(1)), covered)


def _ratio(above: Float[Tensor, " record"], below: Float[Tensor, " record"]) -> Estimated:
    """Σ above/Σ below and its standard error, √(Σ (a_i - R b_i)² n/(n - 1))/Σ b (Cochran 1977,
    "Sampling techniques", eq. 6.13: what is of one record is not independent, records are)."""
    total, count = below.sum(), len(below)
    if not total > 0.0:
        return nan, nan
    value = above.sum() / total
    left = (above - value * below).square().sum() * count / (count - 1)
    return value.item(), sqrt(left.item()) / total.item()
