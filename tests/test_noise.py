"""Laws of the noise laws beyond their suite: dense covariances, spectra, spaces, whole walks."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.linalg import circulant

from hush import testing
from hush.denoisers import Denoiser
from hush.distributions import Gaussian, kl
from hush.errors import UserError
from hush.noise import Centred, Coloured, NoiseLaw, Simplex, Symmetric, White
from hush.processes import GaussianProcess
from hush.rng import Streams
from hush.samplers import Ancestral, Multistep, walk
from hush.samplers.grids import Uniform
from hush.schedules import Cosine, VariancePreserving

GAUSSIAN = [White(), Centred(), Symmetric(), Coloured(), Coloured(2.0), Coloured(-1.0)]
on_every_gaussian = pytest.mark.parametrize("law", GAUSSIAN, ids=repr)


def draws(law, count, event, seed=0):
    return law(Streams.of(seed, count), event, torch.float64)


# -- densities -------------------------------------------------------------------------------------


def dense(law, event):
    """Σ by the law's definition, with no help of the law."""
    size, n = math.prod(event), event[-1]
    eye = np.eye(size)
    if isinstance(law, Centred):
        centring = np.eye(event[-2]) - 1.0 / event[-2]
        return np.kron(np.eye(math.prod(event[:-2])), np.kron(centring, np.eye(n)))
    if isinstance(law, Symmetric):
        swap = eye.reshape(size, *event).swapaxes(-1, -2).reshape(size, size)
        edges = np.tile(~np.eye(n, dtype=bool), (math.prod(event[:-2]), 1, 1)).ravel()
        return (eye + swap) * np.outer(edges, edges)
    if isinstance(law, Coloured):
        lengths = event[-2:] if len(event) > 2 else event[-1:]
        waves = np.meshgrid(*(np.fft.fftfreq(length) for length in lengths), indexing="ij")
        k = np.sqrt(sum(wave**2 for wave in waves))
        power = np.maximum(k, 1.0 / max(lengths)) ** -law.exponent
        fourier = np.ones((1, 1))
        for length in lengths:
            fourier = np.kron(fourier, np.fft.fft(np.eye(length), norm="ortho"))
        one = (fourier.conj().T @ np.diag(power.ravel() / power.mean()) @ fourier).real
        return np.kron(np.eye(size // math.prod(lengths)), one)
    return eye


EVENTS = {
    White: [(3,), (2, 3, 4)],
    Centred: [(5, 3), (2, 4, 1)],
    Symmetric: [(4, 4), (2, 3, 3), (2, 2)],
    Coloured: [(2, 5), (7,), (1, 4, 6), (2, 3, 5)],
}


@pytest.mark.parametrize(
    ("law", "event"), [(law, event) for law in GAUSSIAN for event in EVENTS[type(law)]], ids=str
)
def test_density_divergence_and_covariance_are_those_of_the_dense_matrix(law, event):
    """Against scipy's (degenerate) normal law of the covariance matrix written down here."""
    covariance, count = dense(law, event), 3
    a, b = draws(law, count, event), draws(law, count, event, 1)
    v, w = (torch.tensor(x, dtype=torch.float64) for x in ((0.3, 1.0, 2.0), (0.7, 0.2, 5.0)))
    got = Gaussian(a, v, law).log_prob(b)
    for i in range(count):
        exact = stats.multivariate_normal(
            a[i].flatten().numpy(), v[i].item() * covariance, allow_singular=True
        )
        assert got[i].item() == pytest.approx(exact.logpdf(b[i].flatten().numpy()), abs=1e-9)
    rank, gap = np.linalg.matrix_rank(covariance), (a - b).flatten(1).numpy()
    distance = torch.from_numpy(np.einsum("bi,ij,bj->b", gap, np.linalg.pinv(covariance), gap))
    wanted = 0.5 * (rank * (v / w - 1 - (v / w).log()) + distance / w)
    torch.testing.assert_close(
        kl(Gaussian(a, v, law), Gaussian(b, w, law)), wanted, rtol=1e-10, atol=0
    )
    testing.check_noise_law(law, event)


def test_a_density_over_its_space_integrates_to_one():
    """Two points on a line, centred: x = (u, -u)/√2 with u a length on that line."""
    u = torch.linspace(-12, 12, 20001, dtype=torch.float64)
    x = torch.stack((u, -u), 1).unsqueeze(2) / 2**0.5
    log_prob = Gaussian(torch.zeros_like(x), 0.7, Centred()).log_prob(x)
    assert (log_prob.exp().sum() * 24 / 20000).item() == pytest.approx(1.0, abs=1e-12)
    edge = torch.tensor([[0.0, 1.0], [1.0, 0.0]], dtype=torch.float64) / 2**0.5
    log_prob = Gaussian(torch.zeros(len(u), 2, 2).double(), 0.7, Symmetric()).log_prob(
        u.reshape(-1, 1, 1) * edge
    )
    assert (log_prob.exp().sum() * 24 / 20000).item() == pytest.approx(1.0, abs=1e-12)


def test_white_is_the_streams_own_normal_numbers_bit_for_bit():
    rng, event = Streams.of(4, 5), (3, 4, 4)
    for dtype in (torch.float32, torch.float64):
        mean = rng.next().normal(event, dtype)
        x, noise = Gaussian(mean, 0.3).sample(rng), rng.normal(event, dtype)
        scale = torch.tensor(0.3, dtype=dtype) ** 0.5
        assert torch.equal(White()(rng, event, dtype), noise)
        assert torch.equal(x, torch.addcmul(mean, noise, scale))
        variance = torch.tensor(0.3, dtype=dtype)
        density = -0.5 * ((x - mean) ** 2 / variance + (math.tau * variance).log())
        assert torch.equal(Gaussian(mean, 0.3).log_prob(x), density.flatten(1).sum(1))
        q, p = Gaussian(x, 0.2), Gaussian(mean, 0.3)
        v_q, v_p = q.spread, p.spread
        terms = (v_p / v_q).log() - 1.0 + (v_q + (x - mean) ** 2) / v_p
        assert torch.equal(kl(q, p), 0.5 * terms.flatten(1).sum(1))
    assert Gaussian(mean).noise == GaussianProcess().noise == White()


# -- what each law is ------------------------------------------------------------------------------


def test_centred_noise_moves_no_cloud_as_a_whole():
    x = draws(Centred(), 100, (7, 3))
    assert x.mean(1).abs().max() < 1e-15
    assert draws(Centred(-1), 100, (2, 7)).mean(2).abs().max() < 1e-15
    assert torch.equal(draws(Centred(), 3, (1, 3)), torch.zeros(3, 1, 3))  # nothing left to move


def test_symmetric_noise_is_an_adjacency():
    x = draws(Symmetric(), 2000, (5, 5))
    assert torch.equal(x, x.mT)
    assert (x.diagonal(dim1=-2, dim2=-1) == 0).all()
    edges = x[:, *torch.triu_indices(5, 5, 1)]
    assert edges.var().item() == pytest.approx(1.0, abs=5 * (2 / edges.numel()) ** 0.5)


def test_coloured_noise_of_exponent_zero_is_white():
    rng = Streams.of(0, 4)
    white = rng.normal((2, 5, 6), torch.float64)
    torch.testing.assert_close(Coloured(0.0)(rng, (2, 5, 6), torch.float64), white)


@pytest.mark.parametrize("exponent", [-1.0, 1.0, 2.0])
@pytest.mark.parametrize("event", [(1, 16, 16), (1, 64)], ids=["pictures", "series"])
def test_coloured_noise_has_its_power_spectrum(exponent, event):
    """E |x̂_k|² ∝ |k|^-exponent wave by wave, an exponential variable of each draw: the mean of
    `count` of them is off by 1/√count."""
    count, axes = 4000, tuple(range(2, len(event) + 1))
    x = draws(Coloured(exponent), count, event)
    power = torch.fft.fftn(x, dim=axes, norm="ortho").abs().square().mean((0, 1))
    waves = [torch.fft.fftfreq(length, dtype=torch.float64) for length in event[1:]]
    k = sum(w**2 for w in torch.meshgrid(*waves, indexing="ij")).sqrt()
    k = k.clamp(min=1.0 / event[-1])  # the constant has the power of the slowest wave
    scaled = power * k**exponent
    ratio = scaled / scaled.mean()
    real = 2**0.5  # constant and fastest waves are real, their squares twice as uncertain
    assert ((ratio - 1).abs() < 5 * real / count**0.5).all()
    slope = np.polyfit(k.log().flatten().numpy(), power.log().flatten().numpy(), 1)[0]
    assert slope == pytest.approx(-exponent, abs=0.02)


def test_coloured_covariance_on_a_ring_is_circulant():
    power = torch.tensor([1.0, 1.0, 0.5, 1 / 3, 0.5, 1.0], dtype=torch.float64)  # of |k| 0 … 3, 1
    row = torch.fft.ifft(power / power.mean()).real.numpy()
    root = Coloured(1.0).colour(torch.eye(6, dtype=torch.float64).unsqueeze(1)).squeeze(1)
    np.testing.assert_allclose((root @ root).numpy(), circulant(row), atol=1e-14)


def test_a_lone_picture_is_drawn_as_in_a_batch():
    for event in ((1, 28, 28), (1, 3, 5), (1, 17, 31), (7,), (1, 100)):
        for dtype in (torch.float32, torch.float64):
            whole = Coloured()(Streams.of(1, 9), event, dtype)
            for i in range(9):
                assert torch.equal(Coloured()(Streams.of(1, 1, i), event, dtype), whole[i : i + 1])


# -- processes -------------------------------------------------------------------------------------


class Exact(Denoiser):
    """The exact belief over data N(mean, variance Σ), with the process's own Σ."""

    def __init__(self, process, mean, variance):
        super().__init__()
        self.process, self.mean, self.variance = process, mean, variance

    def forward(self, x_t, t, cond=None):
        level = self.process.schedule.level(t)
        total = level.alpha**2 * self.variance + level.sigma**2
        gain = level.alpha * self.variance / total
        mean = self.mean + gain * (x_t - level.alpha * self.mean)
        return Gaussian(mean, level.sigma**2 * self.variance / total, self.process.noise)


@on_every_gaussian
def test_ancestral_walk_with_the_exact_belief_ends_at_the_data(law):
    """Every reverse step is exact, so six of them from the law at t = 1 give N(m, v Σ) itself: the
    whitened samples have variance v along each direction of the space."""
    process, event, count, variance = (
        GaussianProcess(VariancePreserving(), law),
        (1, 3, 3),
        6000,
        0.4,
    )
    mean = draws(law, 1, event, 9)
    denoiser = Exact(process, mean, variance)
    end = process.schedule.level(1.0)
    total = end.alpha**2 * variance + end.sigma**2
    rng = Streams.of(2, count)
    start = Gaussian((end.alpha * mean).expand(count, *event), total, law).sample(rng)
    *_, last = walk(Ancestral(), denoiser, start, Uniform(6)(process.schedule), rng.next())
    white = law.whiten(last.x - mean).flatten(1)
    error = (2 / count) ** 0.5 * variance
    covariance = white.mT @ white / count
    space = law.whiten(law.colour(torch.eye(9).double().reshape(9, *event))).flatten(1)
    assert (covariance - variance * space).abs().max().item() < 5 * error
    assert white.mean(0).abs().max().item() < 5 * (variance / count) ** 0.5


@pytest.mark.parametrize("sampler", [Ancestral(), Ancestral(0.0), Multistep()], ids=str)
@pytest.mark.parametrize(("law", "event"), [(Centred(), (5, 3)), (Symmetric(), (4, 4))], ids=str)
def test_data_in_the_space_stay_in_it_at_every_time(law, event, sampler):
    process = GaussianProcess(Cosine(), law)
    x_0 = draws(law, 4, event, 1)

    def outside(x):
        return (x - law.colour(law.whiten(x))).abs().max().item()

    for t in (0.1, 0.5, 1.0):
        assert outside(process.marginal(x_0, t).sample(Streams.of(3, 4))) < 1e-14
        assert outside(process.transition(x_0, 0.05, t).sample(Streams.of(4, 4))) < 1e-14
    start = process.prior((4, *event), x_0).sample(Streams.of(5, 4))
    levels = Uniform(20)(process.schedule)
    denoiser = Exact(process, x_0.mean(0, keepdim=True), 0.3)
    for state in walk(sampler, denoiser, start, levels, Streams.of(5, 4).next()):
        assert outside(state.x) < 1e-12


def test_a_deterministic_step_draws_nothing():
    class Loud(White):
        def __call__(self, rng, event, dtype=torch.float32):
            raise AssertionError("drawn")

    process, x = GaussianProcess(Cosine(), Loud()), torch.ones(2, 3)
    process.reverse(Gaussian(x), x, 0.2, 0.5, eta=0.0).sample(Streams.of(0, 2))
    process.reverse(Gaussian(x), x, 0.0, 0.5, eta=1.0).sample(Streams.of(0, 2))
    process.marginal(x, 0.0).sample(Streams.of(0, 2))
    with pytest.raises(AssertionError, match="drawn"):
        process.marginal(x, 0.5).sample(Streams.of(0, 2))


def test_beliefs_keep_their_noise_under_guidance():
    law, mean = Coloured(), torch.zeros(4, 1, 3, 3)
    both = Gaussian(mean, torch.tensor([1.0, 2.0, 3.0, 4.0]), law)
    free, bound = both.halves()
    moved = free.toward(bound, 2.0)
    assert free.noise == bound.noise == moved.noise == law
    assert moved.variance.tolist() == [3.0, 4.0]


def test_what_has_no_closed_form_says_so():
    x = torch.zeros(2, 1, 4, 4)
    simplex, process = Gaussian(x, 1.0, Simplex()), GaussianProcess(Cosine(), Coloured())
    for ask in (lambda: simplex.log_prob(x), lambda: kl(simplex, simplex)):
        with pytest.raises(UserError, match=r"Simplex.*not Gaussian.*White"):
            ask()
    with pytest.raises(UserError, match=r"Coloured.*one variance per sample.*\(2, 1, 4, 4\)"):
        Gaussian(x, torch.ones_like(x), Coloured())
    with pytest.raises(UserError, match="both must be of the same noise"):
        kl(Gaussian(x, 1.0), Gaussian(x, 1.0, Coloured()))
    with pytest.raises(UserError, match=r"belief's variance is of White\(\)"):
        process.reverse(Gaussian(x, 0.5), x, 0.2, 0.4)
    process.reverse(Gaussian(x), x, 0.2, 0.4)  # a point has no noise of its own


@pytest.mark.parametrize(
    ("law", "event", "words"),
    [
        (Centred(), (5,), r"at least 2 axes.*\(5,\)"),
        (Symmetric(), (3, 4), r"adjacency.*\(3, 4\)"),
        (Symmetric(), (3,), "adjacency"),
        (Coloured(), (), "pictures or series"),
        (Simplex(), (8,), r"pictures.*\(8,\)"),
    ],
)
def test_a_law_names_the_events_it_wants(law, event, words):
    with pytest.raises(UserError, match=words):
        law(Streams.of(0, 2), event)


@pytest.mark.parametrize(
    ("law", "arguments", "words"),
    [
        (Centred, {"axis": 0}, "axis"),
        (Coloured, {"exponent": math.inf}, "exponent"),
        (Simplex, {"octaves": 0}, "octaves"),
        (Simplex, {"frequency": 0.0}, "frequency"),
        (Simplex, {"persistence": math.nan}, "persistence"),
    ],
)
def test_a_law_refuses_numbers_that_mean_nothing(law, arguments, words):
    with pytest.raises(UserError, match=words):
        law(**arguments)


# -- simplex noise ---------------------------------------------------------------------------------


def bump_covariance(distance):
    """E[f(p) f(p + δ)] of simplex3 averaged over its lattice, two vertices per unit of volume:
    2 ∫ k(p) k(p + δ) p·(p + δ)/3 dp with k(p) = (½ - ‖p‖²)₊⁴, in cylinders about δ (Gauss)."""
    nodes, weights = np.polynomial.legendre.leggauss(160)
    reach = 0.5**0.5
    z, radius = reach * nodes[:, None], reach * (nodes + 1) / 2
    far = z + distance
    kernels = [np.maximum(0.5 - radius**2 - height**2, 0.0) ** 4 for height in (z, far)]
    values = kernels[0] * kernels[1] * (radius**2 + z * far) / 3 * 2 * math.pi * radius
    return 2 * weights @ values @ weights * reach**2 / 2


VARIANCE = 4 * math.pi / 3 * 0.5**10.5 * math.gamma(2.5) * math.gamma(9) / math.gamma(11.5)


def test_the_variance_of_simplex_noise_is_its_integral():
    assert bump_covariance(0.0) == pytest.approx(VARIANCE, rel=1e-8)


def test_simplex_noise_has_the_covariance_of_its_kernel_in_every_direction():
    """The lattice is not to be seen in it: along rows, columns and both diagonals the covariance is
    the one integral, and beyond two reaches, √2 periods, it is zero."""
    period, count = 4.0, 8000
    x = draws(Simplex(period, 1), count, (1, 7, 7)).squeeze(1)
    for down, right in ((0, 1), (1, 0), (1, 1), (0, 2), (2, 0), (2, 1), (0, 3), (3, 3), (0, 6)):
        wanted = bump_covariance(math.hypot(down, right) / period) / VARIANCE
        pairs = (x[:, 0, 0] * x[:, down, right], x[:, 0, 6] * x[:, down, 6 - right])
        for product in pairs:
            error = product.std().item() / count**0.5
            assert product.mean().item() == pytest.approx(wanted, abs=4.5 * error)
    assert bump_covariance(1.42) == 0.0


def test_the_octaves_of_simplex_noise_add_their_covariances():
    law, count = Simplex(8.0, 3, 0.5), 8000
    x = draws(law, count, (1, 1, 6))[:, 0, 0]
    shares = [0.25**i / (1 + 0.25 + 0.0625) for i in range(3)]
    for distance in (1, 2, 3, 5):
        parts = (bump_covariance(distance / (8.0 / 2**i)) / VARIANCE for i in range(3))
        wanted = sum(share * part for share, part in zip(shares, parts, strict=True))
        product = x[:, 0] * x[:, distance]
        error = product.std().item() / count**0.5
        assert product.mean().item() == pytest.approx(wanted, abs=4.5 * error)


@pytest.mark.parametrize("persistence", [0.5, 0.8])
def test_simplex_noise_follows_a_power_law_between_its_octaves(persistence):
    """Octave i has power persistence^2i over an area of frequencies ∝ 4^i: in two dimensions the
    power falls as |k|^-(2 - 2 log₂ persistence), 2.64 for AnoDDPM's."""
    size = 256
    x = draws(Simplex(64.0, 6, persistence), 6, (1, size, size)).squeeze(1)
    window = torch.hann_window(size, periodic=False, dtype=torch.float64)
    power = torch.fft.fft2(x * window * window.unsqueeze(1)).abs().square().mean(0)
    wave = torch.fft.fftfreq(size, dtype=torch.float64)
    k = (wave**2 + wave.unsqueeze(1) ** 2).sqrt()
    edges = torch.logspace(math.log10(1 / 64), math.log10(1 / 4), 13, dtype=torch.float64)
    rings = [(k >= low) & (k < high) for low, high in pairwise(edges)]
    heights = [power[ring].mean().log().item() for ring in rings]
    slope = np.polyfit([k[ring].mean().log().item() for ring in rings], heights, 1)[0]
    assert slope == pytest.approx(-(2 - 2 * math.log2(persistence)), abs=0.15)


def test_channels_of_simplex_noise_are_independent_and_it_is_not_gaussian():
    x = draws(Simplex(3.0, 1), 20000, (2, 1, 1)).flatten(1)
    product = x[:, 0] * x[:, 1]
    assert product.mean().item() == pytest.approx(0.0, abs=4.5 * product.std().item() / 20000**0.5)
    assert stats.kurtosis(x[:, 0].numpy()) < -0.2  # flat: a sum of a few bumps is bounded


def test_simplex_noise_in_single_precision_is_the_same_field():
    rng, event = Streams.of(0, 3), (2, 64, 96)
    single, double = Simplex()(rng, event), Simplex()(rng, event, torch.float64)
    torch.testing.assert_close(single.double(), double, rtol=0, atol=2e-4)


def test_every_law_is_found():
    found = {type(law) for law in testing.every(NoiseLaw)}
    assert found == {White, Centred, Symmetric, Coloured, Simplex}
