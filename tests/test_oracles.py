"""Facts of whole processes: what the noise forgets, and that data, noise and walks meet halfway."""

import math

import pytest
import torch
from scipy.stats import kstest

from hush.distributions import Gaussian, kl
from hush.processes import GaussianProcess
from hush.rng import Streams
from hush.samplers import Ancestral, EulerMaruyama, Heun, Multistep, bases, walk
from hush.schedules import Cosine, VariancePreserving
from hush.testing import GaussianMixture, MixtureDenoiser, even_levels


@pytest.mark.parametrize(
    ("noised", "golden"),
    [
        (0.0, 0.27449),
        (0.1, 0.20160),
        (0.5, 0.08504),
        (1.0, 0.03979),
        (2.0, 0.01197),
        (5.0, 0.00054),
    ],
)
def test_two_laws_come_together_as_o13_says(noised, golden):
    """KL(p_t ‖ q_t) of N(·, 0.25) and N(·, 0.30), 0.4 apart, where ∫β is `noised`, α² = e^-∫β."""
    process = GaussianProcess(VariancePreserving())
    t = 0.0
    if noised:
        log_snr = torch.tensor([-math.log(math.expm1(noised))], dtype=torch.float64)
        t = process.schedule.time(log_snr).item()
    laws = []
    for mean, variance in ((0.0, 0.25), (0.4, 0.30)):
        at = process.marginal(torch.tensor([[mean]], dtype=torch.float64), t)
        gain = process.schedule.level(t).alpha ** 2
        laws.append(Gaussian(at.mean, gain * variance + at.variance))
    assert kl(*laws).item() == pytest.approx(golden, abs=6e-6)


SAMPLERS = {
    "flow": Heun(),
    "DDPM": Ancestral(),
    "reverse SDE": EulerMaruyama(),
    "SDE-DPM-Solver++": Multistep(2, bases.Data(1.0), along="log_snr"),
}


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("schedule", [VariancePreserving(), Cosine()], ids=["VP", "cosine"])
def test_the_way_back_passes_through_the_laws_of_the_way_there(name, schedule):
    """S03: at five times the states of a walk are the marginal's, by Kolmogorov and Smirnov's test
    (p > 0.01; data N(0.7, ¼), 1000 walks), and so is the forward process."""
    data = GaussianMixture.of([1.0], [[0.7]], [0.25])
    process, rng = GaussianProcess(schedule), Streams.of(12, 1000)
    x_0 = data.sample(rng)
    x = process.marginal(x_0, 1.0).sample(rng.next(2))
    levels = even_levels(schedule, 250)
    denoiser = MixtureDenoiser(process, data, spread=False)
    states = list(walk(SAMPLERS[name], denoiser, x, levels, rng.next(3)))
    for place in (50, 100, 150, 200, 250):
        level = levels[place]
        scale = (level.alpha**2 * 0.25 + level.sigma**2) ** 0.5
        there = process.marginal(x_0, level).sample(rng.next(400 + place))
        for states_there in (states[place].x, there):
            unit = (states_there[:, 0] - level.alpha * 0.7) / scale
            assert kstest(unit.numpy(), "norm").pvalue > 0.01
