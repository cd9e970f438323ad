"""The variational bound: what it bounds where a model is exact, above it everywhere else."""

import math
from itertools import pairwise

import pytest
import torch

from hush.denoisers import Denoiser, GaussianDenoiser, variances
from hush.denoisers.parameterisations import Parameterisation
from hush.distributions import Gaussian, Product, kl
from hush.errors import UserError
from hush.likelihoods.bound import bound, step
from hush.likelihoods.continuous import continuous
from hush.likelihoods.decoders import Binned, Nearest
from hush.processes import GaussianProcess, ProductProcess
from hush.rng import Streams
from hush.samplers.grids import Chain, Uniform
from hush.schedules import EDM, Cosine, Level, Rectified, Schedule, Tabulated, VariancePreserving
from hush.testing import GaussianMixture, MixtureDenoiser, every
from hush.testing.denoisers import target_of

GAUSSIAN = GaussianMixture.of([1.0], [[0.7]], [0.25])
MIXTURE = GaussianMixture.of([0.3, 0.7], [[-1.0, 0.5], [0.8, -0.2]], [0.1, 0.3])
MISTAKEN = GaussianMixture.of([0.6, 0.4], [[-0.8, 0.5], [0.9, 0.1]], [0.2, 0.2])
ENTROPY = 0.5 * math.log(math.tau * math.e * 0.25)


class WithVariance(Denoiser):
    """The exact mean with a chosen variance."""

    def __init__(self, process, mixture, variance):
        super().__init__()
        self.process, self.mixture, self.variance = process, mixture, variance

    def forward(self, x_t, t, cond=None):
        level = self.process.schedule.level(t)
        mean = self.mixture.posterior(x_t, level).mean
        return Gaussian(mean, self.variance(self.process.schedule, level, x_t, mean, None))


def expected_bound(denoiser, levels):
    """The expectation of the bound over Gaussian data and noise, exactly: every term is a quadratic
    form of the two, so the mean over (±1, ±1) is its expectation."""
    process = denoiser.process
    signs = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]], dtype=torch.float64)
    x_0, noise = 0.7 + 0.5 * signs[:, :1], signs[:, 1:]
    total = kl(process.marginal(x_0, levels[0]), process.prior((4, 1), x_0)).mean()
    for t, s in pairwise(levels[:-1]):
        x_t = t.alpha * x_0 + t.sigma * noise
        total = total + step(process, denoiser(x_t, t), x_0, x_t, s, t).mean()
    t, before = levels[-2], levels[-3]
    x_t = t.alpha * x_0 + t.sigma * noise
    belief = denoiser(x_t, t)
    law = process.reverse(belief, x_t, levels[-1], t)
    law = law.blurred_like(process.reverse(belief, x_t, t, before))
    return (total - law.log_prob(x_0).mean()).item()


@pytest.mark.parametrize(
    ("variance", "golden"),
    [(None, 0.725801), (variances.Unit(), 0.726893), (variances.Zero(), 1.295727)],
    ids=["exact", "β", "β̃"],
)
def test_the_bound_of_gaussian_data_is_o3s(variance, golden):
    process = GaussianProcess(Tabulated.linear())
    exact = MixtureDenoiser(process, GAUSSIAN)
    denoiser = exact if variance is None else WithVariance(process, GAUSSIAN, variance)
    total = expected_bound(denoiser, Chain(1000)(process.schedule))
    assert total == pytest.approx(golden, abs=6e-7)
    assert total > ENTROPY


def test_what_bound_draws_has_the_expectation_that_o3_computes():
    process = GaussianProcess(Tabulated.linear(40))
    levels = Chain(10)(process.schedule)
    for variance in (variances.Unit(), variances.Zero()):
        denoiser = WithVariance(process, GAUSSIAN, variance)
        count = 40_000
        x_0 = GAUSSIAN.sample(Streams.of(1, count))
        terms = bound(denoiser, x_0, levels, Streams.of(2, count))
        assert terms.steps.shape == (9, count)
        error = terms.total.std() / count**0.5
        assert abs(terms.total.mean() - expected_bound(denoiser, levels)) < 4 * error


def wrong(process, parameterisation):
    """A network that would be right for other data, under a parameterisation."""

    class Answer(torch.nn.Module):
        def forward(self, x, clock, cond):
            level = self.level
            x_t = x / parameterisation.c_in(level)
            x_0 = MISTAKEN.posterior(x_t, level).mean
            noise = (x_t - level.alpha * x_0) / level.sigma
            return target_of(parameterisation)(
                parameterisation, process.schedule, level, x_0, noise
            )

    network = Answer()
    denoiser = GaussianDenoiser(process, network, parameterisation, variances.Unit())
    denoiser.register_forward_pre_hook(
        lambda module, given: setattr(network, "level", process.schedule.level(given[1]))
    )
    return denoiser


@pytest.mark.parametrize("parameterisation", every(Parameterisation), ids=repr)
@pytest.mark.parametrize("schedule", every(Schedule), ids=lambda s: type(s).__name__)
def test_the_bound_is_above_the_entropy_for_every_parameterisation_and_schedule(
    schedule, parameterisation
):
    """E -log p_model(x) ≥ E -log p(x), and the bound is above the first."""
    process, count = GaussianProcess(schedule), 400
    levels = Uniform(8)(schedule)
    if levels[0].alpha == 0.0:
        levels = [schedule.level(0.999), *levels[1:]]
    x_0 = MIXTURE.sample(Streams.of(3, count))
    total = bound(wrong(process, parameterisation), x_0, levels, Streams.of(4, count)).total
    gap = total + MIXTURE.log_prob(x_0)
    assert gap.isfinite().all()
    assert gap.mean() > 3 * gap.std() / count**0.5


@pytest.mark.parametrize(
    "schedule", [Tabulated.cosine(), VariancePreserving(), EDM(100.0)], ids=repr
)
def test_many_steps_with_the_exact_belief_bring_the_bound_down_to_the_likelihood(schedule):
    process, count = GaussianProcess(schedule), 2000
    x_0 = MIXTURE.sample(Streams.of(5, count))
    gaps = []
    for steps in (5, 20, 200):
        levels = [schedule.at_ratio(r) for r in torch.logspace(2, -2, steps).double().tolist()]
        exact = MixtureDenoiser(process, MIXTURE)
        total = bound(exact, x_0, [*levels, Level(0.0, 1.0, 0.0)], Streams.of(6, count)).total
        gap = total + MIXTURE.log_prob(x_0)
        gaps.append((gap.mean().item(), (gap.std() / count**0.5).item()))
    (first, _), (second, _), (last, error) = gaps
    assert first > second > last - error
    assert abs(last) < 4 * error + 0.02


def test_a_chain_that_stops_short_decodes_the_state_itself():
    """VDM's reconstruction term: p(x_0 | z_0) from z_0 alone, and no step beyond it."""
    process, count = GaussianProcess(VariancePreserving()), 4
    levels = process.schedule.levels(torch.tensor([1.0, 0.5, 0.02], dtype=torch.float64))
    x_0 = torch.tensor([[-1.0], [-0.5], [0.0], [0.5]], dtype=torch.float64)
    decoder = Nearest(0.5)
    terms = bound(
        MixtureDenoiser(process, GAUSSIAN), x_0, levels, Streams.of(0, count), None, decoder
    )
    assert terms.steps.shape == (2, count)
    z = process.marginal(x_0, levels[-1]).sample(Streams.of(0, count).next(2))
    seen = Gaussian(z / levels[-1].alpha, (levels[-1].sigma / levels[-1].alpha) ** 2)
    torch.testing.assert_close(-terms.data, decoder(seen, x_0))


def test_a_single_step_without_a_variance_is_refused_in_words():
    process = GaussianProcess(Tabulated.linear(20))
    denoiser = WithVariance(process, GAUSSIAN, variances.Zero())
    levels = [process.schedule.level(1.0), process.schedule.level(0.0)]
    with pytest.raises(UserError, match="variance"):
        bound(denoiser, torch.zeros(2, 1).double(), levels, Streams.of(0, 2))


@pytest.mark.parametrize("decoder", [Binned(0.25), Nearest(0.25)], ids=repr)
def test_levels_share_all_the_probability(decoder):
    levels = torch.linspace(-1, 1, 9, dtype=torch.float64).reshape(-1, 1)
    for mean in (-1.7, -1.0, 0.1, 0.93, 30.0):
        for deviation in (1e-3, 0.1, 3.0):
            law = Gaussian(torch.full_like(levels, mean), deviation**2)
            log_mass = decoder(law, levels)
            assert not log_mass.isnan().any()
            torch.testing.assert_close(log_mass.exp().sum(), torch.tensor(1.0).double())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_bins_have_finite_gradients_however_wide_or_narrow(dtype):
    """And a bin far narrower than the deviation is the density times its width."""
    x_0 = torch.tensor([[-1.0, -0.5, 0.0, 0.75, 1.0]], dtype=dtype)
    for deviation in (1e-7, 1e-4, 0.1, 10.0, 1e5):
        mean = torch.tensor([[0.3] * 4 + [4e3]], dtype=dtype, requires_grad=True)
        spread = torch.full((1, 5), deviation**2, dtype=dtype, requires_grad=True)
        log_mass = Binned(0.25)(Gaussian(mean, spread), x_0)
        log_mass.sum().backward()
        assert mean.grad.isfinite().all()
        assert spread.grad.isfinite().all()
        if deviation == 1e-4:  # -½ (gap to the bin's near edge)²/variance is all that counts
            slope = (x_0[0, 0] + 0.125 - 0.3) / deviation**2
            torch.testing.assert_close(mean.grad[0, 0], slope, rtol=1e-4, atol=0)
    inner = Gaussian(torch.tensor([[0.3]], dtype=dtype), 1e10)
    got = Binned(0.25)(inner, torch.tensor([[0.5]], dtype=dtype))
    wanted = inner.log_prob(torch.tensor([[0.5]], dtype=dtype)) + math.log(0.25)
    torch.testing.assert_close(got, wanted)


def test_a_bin_far_from_the_mean_keeps_its_digits():
    """log(Φ(-39) - Φ(-41)) is log Φ(-39) but for e^-80."""
    law = Gaussian(torch.tensor([[40.0]], dtype=torch.float64), 1.0)
    got = Binned(2.0, -10.0, 90.0)(law, torch.tensor([[0.0]], dtype=torch.float64))
    wanted = torch.special.log_ndtr(torch.tensor([-39.0], dtype=torch.float64))
    torch.testing.assert_close(got, wanted, atol=1e-9, rtol=0)


def gamma_schedule(low=-6.0, high=5.0):
    """γ linear in t from `low`, as a variance-preserving curve (only its ends matter)."""

    class Linear(Schedule):
        def __call__(self, t):
            gamma = low + (high - low) * t
            return torch.sigmoid(-gamma).sqrt(), torch.sigmoid(gamma).sqrt()

    return Linear()


@pytest.mark.parametrize(("steps", "golden"), [(10, 3.7159), (100, 2.4141), (1000, 2.3210)])
def test_vdms_discrete_loss_is_o8s(steps, golden):
    """L_T = T/2 E expm1(γ_t - γ_s) ‖ε - ε̂‖² of N(0, σ²), σ² = 0.25, γ from -6 to 5."""
    schedule = gamma_schedule()
    process = GaussianProcess(schedule)
    point = GaussianMixture.of([1.0], [[0.0]], [0.25])
    denoiser = MixtureDenoiser(process, point, spread=False)
    levels = schedule.levels(torch.linspace(1, 0, steps + 1, dtype=torch.float64))
    signs = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]], dtype=torch.float64)
    total = 0.0
    for t, s in pairwise(levels):
        x_0 = 0.5 * signs[:, :1]
        x_t = t.alpha * x_0 + t.sigma * signs[:, 1:]
        total += step(process, denoiser(x_t, t), x_0, x_t, s, t).mean().item()
    assert total == pytest.approx(golden, abs=6e-5)


def test_vdms_continuous_loss_is_o8s():
    schedule, count = gamma_schedule(), 20_000
    process = GaussianProcess(schedule)
    point = GaussianMixture.of([1.0], [[0.0]], [0.25])
    denoiser = MixtureDenoiser(process, point, spread=False)
    x_0 = point.sample(Streams.of(0, count))
    terms = continuous(denoiser, x_0, Streams.of(1, count), start=0.0, draws=8)
    loss = terms.steps.sum(0)
    assert abs(loss.mean() - 2.310944) < 4 * loss.std() / count**0.5
    assert loss.std() / count**0.5 < 0.02


@pytest.mark.parametrize(
    "schedule", [VariancePreserving(), Cosine(), Rectified(), EDM(20.0)], ids=repr
)
def test_the_continuous_bound_of_an_exact_model_is_the_likelihood(schedule):
    process, count = GaussianProcess(schedule), 4000
    x_0 = MIXTURE.sample(Streams.of(7, count))
    start = schedule.at_ratio(0.02).time
    exact = MixtureDenoiser(process, MIXTURE)
    gap = continuous(exact, x_0, Streams.of(8, count), start=start, draws=32).total
    gap = gap + MIXTURE.log_prob(x_0)
    assert abs(gap.mean()) < 4 * gap.std() / count**0.5 + 2e-3


def test_the_bound_of_independent_parts_is_the_sum_of_theirs():
    parts = {"a": GaussianProcess(VariancePreserving()), "b": GaussianProcess(Cosine())}
    process, count = ProductProcess(parts), 50

    class Both(Denoiser):
        def __init__(self):
            super().__init__()
            self.process = process

        def forward(self, x_t, t, cond=None):
            at = {name: part.schedule.level(t.time) for name, part in parts.items()}
            return Product({n: MIXTURE.posterior(x_t[n], at[n]) for n in parts})

    x_0 = {name: MIXTURE.sample(Streams.of(i, count)) for i, name in enumerate(parts)}
    levels = Uniform(6)(process.schedule)
    whole = bound(Both(), x_0, levels, Streams.of(9, count))
    total = 0.0
    for name, part in parts.items():
        own = part.schedule.levels(torch.tensor([level.time for level in levels]).double())
        for place in range(len(levels) - 2):
            rng = Streams.of(9, count).next(place).branch(name)
            x_t = part.marginal(x_0[name], own[place]).sample(rng)
            belief = MIXTURE.posterior(x_t, own[place])
            total = total + step(part, belief, x_0[name], x_t, own[place + 1], own[place])
    torch.testing.assert_close(whole.steps.sum(0), total)
