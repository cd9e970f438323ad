"""The suite of forward processes."""

import torch

from hush.distributions import Gaussian
from hush.noise import GaussianNoise, White
from hush.processes import GaussianProcess
from hush.rng import Streams
from hush.schedules import Level
from hush.testing.claims import agree, require

_PAIRS = ((0.0, 0.3), (1e-3, 2e-3), (0.2, 0.7), (0.05, 1.0), (0.0, 1.0), (0.499, 0.5))
_ETAS = (0.0, 0.3, 1.0)
_EVENT = (2, 3, 3)


def check_process(process: GaussianProcess) -> None:
    """The four laws of a Gaussian process belong together, to 1e-12.

    - `prior` is the law at t = 1 of data of mean 0 and the covariance of the noise;
    - semigroup: `marginal` to s, then `transition` to t, is `marginal` to t;
    - Bayes: given x_0, `reverse` at eta 1 is the product of `marginal` and `transition`;
    - every eta: given x_0, x_t ~ `marginal` pushed through `reverse` is `marginal` at s;
    - a belief with a variance is the average of the points it is made of;
    - times per sample and shared times give the same laws;
    - all four draw through the process's noise; where that is Gaussian, Bayes holds for their
      densities, log q(x_s | x_0) q(x_t | x_s) = log q(x_s | x_t, x_0) q(x_t | x_0).
    """
    rng = Streams.of(3, 5)
    x_0, x_t = (process.noise(draw, _EVENT, torch.float64) for draw in (rng, rng.next()))
    end = process.marginal(x_0, 1.0)
    prior = process.prior(tuple(x_0.shape), x_0)
    scale = process.schedule.level(1.0).alpha
    agree(prior.mean, 0.0, 0.0, "the mean of the prior")
    agree(prior.spread, scale**2 + end.spread, 1e-12, "the variance of the prior")
    _check_draws(process, prior, "the prior")
    for s, t in _PAIRS:
        low, high = process.schedule.levels(torch.tensor([s, t], dtype=torch.float64))
        _check_semigroup(process, x_0, low, high)
        if s > 0.0:
            _check_bayes(process, x_0, x_t, low, high)
            _check_densities(process, x_0, low, high)
        for eta in _ETAS:
            _check_reverse(process, x_0, x_t, low, high, eta)


def _moments(law: Gaussian) -> tuple[torch.Tensor, torch.Tensor]:
    return law.mean, law.spread.expand_as(law.mean)


def _check_draws(process: GaussianProcess, law: Gaussian, what: str) -> None:
    """mean + √variance ε with the process's own ε."""
    rng = Streams.of(4, len(law.mean))
    noise = process.noise(rng, tuple(law.mean.shape[1:]), law.mean.dtype)
    agree(law.sample(rng), law.mean + law.spread**0.5 * noise, 1e-13, f"a draw of {what}")


def _check_semigroup(process: GaussianProcess, x_0: torch.Tensor, s: Level, t: Level) -> None:
    early, late = process.marginal(x_0, s), process.marginal(x_0, t)
    onward = process.transition(early.mean, s, t)
    agree(onward.mean, late.mean, 1e-12, f"the mean of going on from {s.time} to {t.time}")
    _check_draws(process, late, f"the marginal at {t.time}")
    _check_draws(process, onward, f"going on from {s.time} to {t.time}")
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


def _check_densities(process: GaussianProcess, x_0: torch.Tensor, s: Level, t: Level) -> None:
    """Bayes where the covariance is more than a number: at points drawn from the laws."""
    if not isinstance(process.noise, GaussianNoise):
        return
    late, rng = process.marginal(x_0, t), Streams.of(8, len(x_0))
    x_t = late.sample(rng)
    back = process.reverse(Gaussian(x_0), x_t, s, t, 1.0)
    x_s = back.sample(rng.next())
    forward = process.marginal(x_0, s).log_prob(x_s) + process.transition(x_s, s, t).log_prob(x_t)
    backward = back.log_prob(x_s) + late.log_prob(x_t)
    agree(backward, forward, 1e-9, f"Bayes' log density from {t.time} to {s.time}")


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
    belief = _blurred(process, x_0)
    blurred = process.reverse(belief, x_t, s, t, eta)
    variance = pushed.spread + belief.spread * pull**2
    agree(blurred.spread, variance, 1e-12, f"the belief's variance {where}")
    _check_draws(process, pushed, f"the way back {where}")
    _check_draws(process, blurred, f"the way back of a belief {where}")
    agree(
        blurred.mean, process.reverse(Gaussian(x_0), x_t, s, t, eta).mean, 0.0, f"its mean {where}"
    )
    each = [torch.full((len(x_0),), level.time, dtype=torch.float64) for level in (s, t)]
    own = process.reverse(belief, x_t, *each, eta)
    for one, other in zip(_moments(own), _moments(blurred), strict=True):
        agree(one, other, 1e-13, f"times per sample and shared {where}")


def _blurred(process: GaussianProcess, x_0: torch.Tensor) -> Gaussian:
    """A belief of the process's noise: white with a variance of its own at each element, else one
    for each sample."""
    shape = x_0.shape if isinstance(process.noise, White) else x_0.shape[:1]
    variances = torch.linspace(0.1, 0.5, shape.numel(), dtype=torch.float64).reshape(shape)
    return Gaussian(x_0, variances, process.noise)
