"""The learned schedule and its bound: the ends are trained on the mean, the way between them on the
variance, in one backward pass."""

import math
from copy import deepcopy

import pytest
import torch
from torch import nn

from hush.denoisers import GaussianDenoiser
from hush.errors import UserError
from hush.likelihoods.decoders import Density
from hush.objectives.learned_bound import LearnedBound
from hush.objectives.times import Stratified, Uniform
from hush.processes import GaussianProcess
from hush.rng import Streams
from hush.schedules import Cosine, Schedule
from hush.schedules.learned import Learned
from hush.testing import GaussianMixture, MixtureDenoiser, check_process, check_schedule

ELEMENTS = 16
DATA = GaussianMixture.of([1.0], [[0.0] * ELEMENTS], [0.25])
BOUND = LearnedBound(decoder=Density())
TOTAL = 2.310944  # of γ from -6 to 5


def bent(gamma_min=-6.0, gamma_max=5.0, **kwargs):
    """A schedule that is far from straight."""
    schedule = Learned(gamma_min, gamma_max, units=32, **kwargs)
    with torch.no_grad():
        schedule.heights.copy_(torch.linspace(0.1, 3.0, 32))
        schedule.slopes.copy_(torch.linspace(2.0, -20.0, 32))
    return schedule


def exact(schedule):
    return MixtureDenoiser(GaussianProcess(schedule), DATA, spread=False)


def losses(schedule, count, seed=0, bound=BOUND):
    """The diffusion terms of `count` samples, which carry gradients."""
    rng = Streams.of(seed, count)
    t = bound.times(schedule, rng)
    x_0 = DATA.sample(rng.next(2))
    return bound._diffusion(exact(schedule), x_0, t, rng.next(4), None)


def within(schedule):
    """The parameters of the way between the ends."""
    return [p for name, p in schedule.named_parameters() if name != "moved"]


def flat(gradients):
    return torch.cat([g.double().flatten() for g in gradients])


@pytest.mark.parametrize("schedule", [bent(), bent(start=0.01), Learned(-20.0, 9.0)], ids=repr)
def test_a_bent_schedule_is_a_schedule(schedule):
    check_schedule(schedule)
    check_process(GaussianProcess(schedule))


@torch.no_grad()
def test_the_ends_are_where_they_are_said_to_be():
    for schedule in (Learned(-6.0, 5.0), bent(start=0.01)):
        assert schedule.log_snr(schedule.start) == pytest.approx(6.0, abs=1e-12)
        assert schedule.log_snr(1.0) == pytest.approx(-5.0, abs=1e-12)
        place, speed = schedule.interior(torch.linspace(0, 1, 10_001, dtype=torch.float64))
        assert place[0] == 0.0
        assert place[-1] == pytest.approx(1.0, abs=1e-15)
        assert torch.trapezoid(speed, dx=1e-4) == pytest.approx(1.0, rel=2e-2)


def test_the_noise_starts_from_none_in_proportion_to_time():
    schedule = Learned(-6.0, 5.0, start=0.01)
    ratio = math.exp(-3.0)
    for share in (1e-9, 0.25, 1.0):
        level = schedule.level(share * 0.01)
        assert level.sigma / level.alpha == pytest.approx(share * ratio, rel=1e-9)
    assert schedule.rates(0.0) == pytest.approx((0.0, 100.0 * ratio), rel=1e-12)


@torch.no_grad()
def test_it_is_all_but_straight_at_first():
    u = torch.linspace(1e-5, 1.0, 101, dtype=torch.float64)
    assert (Learned().interior(u)[0] - u).abs().max() < 0.005


@torch.no_grad()
def test_its_time_is_that_of_bisection_also_over_a_cliff():
    cliff = bent()
    cliff.slope.fill_(1e-3)
    cliff.slopes.fill_(400.0)
    cliff.thresholds.copy_(400.0 * torch.linspace(0.1, 0.98, 32))
    log_snr = torch.linspace(-7.0, 40.0, 500, dtype=torch.float64)
    for schedule in (bent(), bent(start=0.01), cliff):
        bisected = Schedule.time(schedule, log_snr)
        assert torch.allclose(schedule.time(log_snr), bisected, rtol=1e-11, atol=0.0)


def test_bad_ends_and_starts_are_refused():
    with pytest.raises(UserError, match="gamma_min < gamma_max"):
        Learned(5.0, -13.3)
    with pytest.raises(UserError, match="start"):
        Learned(start=0.0)


# -- learning --------------------------------------------------------------------------------------


@torch.no_grad()
@pytest.mark.parametrize(("steps", "total"), [(10, 3.7159), (100, 2.4141), (1000, 2.3210)])
def test_the_discrete_bound_of_gaussian_data_falls_to_the_continuous_one(steps, total):
    schedule = Learned(-6.0, 5.0)
    schedule.heights.zero_()  # straight
    times = torch.linspace(schedule.start, 1.0, steps + 1, dtype=torch.float64)
    gamma = -schedule.log_snr(times)
    wrong = 0.25 / (0.25 + gamma[1:].exp())  # E(ε - ε̂)²
    assert 0.5 * (torch.expm1(gamma.diff()) * wrong).sum() == pytest.approx(total, abs=1e-4)


@pytest.mark.parametrize("schedule", [Learned(-6.0, 5.0), bent()], ids=["straight", "bent"])
def test_the_diffusion_term_does_not_depend_on_the_way_between_the_ends(schedule):
    with torch.no_grad():
        terms = losses(schedule, 10_000)
    assert abs(terms.mean() - TOTAL) < 4.0 * terms.std() / 100.0


def second_moment(schedule):
    """E[L²] of the diffusion term of a sample, whose ε - ε̂ is normal: by quadrature over t."""
    t = torch.linspace(schedule.start, 1.0, 4001, dtype=torch.float64)
    first, last = schedule.ends
    place, speed = schedule.interior(t)
    wrong = 0.25 / (0.25 + (first + (last - first) * place).exp())
    mean = 0.5 * (last - first) * speed * wrong
    return (1.0 + 2.0 / ELEMENTS) * torch.trapezoid(mean**2, dx=1.0 / 4000)


def total(schedule):
    """The whole bound in nats per element, where the last law is N(x̂_0, σ²/α²)."""
    first, last = schedule.ends
    data = 0.5 * (math.log(math.tau) + first + 0.25 / (0.25 + first.exp()))
    diffusion = last - first - ((0.25 + last.exp()) / (0.25 + first.exp())).log()
    noise = last.sigmoid()
    prior = 0.25 * (1.0 - noise) + noise - 1.0 - noise.log()
    return data + 0.5 * (diffusion + prior)


def within_chance(samples, expected):
    """Whether every mean of the rows lies within 5 standard errors of what is expected."""
    error = samples.std(0) / len(samples) ** 0.5
    return ((samples.mean(0) - expected).abs() < 5.0 * error).all()


def test_within_the_ends_the_gradient_of_the_mean_vanishes_and_that_of_the_square_is_learned():
    schedule = bent()
    parts, mean, learned = within(schedule), [], []
    for seed in range(60):
        terms = losses(schedule, 256, seed)
        learned.append(flat(torch.autograd.grad(terms.mean(), parts, retain_graph=True)))
        undone = (terms / (2.0 * terms.detach())).mean()  # each sample less its factor 2 L
        mean.append(flat(torch.autograd.grad(undone, parts)))
    mean, learned = torch.stack(mean), torch.stack(learned)
    wanted = flat(torch.autograd.grad(second_moment(schedule), parts))
    assert within_chance(mean, 0.0)
    assert within_chance(learned, wanted)
    assert not within_chance(learned, 0.0)


def test_the_ends_get_the_gradient_of_the_bound():
    schedule, gradients = bent(-3.0, 0.0), []
    for seed in range(60):
        rng = Streams.of(seed, 256)
        loss = BOUND(exact(schedule), DATA.sample(rng.branch("data")), rng).mean()
        gradients.append(flat(torch.autograd.grad(loss, [schedule.moved])))
    wanted = flat(torch.autograd.grad(total(schedule), [schedule.moved]))
    assert wanted[0] > 0.01 > -0.01 > wanted[1]
    assert within_chance(torch.stack(gradients), wanted)


def learn(schedule, parts, steps, rate):
    adam = torch.optim.Adam(parts, lr=rate)
    for step in range(steps):
        rng = Streams.of(7, 64, start=64 * step)
        loss = BOUND(exact(schedule), DATA.sample(rng.branch("data")), rng).mean()
        adam.zero_grad()
        loss.backward(inputs=parts)
        adam.step()


def test_learning_the_way_lowers_the_variance_and_leaves_the_mean():
    schedule = Learned(-6.0, 5.0, units=64)
    before = second_moment(schedule).item() - TOTAL**2
    learn(schedule, within(schedule), 50, 0.08)
    after = second_moment(schedule).item() - TOTAL**2
    assert TOTAL**2 * 2.0 / ELEMENTS < after < before / 3.0  # the least is that of one level
    with torch.no_grad():
        terms = losses(schedule, 10_000)
    assert terms.mean().item() == pytest.approx(TOTAL, abs=0.02)
    assert terms.var().item() == pytest.approx(after, rel=0.1)


def test_learning_the_ends_lowers_the_bound_towards_the_entropy():
    schedule, entropy = Learned(-1.0, 1.0, units=64), 0.5 * math.log(math.tau * math.e * 0.25)
    before = total(schedule).item() - entropy
    learn(schedule, [schedule.moved], 100, 0.05)
    after = total(schedule).item() - entropy
    assert 0.0 < after < before / 4.0


# -- within a system -------------------------------------------------------------------------------


class Linear(nn.Module):
    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(0.3))

    def forward(self, x, clock, cond=None):
        return self.gain * x


def test_a_copy_of_a_denoiser_keeps_one_schedule():
    denoiser = GaussianDenoiser(GaussianProcess(Learned(units=8)), Linear())
    twin = deepcopy(denoiser)
    assert twin.schedule is twin.process.schedule is not denoiser.schedule
    assert {name for name, _ in twin.named_parameters()} >= {"schedule.moved", "network.gain"}


def test_a_schedule_that_does_not_learn_gets_no_gradient_and_the_loss_is_the_same():
    rng, learning, fixed = Streams.of(3, 8), bent(), bent().requires_grad_(False)
    x_0, found = DATA.sample(Streams.of(4, 8)).float(), []
    for schedule in (learning, fixed):
        denoiser = GaussianDenoiser(GaussianProcess(schedule), Linear())
        loss = BOUND(denoiser, x_0, rng)
        loss.mean().backward()
        found.append((loss.detach(), denoiser.network.gain.grad))
    assert torch.equal(found[0][0], found[1][0])
    assert torch.equal(found[0][1], found[1][1])
    assert all(p.grad is None for p in fixed.parameters())
    assert all(p.grad is not None for p in learning.parameters())


def test_the_loss_of_a_sample_does_not_depend_on_its_batch():
    denoiser, x_0 = exact(bent()), DATA.sample(Streams.of(4, 8))
    bound, rng = LearnedBound(times=Uniform(1e-5), decoder=Density()), Streams.of(5, 8)
    alone = [bound(denoiser, x_0[i : i + 1], rng[i : i + 1]) for i in range(8)]
    assert torch.allclose(bound(denoiser, x_0, rng), torch.cat(alone), rtol=1e-12)


def test_other_schedules_and_masks_are_refused():
    x_0, rng = DATA.sample(Streams.of(0, 2)), Streams.of(1, 2)
    with pytest.raises(UserError, match=r"schedules\.Learned"):
        BOUND(exact(Cosine()), x_0, rng)
    with pytest.raises(UserError, match="mask"):
        BOUND(exact(Learned()), x_0, rng, None, torch.ones_like(x_0))


def test_times_are_even_from_the_start():
    assert BOUND.times == Stratified(Uniform(Learned().start))
