"""Laws of the Gaussian process beyond its suite: the papers' formulas, and Gaussian data."""

import math

import pytest
import torch

from hush.distributions import Gaussian, kl
from hush.processes import GaussianProcess
from hush.rng import Streams
from hush.schedules import EDM, Cosine, Rectified, Tabulated, VariancePreserving
from hush.testing import GaussianMixture, MixtureDenoiser

SCHEDULES = [VariancePreserving(), Cosine(), EDM(), Rectified(), Tabulated.linear()]
ids = [type(schedule).__name__ for schedule in SCHEDULES]
on_every_schedule = pytest.mark.parametrize("schedule", SCHEDULES, ids=ids)
MEAN, VARIANCE = 0.7, 0.25
GAUSSIAN = GaussianMixture.of([1.0], [[MEAN]], [VARIANCE])


def column(*values):
    return torch.tensor(values, dtype=torch.float64).unsqueeze(1)


def law(level):
    """Mean and variance of N(0.7, 0.25) noised to a level."""
    return level.alpha * MEAN, level.alpha**2 * VARIANCE + level.sigma**2


def test_reverse_is_ddpms_posterior_at_every_step_of_the_chain():
    """Ho et al. 2020, eq. 6 and 7: μ̃ and β̃, with the ᾱ multiplied up here."""
    chain = Tabulated.linear()
    process = GaussianProcess(chain)
    alpha_bar, x_t, x_0 = 1.0, column(-1.3), column(0.4)
    for i, beta in enumerate(chain.betas, start=1):
        before, alpha_bar = alpha_bar, alpha_bar * (1 - beta)
        got = process.reverse(Gaussian(x_0), x_t, (i - 1) / 1000, i / 1000)
        mean = before**0.5 * beta / (1 - alpha_bar) * x_0
        mean = mean + (1 - beta) ** 0.5 * (1 - before) / (1 - alpha_bar) * x_t
        torch.testing.assert_close(got.mean, mean, rtol=1e-12, atol=1e-12)
        variance = beta * (1 - before) / (1 - alpha_bar)
        assert got.spread.item() == pytest.approx(variance, abs=1e-12, rel=1e-9)


def test_transition_is_one_step_of_the_chain():
    process = GaussianProcess(Tabulated.linear())
    for i in (1, 2, 500, 1000):
        beta = process.schedule.betas[i - 1]
        got = process.transition(column(1.0), (i - 1) / 1000, i / 1000)
        assert got.mean.item() == pytest.approx((1 - beta) ** 0.5, abs=1e-13)
        assert got.spread.item() == pytest.approx(beta, abs=1e-13)


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_reverse_is_the_family_of_ddim(eta):
    """Song et al. 2021, eq. 7, with σ of eq. 16."""
    process = GaussianProcess(Tabulated.linear())
    x_t, x_0 = column(-1.3), column(0.4)
    for s, t in ((0.0, 0.001), (0.1, 0.12), (0.5, 0.9), (0.0, 1.0)):
        low, high = process.schedule.level(s), process.schedule.level(t)
        deviation = eta * low.sigma / high.sigma
        deviation *= (1 - high.alpha**2 / low.alpha**2) ** 0.5
        noise = (x_t - high.alpha * x_0) / high.sigma
        mean = low.alpha * x_0 + max(low.sigma**2 - deviation**2, 0.0) ** 0.5 * noise
        got = process.reverse(Gaussian(x_0), x_t, s, t, eta)
        torch.testing.assert_close(got.mean, mean, rtol=1e-12, atol=1e-12)
        assert got.spread.item() == pytest.approx(deviation**2, abs=1e-13)


@on_every_schedule
@pytest.mark.parametrize("eta", [0.0, 0.3, 1.0])
def test_gaussian_data_keep_their_marginals_under_reverse_for_every_eta(schedule, eta):
    """The exact belief is affine in x_t with a constant variance, so the law at t maps to a law
    with the mean f(m) and the variance f'² v + spread: those of the data noised to s."""
    process = GaussianProcess(schedule)
    denoiser = MixtureDenoiser(process, GAUSSIAN)
    for s, t in ((0.0, 0.2), (0.3, 0.31), (0.1, 0.9), (0.5, 1.0), (0.0, 1.0)):
        low, high = schedule.level(s), schedule.level(t)
        mean, variance = law(high)
        x = column(mean, mean + 1.0)
        back = process.reverse(denoiser(x, high), x, low, high, eta)
        slope = back.mean[1] - back.mean[0]
        wanted_mean, wanted_variance = law(low)
        assert back.mean[0].item() == pytest.approx(wanted_mean, abs=1e-12)
        found = slope**2 * variance + back.spread[0]
        assert found.item() == pytest.approx(wanted_variance, abs=1e-11)


@on_every_schedule
def test_one_step_with_the_exact_belief_is_the_true_reverse_law(schedule):
    """O1: q(x_s | x_t) = N(m_s + α_{t|s} v_s/v_t (x_t - m_t), σ_{t|s}² v_s/v_t)."""
    process, x = GaussianProcess(schedule), column(-2.0, 0.3)
    denoiser = MixtureDenoiser(process, GAUSSIAN)
    for s, t in ((0.499, 0.5), (0.1, 0.9), (0.001, 0.002), (0.02, 1.0)):
        low, high = schedule.level(s), schedule.level(t)
        (m_s, v_s), (m_t, v_t) = law(low), law(high)
        gain = high.alpha / low.alpha
        got = process.reverse(denoiser(x, high), x, low, high, eta=1.0)
        wanted = m_s + gain * v_s / v_t * (x - m_t)
        torch.testing.assert_close(got.mean, wanted, rtol=1e-11, atol=1e-11)
        fresh = (high.sigma**2 - gain**2 * low.sigma**2) * v_s / v_t
        torch.testing.assert_close(got.spread, torch.full_like(x, fresh), rtol=1e-10, atol=1e-12)


def test_on_the_chain_the_true_reverse_variance_is_beta_v_before_over_v():
    process = GaussianProcess(Tabulated.linear())
    denoiser, x = MixtureDenoiser(process, GAUSSIAN), column(0.5)
    for i in (1, 2, 100, 1000):
        low, high = (process.schedule.level(j / 1000) for j in (i - 1, i))
        wanted = process.schedule.betas[i - 1] * law(low)[1] / law(high)[1]
        got = process.reverse(denoiser(x, high), x, low, high).spread.item()
        assert got == pytest.approx(wanted, rel=1e-9)


@on_every_schedule
def test_prior_is_the_law_at_the_end_for_unit_variance_data(schedule):
    process = GaussianProcess(schedule)
    unit = GaussianMixture.of([1.0], [[0.0, 0.0, 0.0]], [1.0])
    prior = process.prior((2, 3), torch.zeros(0, dtype=torch.float64))
    x = Streams.of(0, 2).normal((3,), torch.float64)
    end = schedule.level(1.0)
    torch.testing.assert_close(prior.log_prob(x), unit.log_prob(x, end), rtol=1e-13, atol=0)


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_a_schedule_without_any_signal_at_its_end_is_stepped_from_like_any_other(eta):
    """Rectified, α(1) = 0: x_1 says nothing of x_0, and given x_0 its marginal is reached."""
    process = GaussianProcess(Rectified())
    x_0, x_1 = column(0.4), column(-1.3)
    got = process.reverse(Gaussian(x_0), x_1, 0.8, 1.0, eta)
    keep = 0.8 * (1 - eta**2) ** 0.5
    torch.testing.assert_close(got.mean, 0.2 * x_0 + keep * x_1, rtol=0, atol=1e-15)
    assert got.spread.item() == pytest.approx(eta**2 * 0.64, abs=1e-15)
    onward = process.transition(x_0, 0.8, 1.0)
    assert (onward.mean.item(), onward.spread.item()) == (0.0, 1.0)


@on_every_schedule
def test_marginal_samples_have_the_marginals_mean_and_variance(schedule):
    process, count = GaussianProcess(schedule), 20000
    x_0 = torch.full((count, 2), 0.7, dtype=torch.float64)
    level = schedule.level(0.6)
    x = process.marginal(x_0, level).sample(Streams.of(1, count))
    error = level.sigma / (2 * count) ** 0.5
    assert x.mean().item() == pytest.approx(level.alpha * 0.7, abs=4 * error)
    assert x.var().item() == pytest.approx(level.sigma**2, rel=4 / count**0.5)


# -- distributions ---------------------------------------------------------------------------------


def test_log_prob_integrates_to_one_and_kl_is_its_expectation():
    q, p = Gaussian(column(0.4), 0.3), Gaussian(column(-0.2), 0.8)
    x = torch.linspace(-12, 12, 40001, dtype=torch.float64).unsqueeze(1)
    log_q = Gaussian(q.mean.expand_as(x), 0.3).log_prob(x)
    log_p = Gaussian(p.mean.expand_as(x), 0.8).log_prob(x)
    step = 24 / 40000
    assert (log_q.exp().sum() * step).item() == pytest.approx(1.0, abs=1e-12)
    expected = (log_q.exp() * (log_q - log_p)).sum() * step
    assert kl(q, p).item() == pytest.approx(expected.item(), abs=1e-10)


def test_kl_sums_over_the_event_and_vanishes_only_for_equals():
    mean = Streams.of(0, 3).normal((2, 2), torch.float64)
    q = Gaussian(mean, torch.tensor([0.2, 0.5, 1.0], dtype=torch.float64))
    assert torch.equal(kl(q, q), torch.zeros(3, dtype=torch.float64))
    shifted = kl(q, Gaussian(mean + 0.3, q.variance))
    wanted = 0.5 * 4 * 0.09 / q.variance
    torch.testing.assert_close(shifted, wanted, rtol=1e-12, atol=0)


def test_ddpms_bound_of_gaussian_data_is_the_sum_of_kls_in_closed_form():
    """O3: with the true reverse variance −ELBO is 0.725801 against an entropy of 0.725791, with
    σ² = β it is 0.726893; every term is kl(reverse given x_0, reverse given the belief)."""
    chain = Tabulated.linear()
    process = GaussianProcess(chain)
    levels = chain.levels(torch.linspace(0, 1, 1001, dtype=torch.float64))
    totals = {"exact": 0.0, "beta": 0.0}
    for i in range(1, 1001):
        low, high, beta = levels[i - 1], levels[i], chain.betas[i - 1]
        v_s, v_t = law(low)[1], law(high)[1]
        belief = VARIANCE * high.sigma**2 / v_t
        if i == 1:  # the decoder term, -E log p(x_0 | x_1): the error there is the belief's
            for name, variance in (("exact", beta * v_s / v_t), ("beta", beta)):
                pull = process.reverse(Gaussian(column(1.0)), column(0.0), low, high).mean.item()
                error = pull**2 * belief
                totals[name] += 0.5 * (math.log(math.tau * variance) + error / variance)
            continue
        truth = process.reverse(Gaussian(column(0.0)), column(0.0), low, high)
        moved = process.reverse(Gaussian(column(1.0)), column(0.0), low, high)
        pull = (moved.mean - truth.mean).item()
        for name, variance in (("exact", beta * v_s / v_t), ("beta", beta)):
            # E over x_0, x_t of the squared distance of the means is pull² Var[x_0 | x_t]
            apart = Gaussian(truth.mean + pull * belief**0.5, variance)
            totals[name] += kl(truth, apart).item()
    end = levels[-1]
    spread = end.alpha**2 * (VARIANCE + MEAN**2)
    prior = 0.5 * (spread + end.sigma**2 - 1.0 - math.log(end.sigma**2))
    assert totals["exact"] + prior == pytest.approx(0.725801, abs=1.5e-6)
    assert totals["beta"] + prior == pytest.approx(0.726893, abs=1.5e-6)
    assert 0.5 * math.log(math.tau * math.e * VARIANCE) == pytest.approx(0.725791, abs=1e-6)
