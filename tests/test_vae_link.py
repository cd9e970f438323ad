"""A chain is a hierarchical VAE whose encoder is fixed: its bound against VAEs solved by hand.

x_0 ~ N(m, v) in one element, z = x_1 … x_T. All means are exact: what is averaged is a polynomial
of the noise, and so its average over the points of Gauss and Hermite is its integral.
"""

import math
from dataclasses import dataclass, replace
from itertools import pairwise, product

import numpy as np
import pytest
import torch

from hush.denoisers import Denoiser
from hush.distributions import Gaussian
from hush.likelihoods.bound import bound, step
from hush.processes import GaussianProcess
from hush.rng import Streams
from hush.schedules import Tabulated
from hush.testing import GaussianMixture, MixtureDenoiser

M, V = 0.7, 0.25  # O1
DATA = GaussianMixture.of([1.0], [[M]], [V])
UNIT = GaussianMixture.of([1.0], [[0.0]], [1.0])
BETAS = (0.3, 0.6)


class Linear(Denoiser):
    """N(gain·x_t + shift, variance), at every level another gain; variance 0.0 is a point."""

    def __init__(self, process, variance=0.2):
        super().__init__()
        self.process, self.variance = process, variance

    def lines(self, level):
        return 0.4 + 0.3 * level.sigma, 0.1 - 0.2 * level.alpha

    def forward(self, x_t, t, cond=None):
        gain, shift = self.lines(self.process.schedule.level(t))
        return Gaussian(gain * x_t + shift, self.variance)


class Signs(Streams):
    """±1 in place of normal numbers, sample i the i-th binary digits: a mean over a batch is the
    integral over N(0, 1) of what is of degree 3 or less."""

    def normal(self, event=(), dtype=torch.float32):
        return (2.0 * (self.index % 2) - 1.0).to(dtype).reshape(-1, *(1 for _ in event))


def chain(betas):
    process = GaussianProcess(Tabulated(betas))
    levels = [process.schedule.level(i / len(betas)) for i in reversed(range(len(betas) + 1))]
    return process, levels


def nats(gap, variance):
    """-log N(gap; 0, variance)."""
    return 0.5 * (gap**2 / variance + np.log(math.tau * variance))


def divergence(gap, q, p):
    """KL(N(m, q) ‖ N(m + gap, p))."""
    return 0.5 * (np.log(p / q) - 1.0 + (q + gap**2) / p)


def column(numbers):
    return torch.as_tensor(numbers, dtype=torch.float64).reshape(-1, 1)


# ---- The bound of short chains, against VAEs written out.


def test_a_chain_of_one_step_is_a_linear_vae_sample_by_sample():
    """q(z | x) = N(√ᾱ x, 1 - ᾱ), p(x | z) = N(gain·z + shift, w), of the same noise."""
    (beta, _), w, rng = BETAS, 0.2, Streams.of(3, 50)
    process, levels = chain((beta,))
    model = Linear(process, w)
    x_0 = DATA.sample(rng.branch("data"))
    x, eps = x_0[:, 0].numpy(), rng.normal((1,), torch.float64)[:, 0].numpy()
    gain, shift = model.lines(levels[0])
    z = math.sqrt(1.0 - beta) * x + math.sqrt(beta) * eps
    terms = bound(model, x_0, levels, rng)
    assert len(terms.steps) == 0
    kl = 0.5 * ((1.0 - beta) * x**2 + beta - 1.0 - math.log(beta))
    np.testing.assert_allclose(terms.prior, kl, rtol=0, atol=1e-12)
    by_hand = kl + nats(x - gain * z - shift, w)
    np.testing.assert_allclose(terms.total, by_hand, rtol=0, atol=1e-10)


def test_its_mean_over_the_noise_is_the_closed_form():
    """E (x - gain·z - shift)² = (x - gain·√ᾱ x - shift)² + gain² (1 - ᾱ)."""
    (beta, _), w = BETAS, 0.2
    process, levels = chain((beta,))
    model = Linear(process, w)
    gain, shift = model.lines(levels[0])
    for x in (-1.3, 0.0, 0.7, 2.0):
        mean = bound(model, column([x, x]), levels, Signs.of(0, 2)).total.mean().item()
        gap = (x - gain * math.sqrt(1.0 - beta) * x - shift) ** 2 + gain**2 * beta
        wanted = divergence(math.sqrt(1.0 - beta) * x, beta, 1.0) + nats(math.sqrt(gap), w)
        assert mean == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize("w", [0.2, 0.0], ids=["variance", "point"])
def test_a_chain_of_two_steps_is_a_vae_of_two_layers_sample_by_sample(w):
    """In DDPM's own symbols: q(x_1 | x_2, x_0) and β̃_2, and at the end β̃_2 in place of β̃_1 where
    the belief is a point."""
    (first, second), rng = BETAS, Streams.of(4, 50)
    process, levels = chain(BETAS)
    model = Linear(process, w)
    x_0 = DATA.sample(rng.branch("data"))
    x = x_0[:, 0].numpy()
    eps_2, eps_1 = (rng.next(k).normal((1,), torch.float64)[:, 0].numpy() for k in (0, 1))
    bar = (1.0 - first) * (1.0 - second)
    x_2 = math.sqrt(bar) * x + math.sqrt(1.0 - bar) * eps_2
    x_1 = math.sqrt(1.0 - first) * x + math.sqrt(first) * eps_1
    pull = math.sqrt(1.0 - first) * second / (1.0 - bar)  # of x_0 in the mean of x_1
    tilde = first * second / (1.0 - bar)
    gain, shift = model.lines(levels[0])
    between = divergence(pull * (gain * x_2 + shift - x), tilde, tilde + pull**2 * w)
    gain, shift = model.lines(levels[1])
    by_hand = divergence(math.sqrt(bar) * x, 1.0 - bar, 1.0) + between
    by_hand += nats(x - gain * x_1 - shift, w or tilde)
    terms = bound(model, x_0, levels, rng)
    assert terms.steps.shape == (1, 50)
    np.testing.assert_allclose(terms.steps[0], between, rtol=0, atol=1e-12)
    np.testing.assert_allclose(terms.total, by_hand, rtol=0, atol=1e-10)


# ---- What the best decoder reaches.


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_with_the_prior_as_marginal_the_bound_is_the_evidence(steps):
    """Data N(0, 1) stay so at every level: p(z | x) = q(z | x), and the bound of each x_0, a mean
    over the noise alone, is -log N(x_0; 0, 1)."""
    process, levels = chain((BETAS * 3)[:steps])
    for x in (-1.3, 0.0, 2.0):
        terms = bound(MixtureDenoiser(process, UNIT), column([x, x]), levels, Signs.of(0, 2))
        assert terms.total.mean().item() == pytest.approx(nats(x, 1.0), abs=1e-12)


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_else_it_misses_the_entropy_by_what_the_prior_misses(steps):
    """E bound = ½ log 2πe v + KL(q(x_T) ‖ N(0, 1)), q(x_T) = N(√ᾱ m, ᾱ v + 1 - ᾱ): the exact
    decoder leaves no other gap, however few the steps."""
    betas = (BETAS * 3)[:steps]
    process, levels = chain(betas)
    x_0 = column([M + side * math.sqrt(V) for side in (-1, -1, 1, 1)])
    mean = bound(MixtureDenoiser(process, DATA), x_0, levels, Signs.of(0, 4)).total.mean().item()
    bar = math.prod(1.0 - beta for beta in betas)
    gap = divergence(math.sqrt(bar) * M, bar * V + 1.0 - bar, 1.0)
    assert mean == pytest.approx(0.5 * math.log(math.tau * math.e * V) + gap, abs=1e-12)


def test_the_evidence_of_the_one_step_model_lies_below_its_bound_by_the_posteriors_divergence():
    """p(x) = ∫ N(z; 0, 1) N(x; g z + h, w) dz = N(x; h, g² + w), and
    bound + log p(x) = KL(q(z | x) ‖ p(z | x)) with p(z | x) = N(g (x - h)/(g² + w), w/(g² + w))."""
    (beta, _), w = BETAS, 0.2
    process, levels = chain((beta,))
    model = Linear(process, w)
    g, h = model.lines(levels[0])
    for x in (-1.3, 0.7, 2.0):
        mean = bound(model, column([x, x]), levels, Signs.of(0, 2)).total.mean().item()
        seen = g * (x - h) / (g**2 + w)
        miss = divergence(math.sqrt(1.0 - beta) * x - seen, beta, w / (g**2 + w))
        assert miss > 0.01
        assert mean - nats(x - h, g**2 + w) == pytest.approx(miss, abs=1e-12)


def walked(model, levels, x):
    """log q(x_1 … x_T | x_0) - log p(x_0 … x_T) of four walks of two steps, noises ±1."""
    process = model.process
    noise = torch.tensor(list(product((-1.0, 1.0), repeat=2)), dtype=torch.float64)
    state, ratio = column([x] * 4), torch.zeros(4, dtype=torch.float64)
    for step_, (s, t) in enumerate(pairwise(reversed(levels))):
        law = process.transition(state, s, t)
        x_t = law.mean + math.sqrt(law.variance) * noise[:, step_ : step_ + 1]
        back = process.reverse(model(x_t, t), x_t, s, t)
        ratio = ratio + law.log_prob(x_t) - back.log_prob(state)
        state = x_t
    return ratio - process.prior((4, 1), state).log_prob(state)


def test_the_bound_is_the_mean_log_weight_of_a_walk():
    process, levels = chain(BETAS)
    model = Linear(process)
    ratio = walked(model, levels, 0.7)
    mean = bound(model, column([0.7, 0.7]), levels, Signs.of(0, 2)).total.mean().item()
    assert ratio.mean().item() == pytest.approx(mean, abs=1e-12)
    assert ratio.max() - ratio.min() > 0.1


def test_where_the_model_is_the_joint_law_every_walk_weighs_the_evidence():
    """No noise is left in the weight: it is -log p(x_0) along every walk."""
    process, levels = chain(BETAS)
    ratio = walked(MixtureDenoiser(process, UNIT), levels, -1.3)
    np.testing.assert_allclose(ratio, nats(-1.3, 1.0), rtol=0, atol=1e-12)


# ---- Two noises or one.


@dataclass
class TwoForms:
    """The loss at one step, of Su's "Building and demolishing" with two noises and with one.

    x_{t-1} = ᾱ_{t-1} x_0 + β̄_{t-1} ε̄, x_t = α_t x_{t-1} + β_t ε_t with α² + β² = 1. Two noises:
    β_t²/(2α_t²σ²) ‖ε_t - ε_θ(x_t)‖², which is -log p(x_{t-1} | x_t) but for a constant. Of the two
    only ε = (α_t β̄_{t-1} ε̄ + β_t ε_t)/β̄_t moves x_t; with what is orthogonal to it integrated out,
    β_t⁴/(2β̄_t²α_t²σ²) ‖ε - (β̄_t/β_t) ε_θ‖².
    The network is DDPM's, (β̄_t/β_t) ε_θ = slope·x_t + offset.
    """

    alpha: float
    beta: float
    bar_alpha: float  # ᾱ_{t-1}
    bar_beta: float
    slope: float = 0.6
    offset: float = -0.15

    @property
    def whole(self):
        """β̄_t."""
        return math.sqrt(1.0 - (self.alpha * self.bar_alpha) ** 2)

    @property
    def variance(self):
        """σ²: β̃_t."""
        return (self.beta * self.bar_beta / self.whole) ** 2

    @property
    def weight(self):
        return self.beta**2 / (2.0 * self.alpha**2 * self.variance)

    @property
    def orthogonal(self):
        """α_t β̄_{t-1}/β̄_t: the share of ε_t that x_t does not show."""
        return self.alpha * self.bar_beta / self.whole

    def losses(self, x_0, eps_bar, eps_t):
        x_t = self.alpha * (self.bar_alpha * x_0 + self.bar_beta * eps_bar) + self.beta * eps_t
        share = self.beta / self.whole
        network = share * (self.slope * x_t + self.offset)
        eps = (self.alpha * self.bar_beta * eps_bar + self.beta * eps_t) / self.whole
        two = self.weight * (eps_t - network) ** 2
        return two, self.weight * share**2 * (eps - network / share) ** 2

    def residual(self):
        """Mean and variance of (β_t/β̄_t) ε - ε_θ on O1: it is linear in two Gaussians."""
        share, signal = self.beta / self.whole, self.alpha * self.bar_alpha
        mean = -share * (self.slope * signal * M + self.offset)
        data = (share * self.slope * signal) ** 2 * V
        return mean, data + (share * (1.0 - self.slope * self.whole)) ** 2


def forms():
    """The last step of the two-step chain."""
    alphas = [math.sqrt(1.0 - beta) for beta in BETAS]
    return TwoForms(alphas[1], math.sqrt(BETAS[1]), alphas[0], math.sqrt(BETAS[0]))


def test_the_two_noise_form_has_the_mean_of_the_other_and_a_larger_variance_by_so_much():
    """With r = (β_t/β̄_t) ε - ε_θ and c = α_t β̄_{t-1}/β̄_t the two noises give (r - cω)², ω ~ N(0, 1)
    on its own: the mean grows by c² alone, the variance by 2c⁴ + 4c² E r². Both times the weight;
    c² times the weight is ½, the constant β̃_t/(2σ²) of the divergence."""
    form = forms()
    two, one, share = _integrated(form)
    c2, (mean, spread) = form.orthogonal**2, form.residual()
    square = mean**2 + spread
    assert form.weight * c2 == pytest.approx(0.5, abs=1e-12)
    assert one @ share == pytest.approx(form.weight * square, abs=1e-12)
    assert two @ share == pytest.approx(form.weight * (square + c2), abs=1e-12)
    variances = [(loss**2) @ share - (loss @ share) ** 2 for loss in (two, one)]
    least = 2.0 * spread**2 + 4.0 * mean**2 * spread  # of the square of N(mean, spread)
    assert variances[1] == pytest.approx(form.weight**2 * least, abs=1e-12)
    more = 2.0 * c2**2 + 4.0 * c2 * square
    assert variances[0] == pytest.approx(form.weight**2 * (least + more), abs=1e-12)
    assert variances[0] > variances[1]


def _integrated(form):
    """Both losses at the nodes of Gauss and Hermite over (x_0, ε̄, ε_t), and the nodes' weights:
    exact for polynomials of degree 11, and squares of squares are of degree 4."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(6)
    points = np.array(list(product(nodes, repeat=3))).T
    share = np.array([math.prod(w) for w in product(weights, repeat=3)]) / math.tau**1.5
    return *form.losses(M + math.sqrt(V) * points[0], *points[1:]), share


def test_both_forms_are_there_in_a_process_and_its_bound():
    """Drawn as hush draws them: x_{t-1} by `marginal`, x_t by `transition`, judged by
    -log p(x_{t-1} | x_t); or x_t at once, judged by `step`. Equal means, 4 standard errors; the
    variances as they must be, 5 %."""
    form, count = forms(), 200_000
    process, levels = chain(BETAS)
    t, s = levels[:2]
    rng = Streams.of(11, count)
    x_0 = DATA.sample(rng)
    x_s = process.marginal(x_0, s).sample(rng.next(2))
    x_t = process.transition(x_s, s, t).sample(rng.next(3))
    back = process.reverse(_predicted(form, x_t, t), x_t, s, t)
    constant = 0.5 * (1.0 + math.log(math.tau * form.variance))  # ½ log 2πe β̃
    two = -back.log_prob(x_s) - constant
    other = process.marginal(x_0, t).sample(rng.next(4))
    one = step(process, _predicted(form, other, t), x_0, other, s, t)
    mean, spread = form.residual()
    for loss in (one, two):
        error = 4.0 * loss.std().item() / math.sqrt(count)
        assert loss.mean().item() == pytest.approx(form.weight * (mean**2 + spread), abs=error)
    two_exact, one_exact, share = _integrated(form)
    for loss, exact in ((one, one_exact), (two, two_exact)):
        wanted = (exact**2) @ share - (exact @ share) ** 2
        assert loss.var().item() == pytest.approx(wanted, rel=0.05)


def _predicted(form, x_t, t):
    """The belief, a point, of DDPM's prediction of the noise."""
    eps = form.slope * x_t + form.offset
    return Gaussian((x_t - t.sigma * eps) / t.alpha)


def test_the_forms_of_the_process_are_the_forms_of_the_paper_point_by_point():
    form, rng = forms(), Streams.of(12, 50)
    process, levels = chain(BETAS)
    t, s = levels[:2]
    x_0, eps_bar, eps_t = (rng.next(k).normal((1,), torch.float64) for k in range(3))
    x_s = form.bar_alpha * x_0 + form.bar_beta * eps_bar
    x_t = form.alpha * x_s + form.beta * eps_t
    two, one = (loss[:, 0] for loss in form.losses(x_0, eps_bar, eps_t))
    belief = _predicted(form, x_t, t)
    log_prob = process.reverse(belief, x_t, s, t).log_prob(x_s)
    constant = 0.5 * math.log(math.tau * form.variance)
    torch.testing.assert_close(-log_prob - constant, two, rtol=0, atol=1e-12)
    torch.testing.assert_close(step(process, belief, x_0, x_t, s, t), one, rtol=0, atol=1e-12)


def test_the_gradients_of_both_forms_have_the_same_mean_and_two_noises_are_noisier():
    """∂/∂slope is -2 weight (β_t/β̄_t) x_t (r - cω) against … x_t r: the variance grows by
    4 weight² (β_t/β̄_t)² c² E x_t²."""
    form = forms()
    above, below = (_integrated(replace(form, slope=form.slope + side)) for side in (1.0, -1.0))
    share = above[2]
    two, one = (0.5 * (above[k] - below[k]) for k in (0, 1))  # exact: the loss is quadratic
    assert two @ share == pytest.approx(one @ share, abs=1e-12)
    variances = [(slope**2) @ share - (slope @ share) ** 2 for slope in (two, one)]
    signal = (form.alpha * form.bar_alpha) ** 2
    size = signal * (M**2 + V) + form.whole**2
    more = (2.0 * form.weight * form.beta / form.whole * form.orthogonal) ** 2 * size
    assert variances[0] - variances[1] == pytest.approx(more, abs=1e-12)
    assert variances[0] > variances[1]
