"""Variational autoencoders: bounds, evidence and gradients against a VAE that is solved."""

import math
from itertools import product

import pytest
import torch
from torch import nn

from hush.codecs import Range
from hush.data import digits, split
from hush.distributions import Gaussian
from hush.errors import UserError
from hush.likelihoods.decoders import Binned
from hush.networks.autoencoder import VAE, Autoencoder, Block
from hush.objectives.evidence_lower_bound import (
    Bernoulli,
    EvidenceLowerBound,
    Normal,
    posterior,
)
from hush.rng import Streams

ELBO = EvidenceLowerBound()


class Signs(Streams):
    """The four corners (±1, ±1), in place of two normal numbers: a mean over them is the integral
    over N(0, I) of what is of degree 3 or less."""

    def normal(self, event=(), dtype=torch.float32):
        corners = torch.tensor(list(product((-1.0, 1.0), repeat=2)), dtype=dtype)
        return corners[self.index % 4]


class Principal(Autoencoder):
    """Probabilistic PCA, x = W z + μ + σ ε, z ~ N(0, I₂). The columns of W are orthogonal, so that
    p(z | x) has independent elements: mean (WᵀW + σ²)^-1 Wᵀ (x - μ), variance σ²/(WᵀW + σ²).

    `encode` is that, and with `off` what is wrong by so much, in mean and log-variance.
    Tipping and Bishop 1999, "Probabilistic principal component analysis".
    """

    def __init__(self, off=0.0):
        super().__init__((2,))
        generator = torch.Generator().manual_seed(0)
        square = torch.randn(5, 5, generator=generator, dtype=torch.float64)
        columns = torch.linalg.qr(square)[0][:, :2] * torch.tensor([1.5, 0.6])
        self.columns = nn.Parameter(columns)
        self.centre = nn.Parameter(torch.linspace(-1.0, 1.0, 5).double())
        self.log_variance = nn.Parameter(torch.tensor(0.3, dtype=torch.float64).log())
        power = self.power().detach()
        self.rows = nn.Parameter(columns.T / power.unsqueeze(1))
        self.aside = nn.Parameter(torch.full((2,), off, dtype=torch.float64))
        self.doubt = nn.Parameter((0.3 / power).log() + off)

    def power(self):
        """The diagonal of WᵀW + σ²."""
        return (self.columns**2).sum(0) + self.log_variance.exp()

    def encode(self, x):
        mean = (x - self.centre) @ self.rows.T + self.aside
        return mean, self.doubt.expand_as(mean)

    def decode(self, z):
        return z @ self.columns.T + self.centre

    def log_prob(self, x):
        """log N(x; μ, W Wᵀ + σ² I)."""
        noise = self.log_variance.exp() * torch.eye(5, dtype=torch.float64)
        covariance = self.columns @ self.columns.T + noise
        return torch.distributions.MultivariateNormal(self.centre, covariance).log_prob(x)


def data(count=20):
    return 1.5 * Streams.of(7, count).normal((5,), torch.float64)


def expected(autoencoder, x, elbo=ELBO):
    """The terms of the bound of each x, integrated over z."""
    terms = elbo.bound(autoencoder, x.repeat_interleave(4, 0), Signs.of(0, 4 * len(x)))
    return (part.reshape(-1, 4).mean(1) for part in (terms.prior, terms.data))


# ---- A linear VAE is known.


def test_with_the_exact_posterior_the_bound_is_the_evidence():
    model, x = Principal(), data()
    kl, reconstruction = expected(model, x)
    torch.testing.assert_close(kl + reconstruction, -model.log_prob(x), rtol=0, atol=1e-10)


@pytest.mark.parametrize("draws", [1, 3])
def test_with_the_exact_posterior_every_draw_weighs_the_evidence(draws):
    model, x = Principal(), data()
    weighed = ELBO.log_evidence(model, x, Streams.of(1, len(x)), draws)
    torch.testing.assert_close(weighed, model.log_prob(x), rtol=0, atol=1e-10)


def test_a_wrong_posterior_costs_its_divergence_from_the_right_one():
    right, wrong, x = Principal(), Principal(off=0.4), data()
    miss = posterior(wrong, x).kl(posterior(right, x))
    assert miss.min() > 0.1
    kl, reconstruction = expected(wrong, x)
    torch.testing.assert_close(kl + reconstruction + wrong.log_prob(x), miss, rtol=0, atol=1e-10)


def test_more_draws_weigh_the_evidence_from_below_ever_closer():
    """Its exponential has p(x) as its mean whatever q is (4 standard errors); of itself the mean
    rises with the draws, from minus the bound to log p(x)."""
    model, count = Principal(off=0.4), 20_000
    x = data(1).expand(count, 5)
    wanted, rng = model.log_prob(x[:1]).item(), Streams.of(2, count)
    with torch.no_grad():
        weighed = {draws: ELBO.log_evidence(model, x, rng, draws) for draws in (1, 2, 8, 32)}
        kl, reconstruction = expected(model, x[:1])
    means = [log_p.mean().item() for log_p in weighed.values()]
    slack = 4.0 * weighed[1].std().item() / math.sqrt(count)
    assert means[0] == pytest.approx(-(kl + reconstruction).item(), abs=slack)
    assert means == sorted(means)
    assert means[-1] < wanted
    assert wanted - means[-1] < 0.05 * (wanted - means[0])
    shares = (weighed[8] - wanted).exp()
    assert shares.mean().item() == pytest.approx(1.0, abs=4.0 * shares.std().item() / count**0.5)


def closed(model, x):
    """½ Σ (v + m² - 1 - log v) and ½ [(‖x - μ - W m‖² + Σ_j v_j ‖w_j‖²)/σ² + 5 log 2πσ²]."""
    mean, log_variance = model.encode(x)
    kl = 0.5 * (log_variance.exp() + mean**2 - 1.0 - log_variance).sum(1)
    gap = ((x - model.decode(mean)) ** 2).sum(1)
    gap = gap + log_variance.exp() @ (model.columns**2).sum(0)
    noise = 5.0 * (math.log(math.tau) + model.log_variance)
    return kl, 0.5 * (gap / model.log_variance.exp() + noise)


@pytest.mark.parametrize("kl_weight", [1.0, 0.1])
def test_the_gradient_through_the_draws_is_that_of_the_closed_form(kl_weight):
    model, x = Principal(off=0.4), data()
    elbo = EvidenceLowerBound(kl_weight=kl_weight)
    loss = elbo(model, x.repeat_interleave(4, 0), Signs.of(0, 4 * len(x))).mean()
    kl, reconstruction = closed(model, x)
    weights = list(model.parameters())
    drawn, wanted = (
        torch.autograd.grad(total, weights)
        for total in (loss, (kl_weight * kl + reconstruction).mean())
    )
    for gradient, exact in zip(drawn, wanted, strict=True):
        assert exact.abs().max() > 1e-3
        torch.testing.assert_close(gradient, exact, rtol=0, atol=1e-10)


def test_the_variance_learns_to_be_the_mean_squared_error():
    model, x, rng = Principal(off=0.4), data(), Streams.of(3, 20)
    with torch.no_grad():
        gap = x - model.decode(posterior(model, x).sample(rng))
        model.log_variance.copy_((gap**2).mean().log())
    (slope,) = torch.autograd.grad(ELBO(model, x, rng).mean(), model.log_variance)
    assert slope.abs() < 1e-12
    assert torch.equal(Normal(0.3)(model, x[:, :2]).mean, model.decode(x[:, :2]))
    fixed = EvidenceLowerBound(Normal((gap**2).mean().item()))
    torch.testing.assert_close(fixed(model, x, rng), ELBO(model, x, rng), rtol=1e-12, atol=0)


# ---- What else x can be.


class Coin(Autoencoder):
    """Three bits whose logits are lines of one z."""

    def __init__(self):
        super().__init__((1,))

    def encode(self, x):
        mean = 0.8 * (x.double().sum(1, keepdim=True) - 1.0)
        return mean, torch.full_like(mean, -0.5)

    def decode(self, z):
        return z * torch.tensor([2.0, -1.0, 0.5]).double() + torch.tensor([0.3, 0.0, -1.0]).double()


BITS = torch.tensor(list(product((0, 1), repeat=3)))


def test_bits_have_probabilities_that_sum_to_one_at_every_z():
    z = torch.linspace(-3.0, 3.0, 7).double()
    for place in z:
        law = Bernoulli()(Coin(), place.expand(8, 1))
        assert law.log_prob(BITS).exp().sum().item() == pytest.approx(1.0, abs=1e-12)
        ones = law.log_prob(BITS).exp() @ BITS.double()
        torch.testing.assert_close(ones, Coin().decode(place.reshape(1, 1))[0].sigmoid())


def test_the_evidence_of_bits_is_the_integral_over_z():
    """P(x) = ∫ N(z; 0, 1) P(x | z) dz on a fine grid; the weights' mean is P(x), 4 s.e., and the
    bound lies above -log P(x)."""
    z = torch.linspace(-9.0, 9.0, 4001, dtype=torch.float64)
    prior = torch.exp(-0.5 * z**2) / math.sqrt(math.tau) * (z[1] - z[0])
    elbo, count = EvidenceLowerBound(Bernoulli()), 4000
    for x in BITS:
        law = Bernoulli()(Coin(), z.unsqueeze(1))
        wanted = prior @ law.log_prob(x.expand(4001, 3)).exp()
        rng, many = Streams.of(4, count), x.expand(count, 3)
        weighed = elbo.log_evidence(Coin(), many, rng, 4).exp()
        slack = 4.0 * weighed.std().item() / math.sqrt(count)
        assert weighed.mean().item() == pytest.approx(wanted.item(), abs=slack)
        assert elbo(Coin(), many, rng).mean() > -wanted.log()


class Line(Autoencoder):
    """x = 0.5 z + 0.2 + σ ε in one element, so that x ~ N(0.2, 0.25 + σ²)."""

    def encode(self, x):
        return 0.9 * (x - 0.2), torch.full_like(x, -0.5)

    def decode(self, z):
        return 0.5 * z + 0.2


def test_the_evidence_of_levels_is_the_mass_of_their_bins():
    """Of N(0.2, 0.25 + σ²), the ends open; 4 standard errors."""
    model, decoder, count = Line((1,)).double(), Binned(0.25), 4000
    elbo, rng = EvidenceLowerBound(Normal(0.1), decoder), Streams.of(6, count)
    for level in (-1.0, -0.25, 0.5, 1.0):
        x = torch.full((count, 1), level, dtype=torch.float64)
        wanted = decoder(Gaussian(torch.full_like(x[:1], 0.2), 0.35), x[:1]).exp().item()
        weighed = elbo.log_evidence(model, x, rng, 4).exp()
        slack = 4.0 * weighed.std().item() / math.sqrt(count)
        assert weighed.mean().item() == pytest.approx(wanted, abs=slack)
        assert elbo(model, x, rng).mean() > -math.log(wanted)


def test_no_variance_and_no_draws_are_refused():
    with pytest.raises(UserError, match="above 0"):
        Normal(0.0)
    with pytest.raises(UserError, match="at least 1 draw"):
        ELBO.log_evidence(Principal(), data(), Streams.of(0, 20), 0)


# ---- The network.


SHAPES = [
    ((2, 8), (3, 2)),
    ((2, 13), (3, 4)),
    ((1, 8, 8), (3, 2, 2)),
    ((3, 7, 5), (3, 2, 2)),
    ((1, 1, 9), (3, 1, 3)),
    ((2, 4, 3, 5), (3, 1, 1, 2)),
]


def network(shape):
    """Every weight drawn anew, so that no branch is silent."""
    made = VAE(shape, 8, (1, 2, 2), 3).double()
    generator = torch.Generator().manual_seed(0)
    for parameter in made.parameters():
        parameter.data = 0.3 * torch.randn(parameter.shape, generator=generator).double()
    return made


@pytest.mark.parametrize(("shape", "latent"), SHAPES, ids=str)
def test_z_has_the_sides_divided_and_x_its_own_back(shape, latent):
    made, rng = network(shape), Streams.of(5, 3)
    x = rng.normal(shape, torch.float64)
    mean, log_variance = made.encode(x)
    assert made.latent == latent
    assert mean.shape == log_variance.shape == (3, *latent)
    assert made.decode(mean).shape == made(x).shape == made.sample(rng).shape == x.shape
    assert min(part.std() for part in (mean, log_variance, made(x), made.sample(rng))) > 1e-3


@pytest.mark.parametrize("shape", [shape for shape, _ in SHAPES], ids=str)
def test_samples_bounds_and_evidence_are_the_same_in_every_batch(shape):
    made, rng = network(shape), Streams.of(5, 3)
    x = rng.normal(shape, torch.float64)
    for whole in (
        lambda part: made.sample(rng[part]),
        lambda part: ELBO(made, x[part], rng[part]),
        lambda part: ELBO.log_evidence(made, x[part], rng[part], 2),
    ):
        alone = torch.cat([whole(slice(i, i + 1)) for i in range(3)])
        torch.testing.assert_close(whole(slice(0, 3)), alone, rtol=1e-10, atol=1e-10)


def test_every_weight_learns():
    made, rng = network((2, 7, 5)), Streams.of(0, 4)
    ELBO(made, rng.normal((2, 7, 5), torch.float64), rng.next()).mean().backward()
    assert all(parameter.grad.abs().max() > 0.0 for parameter in made.parameters())


def test_blocks_begin_as_the_identity_and_wild_codes_stay_numbers():
    x = torch.randn(2, 8, 6, 6)
    assert torch.equal(Block(2, 8, 8)(x), x)
    made = VAE((1, 8, 8), 8, (1, 2), 2)
    nn.init.constant_(made.encoder.layers[-1].bias, -1e4)
    assert ELBO(made, torch.randn(2, 1, 8, 8), Streams.of(0, 2)).isfinite().all()


def test_integers_are_data_too():
    made, x = VAE((1, 8, 8), 8, (1, 2), 2), torch.randint(0, 2, (3, 1, 8, 8))
    loss = EvidenceLowerBound(Bernoulli())(made, x, Streams.of(0, 3))
    assert loss.shape == (3,)
    assert loss.isfinite().all()


@pytest.mark.parametrize("shape", [(3,), (0, 8), (1, 2, 2, 2, 2)])
def test_shapes_that_are_none_are_refused(shape):
    with pytest.raises(UserError, match="1 to 3 sides"):
        VAE(shape)


# ---- Learning.


def gaussian_bins(x, mean, covariance, spacing, draws=16):
    """log of the mass of N(mean, covariance) in the bin of every x, the ends open: element by
    element, given values drawn within the bins before. The exponential is without bias.

    Geweke, Hajivassiliou and Keane's simulator (Train 2009, "Discrete choice methods with
    simulation", chapter 5).
    """
    factor = torch.linalg.cholesky(covariance)
    z, log_mass = x.new_zeros(draws, *x.shape), x.new_zeros(draws, len(x))
    share = torch.rand(z.shape, generator=torch.Generator().manual_seed(0), dtype=x.dtype)
    low = (x - 0.5 * spacing).masked_fill(x < -1.0 + 0.5 * spacing, -math.inf)
    high = (x + 0.5 * spacing).masked_fill(x > 1.0 - 0.5 * spacing, math.inf)
    for i in range(x.shape[1]):
        centre = mean[i] + z[..., :i] @ factor[i, :i]
        a, b = ((end[:, i] - centre) / factor[i, i] for end in (low, high))
        flip = a + b > 0.0  # to the side where the distribution function keeps its digits
        start = torch.special.ndtr(torch.where(flip, -b, a))
        mass = (torch.special.ndtr(torch.where(flip, -a, b)) - start).clamp(min=1e-300)
        log_mass += mass.log()
        within = torch.special.ndtri((start + share[..., i] * mass).clamp(1e-300, 1.0 - 1e-16))
        z[..., i] = torch.where(flip, -within, within)
    return log_mass.logsumexp(0) - math.log(draws)


def test_the_bins_of_a_gaussian_are_counted_right():
    """Exactly where it is independent; over all pairs of levels to one where it is not."""
    levels = torch.linspace(-1.0, 1.0, 5).double()
    x = torch.cartesian_prod(levels, levels)
    mean, spread = torch.tensor([0.1, -0.4]).double(), torch.tensor([0.3, 0.2]).double()
    alone = Binned(0.5)(Gaussian(mean.expand(25, 2), spread.expand(25, 2)), x)
    torch.testing.assert_close(gaussian_bins(x, mean, spread.diag(), 0.5), alone)
    tied = torch.tensor([[0.3, 0.2], [0.2, 0.2]]).double()
    assert gaussian_bins(x, mean, tied, 0.5, 4000).exp().sum().item() == pytest.approx(1, abs=1e-2)


@pytest.mark.slow
def test_on_digits_the_bound_beats_the_gaussian_of_the_pixels():
    """Held-out nats per picture, 17 levels: the bound of a VAE of 117 k weights against that
    of a Gaussian with the covariance of the pixels; and more draws close the bound further.
    """
    train, held = (part.read(range(len(part)))["image"] for part in split(digits(), 0.15, seed=0))
    codec = Range().fit([train], 17)
    train, held = codec.encode(train), codec.encode(held)
    elbo = EvidenceLowerBound(decoder=Binned(*codec.binned()))
    vae, steps, batch, peak = fresh(), 600, 128, 3e-3
    halves = (*vae.encoder.parameters(), *vae.decoder.parameters())
    adam = torch.optim.Adam([{"params": halves}, {"params": [vae.log_variance]}])
    for step in range(steps):
        rate = 0.5 * peak * (1.0 + math.cos(math.pi * step / steps))
        adam.param_groups[0]["lr"] = rate
        adam.param_groups[1]["lr"] = 10.0 * rate  # one number with a long way to go
        rng = Streams.of(1, batch, batch * step)
        chosen = train[(rng.uniform() * len(train)).long()]
        loss = elbo(vae, chosen, rng.next()).mean()
        adam.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(vae.parameters(), 100.0)
        adam.step()
    rng = Streams.of(2, len(held))
    with torch.no_grad():
        bound = elbo(vae, held, rng).mean().item()
        evidence = -elbo.log_evidence(vae, held, rng, 16).mean().item()
    flat = train.flatten(1).double()
    pixels = held.flatten(1).double()
    ridge = 0.01 * torch.eye(64).double()
    gaussian = gaussian_bins(pixels, flat.mean(0), flat.T.cov() + ridge, 0.125)
    assert evidence < bound - 1.0
    assert bound < -gaussian.mean().item() - 8.0


def fresh():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return VAE((1, 8, 8), 16, (1, 2, 2), 4)
