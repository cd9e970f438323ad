"""What a network's output means: each target said a second time, and the clocks."""

import pytest
import torch
from torch import nn

from hush.denoisers import GaussianDenoiser
from hush.denoisers.parameterisations import EDM as Preconditioned
from hush.denoisers.parameterisations import Data, Noise, Score, V, Velocity
from hush.guidance import ClassifierFree
from hush.processes import GaussianProcess
from hush.rng import Streams
from hush.schedules import EDM, Cosine, Rectified, Tabulated, VariancePreserving
from hush.testing import GaussianMixture, MixtureDenoiser

SCHEDULES = [VariancePreserving(), Cosine(), EDM(), Rectified(), Tabulated.linear()]
ids = [type(schedule).__name__ for schedule in SCHEDULES]
on_every_schedule = pytest.mark.parametrize("schedule", SCHEDULES, ids=ids)
TIMES = torch.tensor([0.001, 0.03, 0.25, 0.5, 0.77, 0.99], dtype=torch.float64)
X_0 = Streams.of(0, 6).normal((3, 2), torch.float64)
NOISE = Streams.of(1, 6).normal((3, 2), torch.float64)


class Oracle(nn.Module):
    """A network that answers `answer`, and keeps what it was asked."""

    def __init__(self, answer):
        super().__init__()
        self.answer = answer

    def forward(self, x, clock, cond=None):
        self.x, self.clock, self.cond = x, clock, cond
        return self.answer


def column(numbers):
    return numbers.reshape(-1, 1, 1)


def scales(schedule):
    return tuple(map(column, schedule(TIMES)))


def x_t(schedule):
    alpha, sigma = scales(schedule)
    return alpha * X_0 + sigma * NOISE


def belief(schedule, parameterisation, answer):
    denoiser = GaussianDenoiser(GaussianProcess(schedule), Oracle(answer), parameterisation)
    return denoiser(x_t(schedule), TIMES)


def edm_target(schedule, data):
    """Karras et al. 2022, eq. 7 and 8: F = (y - c_skip (y + n))/c_out with y + n = x_t/α."""
    alpha, sigma = scales(schedule)
    r = sigma / alpha
    c_skip = data**2 / (r**2 + data**2)
    c_out = r * data / (r**2 + data**2).sqrt()
    return (X_0 - c_skip * (X_0 + r * NOISE)) / c_out


def velocity(schedule):
    alpha_rate, sigma_rate = map(column, schedule.rates(TIMES))
    return alpha_rate * X_0 + sigma_rate * NOISE


MEANINGS = {
    "the noise": (Noise(), lambda schedule: NOISE),
    "the data": (Data(), lambda schedule: X_0),
    "v": (V(), lambda schedule: scales(schedule)[0] * NOISE - scales(schedule)[1] * X_0),
    "the velocity": (Velocity(), velocity),
    "the score": (Score(), lambda schedule: -NOISE / scales(schedule)[1]),
    "EDM's output": (Preconditioned(0.5), lambda schedule: edm_target(schedule, 0.5)),
    "EDM's output for loud data": (Preconditioned(2.0), lambda schedule: edm_target(schedule, 2.0)),
}


@on_every_schedule
@pytest.mark.parametrize(("parameterisation", "target"), MEANINGS.values(), ids=MEANINGS)
def test_exactly_what_is_meant_gives_exactly_x_0(parameterisation, target, schedule):
    got = belief(schedule, parameterisation, target(schedule))
    torch.testing.assert_close(got.mean, X_0, rtol=0, atol=2e-11)
    assert got.is_point


@on_every_schedule
def test_all_meanings_of_one_belief_are_the_same_posterior_mean(schedule):
    """E[x_0 | x_t] from E[ε | x_t], E[v | x_t], … of a mixture: the score says them all."""
    mixture = GaussianMixture.of([0.4, 0.6], [[[-1.0, 0.5]] * 3, [[1.0, 0.0]] * 3], [0.3, 0.1])
    level, x = schedule.level(TIMES), x_t(schedule)
    exact = mixture.posterior(x, level).mean
    alpha, sigma = scales(schedule)
    score = mixture.score(x, level)
    torch.testing.assert_close((x + sigma**2 * score) / alpha, exact, rtol=1e-9, atol=1e-9)
    noise = -sigma * score
    answers = {Noise(): noise, Score(): score, V(): alpha * noise - sigma * exact, Data(): exact}
    for parameterisation, answer in answers.items():
        got = belief(schedule, parameterisation, answer).mean
        torch.testing.assert_close(got, exact, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("parameterisation", [Data(), V(), Velocity()], ids=repr)
def test_no_signal_is_no_trouble_where_nothing_divides_by_it(parameterisation):
    """Rectified at t = 1: x_0 = ε - u, x_0 = -v, x_0 itself, all finite."""
    skip, out, c_in, _ = parameterisation(Rectified(), Rectified().level(1.0))
    assert c_in == 1.0
    wanted = {Data: (0.0, 1.0), V: (0.0, -1.0), Velocity: (1.0, -1.0)}[type(parameterisation)]
    assert (skip, out) == wanted


def test_edm_on_its_own_schedule_is_karrass_table():
    """Table 1: c_skip, c_out, c_in = 1/√(σ² + σ_d²), c_noise = ln(σ)/4."""
    for sigma in (0.002, 0.5, 3.0, 80.0):
        level = EDM().level(sigma / 80.0)
        skip, out, c_in, clock = Preconditioned(0.5)(EDM(), level)
        total = sigma**2 + 0.25
        assert skip == pytest.approx(0.25 / total, rel=1e-13)
        assert out == pytest.approx(0.5 * sigma / total**0.5, rel=1e-13)
        assert c_in == pytest.approx(total**-0.5, rel=1e-13)
        assert clock == pytest.approx(torch.tensor(sigma).double().log().item() / 4, rel=1e-6)


@on_every_schedule
@pytest.mark.parametrize("data", [0.5, 1.0, 2.0])
def test_edms_network_sees_and_answers_unit_variance_whatever_the_schedule(schedule, data):
    """What c_in, c_out were chosen for (Karras et al. 2022, appendix B.6): for data of deviation
    σ_d, Var[c_in x_t] = 1 and Var[target] = 1."""
    alpha, sigma = schedule(TIMES)
    parameterisation = Preconditioned(data)
    skip, out, c_in, _ = parameterisation(schedule, schedule.level(TIMES))
    variance = (alpha * data) ** 2 + sigma**2
    torch.testing.assert_close(c_in**2 * variance, torch.ones_like(TIMES), rtol=1e-12, atol=0)
    target = ((1 - skip * alpha) * data / out) ** 2 + (skip * sigma / out) ** 2
    torch.testing.assert_close(target, torch.ones_like(TIMES), rtol=1e-9, atol=0)


@on_every_schedule
@pytest.mark.parametrize("parameterisation", [Noise(), Data(), V(), Velocity(), Score()], ids=repr)
def test_the_network_sees_unit_variance_of_unit_variance_data(parameterisation, schedule):
    alpha, sigma = schedule(TIMES)
    c_in = parameterisation(schedule, schedule.level(TIMES)).c_in
    wanted = torch.ones_like(TIMES)
    torch.testing.assert_close(c_in**2 * (alpha**2 + sigma**2), wanted, rtol=1e-12, atol=0)


def test_the_clock_of_a_chain_is_the_step_counted_from_0_and_elsewhere_a_thousand_times_t():
    for steps in (50, 1000):
        chain, network = Tabulated.linear(steps), Oracle(X_0[:1])
        denoiser = GaussianDenoiser(GaussianProcess(chain), network)
        for i in (1, 2, steps // 2, steps):
            denoiser(X_0[:1], i / steps)
            assert network.clock.item() == pytest.approx(i - 1, abs=1e-9)
            assert network.clock.shape == (1,)
    for schedule in (VariancePreserving(), Cosine(), Rectified()):
        assert V()(schedule, schedule.level(0.25)).clock == 250.0


@on_every_schedule
def test_shared_times_and_times_per_sample_give_the_same_belief(schedule):
    network = Oracle(NOISE)
    denoiser = GaussianDenoiser(GaussianProcess(schedule), network, V())
    shared = denoiser(X_0, 0.37).mean
    asked = network.x, network.clock
    own = denoiser(X_0, torch.full((6,), 0.37, dtype=torch.float64)).mean
    torch.testing.assert_close(own, shared, rtol=1e-14, atol=1e-14)
    for one, other in zip(asked, (network.x, network.clock), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-14, atol=1e-14)


# -- guidance --------------------------------------------------------------------------------------

TWO = GaussianMixture.of([0.5, 0.5], [[-1.2], [1.2]], [1.0, 1.0])  # O10: N(±μ, 1)


@on_every_schedule
@pytest.mark.parametrize("scale", [0.0, 0.5, 2.0, 7.5])
def test_classifier_free_guidance_is_classifier_guidance_on_two_gaussians(schedule, scale):
    """O10: p(c | x_t) is logistic in x_t, so ∇log p_t + scale ∇log p(c | x_t) is known, and the
    belief it means is (x_t + σ² score)/α, at every t."""
    denoiser = MixtureDenoiser(GaussianProcess(schedule), TWO)
    x = Streams.of(2, 5).normal((1,), torch.float64) * 2.0
    cond = torch.tensor([0, 1, 0, 1, 1])
    for t in (0.01, 0.2, 0.5, 0.9):
        level = schedule.level(t)
        variance = level.alpha**2 + level.sigma**2
        slope = 2.0 * level.alpha * 1.2 / variance  # of the logit of p(c = 1 | x_t)
        sign = (2.0 * cond.double() - 1.0).unsqueeze(1)
        classifier = sign * slope * torch.sigmoid(-sign * slope * x)
        score = TWO.score(x, level) + scale * classifier
        wanted = (x + level.sigma**2 * score) / level.alpha
        got = ClassifierFree(scale)(denoiser)(x, level, cond).mean
        torch.testing.assert_close(got, wanted, rtol=1e-9, atol=1e-9)


@on_every_schedule
def test_guidance_of_scale_1_is_the_conditional_belief_bit_for_bit_and_0_the_free_one(schedule):
    denoiser = MixtureDenoiser(GaussianProcess(schedule), TWO)
    x, cond = Streams.of(2, 4).normal((1,), torch.float64), torch.tensor([0, 1, 1, 0])
    for t in (0.3, torch.tensor([0.1, 0.2, 0.5, 0.9], dtype=torch.float64)):
        one = ClassifierFree(1.0)(denoiser)(x, t, cond)
        assert torch.equal(one.mean, denoiser(x, t, cond).mean)
        none = ClassifierFree(0.0)(denoiser)(x, t, cond)
        torch.testing.assert_close(none.mean, denoiser(x, t).mean, rtol=1e-14, atol=1e-15)
        unasked = ClassifierFree(3.0)(denoiser)(x, t)
        assert torch.equal(unasked.mean, denoiser(x, t).mean)
