"""The suite of forward processes."""

import torch

from hush.distributions import Gaussian
from hush.processes import GaussianProcess
from hush.rng import Streams
from hush.schedules import Level
from hush.testing.claims import agree, require

_PAIRS = ((0.0, 0.3), (1e-3, 2e-3), (0.2, 0.7), (0.05, 1.0), (0.0, 1.0), (0.499, 0.5))
_ETAS = (0.0, 0.3, 1.0)


def check_process(process: GaussianProcess) -> None:
    """The four laws of a Gaussian process belong together, to 1e-12.

    - `prior` is the law at t = 1 of data of mean 0 and variance 1;
    - semigroup: `marginal` to s, then `transition` to t, is `marginal` to t;
    - Bayes: given x_0, `reverse` at eta 1 is the product of `marginal` and `transition`;
    - every eta: given x_0, x_t ~ `marginal` pushed through `reverse` is `marginal` at s;
    - a belief with a variance is the average of the points it is made of;
    - times per sample and shared times give the same laws.
    """
    rng = Streams.of(3, 5)
    x_0, x_t = rng.normal((2, 3), torch.float64), rng.next().normal((2, 3), torch.float64)
    end = process.marginal(x_0, 1.0)
    prior = process.prior(tuple(x_0.shape), x_0)
    scale = process.schedule.level(1.0).alpha
    agree(prior.mean, 0.0, 0.0, "the mean of the prior")
    agree(prior.spread, scale**2 + end.spread, 1e-12, "the variance of the prior")
    for s, t in _PAIRS:
        low, high = process.schedule.levels(torch.tensor([s, t], dtype=torch.float64))
        _check_semigroup(process, x_0, low, high)
        if s > 0.0:
            _check_bayes(process, x_0, x_t, low, high)
        for eta in _ETAS:
            _check_reverse(process, x_0, x_t, low, high, eta)


def _moments(law: Gaussian) -> tuple[torch.Tensor, torch.Tensor]:
    return law.mean, law.spread.expand_as(law.mean)


def _check_semigroup(process: GaussianProcess, x_0: torch.Tensor, s: Level, t: Level) -> None:
    early, late = process.marginal(x_0, s), process.marginal(x_0, t)
    onward = process.transition(early.mean, s, t)
    agree(onward.mean, late.mean, 1e-12, f"the mean of going on from {s.time} to {t.time}")
    gain = process.transition(torch.ones_like(x_0), s, t).mean
    variance = gain**2 * early.spread + onward.spread
    agree(variance, late.spread, 1e-12, f"the variance of going on from {s.time} to {t.time}")


def _check_bayes(
    process: GaussianProcess, x_0: torch.Tensor, x_t: torch.Tensor, s: Level, t: Level
) -> None:
    """q(x_s | x_t, x_0) ∝ q(x_s | x_0) q(x_t | x_s): precisions add."""
    before = process.marginal(x_0, s)
    gain = process.transition(torch.ones_like(x_0), s, t).mean
    step = process.transition(x_0, s, t).spread
    precision = 1.0 / before.spread + gain**2 / step
    mean = (before.mean / before.spread + gain * x_t / step) / precision
    law = process.reverse(Gaussian(x_0), x_t, s, t, 1.0)
    agree(law.mean, mean, 1e-12, f"Bayes' mean from {t.time} to {s.time}")
    ratio = law.spread * precision
    agree(ratio, 1.0, 1e-10, f"Bayes' variance (as a ratio) from {t.time} to {s.time}")


def _check_reverse(
    process: GaussianProcess, x_0: torch.Tensor, x_t: torch.Tensor, s: Level, t: Level, eta: float
) -> None:
    where = f"from {t.time} to {s.time} at eta {eta}"
    late, early = process.marginal(x_0, t), process.marginal(x_0, s)
    pushed = process.reverse(Gaussian(x_0), late.mean, s, t, eta)
    agree(pushed.mean, early.mean, 1e-12, f"the mean {where}")
    gain = process.reverse(Gaussian(x_0), late.mean + 1.0, s, t, eta).mean - pushed.mean
    agree(gain**2 * late.spread + pushed.spread, early.spread, 1e-12, f"the variance {where}")
    require(eta > 0.0 or bool((pushed.spread == 0).all()), "At eta 0 a point must stay a point.")

    pull = process.reverse(Gaussian(x_0 + 1.0), x_t, s, t, eta).mean
    pull = pull - process.reverse(Gaussian(x_0), x_t, s, t, eta).mean
    blurred = process.reverse(Gaussian(x_0, torch.full_like(x_0, 0.3)), x_t, s, t, eta)
    agree(blurred.spread, pushed.spread + 0.3 * pull**2, 1e-12, f"the belief's variance {where}")
    agree(
        blurred.mean, process.reverse(Gaussian(x_0), x_t, s, t, eta).mean, 0.0, f"its mean {where}"
    )
    each = [torch.full((len(x_0),), level.time, dtype=torch.float64) for level in (s, t)]
    own = process.reverse(Gaussian(x_0, torch.full_like(x_0, 0.3)), x_t, *each, eta)
    for one, other in zip(_moments(own), _moments(blurred), strict=True):
        agree(one, other, 1e-13, f"times per sample and shared {where}")
