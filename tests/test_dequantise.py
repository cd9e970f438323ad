"""Dequantisation: bounds on probabilities of levels that are known exactly."""

import math

import pytest
import torch
from torch import nn

from hush.errors import UserError
from hush.likelihoods.dequantise import Uniform, Variational, fit
from hush.likelihoods.flow import Flow
from hush.processes import GaussianProcess
from hush.rng import Streams
from hush.schedules import VariancePreserving
from hush.testing import GaussianMixture, MixtureDenoiser

LINE = GaussianMixture.of([0.3, 0.7], [[-0.4], [0.3]], [0.01, 0.02])
SPACING = 0.25
LEVELS = SPACING * torch.arange(-4, 5, dtype=torch.float64).unsqueeze(1)


def probability(x_0, mixture=LINE, spacing=SPACING):
    """∫ p over the bin of each level, by the components' distribution functions."""
    deviations = mixture.variances.sqrt()
    low, high = (
        torch.special.ndtr((x_0 + side * spacing - mixture.means.T) / deviations)
        for side in (-0.5, 0.5)
    )
    return (high - low) @ mixture.weights


def density(x, rng):
    return LINE.log_prob(x)


class Even(Streams):
    """Numbers that cover (0, 1) evenly instead of at random: averages over them are integrals."""

    def uniform(self, event=(), dtype=torch.float64):
        return ((self.index.double() + 0.5) / len(self)).reshape(-1, *(1 for _ in event))


def average(dequantiser, log_prob, level, count=4000, spacing=SPACING):
    """(E[bound], E[exp bound]) of one level, over u."""
    x_0 = level.reshape(1, 1).expand(count, 1)
    with torch.no_grad():
        bound = dequantiser.bound(log_prob, x_0, Even.of(0, count), spacing)
    return bound.mean().item(), bound.exp().mean().item()


class Net(nn.Module):
    """m and log s of each element, from its level; the last layer is zero until it is `stirred`."""

    def __init__(self, elements: int = 1) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(elements, 32), nn.Tanh(), nn.Linear(32, 2 * elements))
        generator = torch.Generator().manual_seed(0)
        nn.init.normal_(self.layers[0].weight, std=4.0, generator=generator)
        nn.init.normal_(self.layers[0].bias, generator=generator)
        nn.init.zeros_(self.layers[2].weight)
        nn.init.zeros_(self.layers[2].bias)

    def stirred(self) -> "Net":
        generator = torch.Generator().manual_seed(1)
        nn.init.normal_(self.layers[2].weight, std=0.05, generator=generator)
        return self

    def forward(self, x_0):
        return self.layers(x_0)


def learning(elements=1):
    return Variational(Net(elements).double())


def stirred(elements=1):
    return Variational(Net(elements).stirred().double())


def test_the_weight_of_uniform_noise_is_the_logarithm_of_the_bins_volume():
    """C7's 7 bits per element for 256 levels scaled to [-1, 1], and 8 to [0, 1]."""
    x_0, rng = torch.zeros(3, 2, 5), Streams.of(0, 3)
    for spacing, bits in ((2.0 / 256, 7.0), (1.0 / 256, 8.0)):
        x, log_weight = Uniform()(x_0, rng, spacing)
        assert (-log_weight / (10.0 * math.log(2.0))).tolist() == pytest.approx([bits] * 3)
        assert x.dtype == x_0.dtype
        assert (x - x_0).abs().max() <= 0.5 * spacing


@pytest.mark.parametrize("dequantiser", [Uniform(), stirred()], ids=["uniform", "variational"])
def test_the_exponential_of_the_bound_has_the_probability_as_its_mean(dequantiser):
    """An identity for every q, so it fails for a q that is not the density of its own u."""
    for level, wanted in zip(LEVELS, probability(LEVELS), strict=True):
        below, mean = average(dequantiser, density, level)
        assert mean == pytest.approx(wanted.item(), rel=2e-3)
        assert below < math.log(wanted.item())


def test_the_uniform_bound_is_what_it_is_for_a_gaussian():
    """E_u log N(x_0 + Δ (u - ½); μ, v) = -½ [((x_0 - μ)² + Δ²/12)/v + log 2πv]."""
    x_0, v = 0.4, 0.02
    mixture = GaussianMixture.of([1.0], [[0.1]], [v])
    below, _ = average(Uniform(), lambda x, rng: mixture.log_prob(x), torch.tensor(x_0).double())
    square = (x_0 - 0.1) ** 2 + SPACING**2 / 12.0
    wanted = math.log(SPACING) - 0.5 * (square / v + math.log(math.tau * v))
    assert below == pytest.approx(wanted, abs=1e-6)


def test_a_density_flat_over_its_bin_is_bounded_exactly():
    x_0, rng = LEVELS.expand(9, 3), Streams.of(1, 9)
    bound = Uniform().bound(lambda x, rng: 0.7 * x.new_ones(len(x)), x_0, rng, SPACING)
    torch.testing.assert_close(bound, torch.full((9,), 0.7 + 3 * math.log(SPACING)).double())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_before_training_it_is_uniform_dequantisation(dtype):
    """The same weight to the bit, the same x to rounding."""
    x_0, rng = LEVELS.expand(9, 3).to(dtype), Streams.of(2, 9)
    (x, weight), (u, uniform) = (
        law(x_0, rng, SPACING) for law in (Variational(Net(3).to(dtype)), Uniform())
    )
    assert torch.equal(weight, uniform)
    torch.testing.assert_close(x, u)


def test_q_is_the_density_of_the_u_that_it_draws():
    """By differences: l is uniform before the map to u, so q(u) du = dl."""
    count = 2001
    x_0 = torch.tensor([[0.5, -0.25]], dtype=torch.float64).expand(count, 2)
    with torch.no_grad():
        u, log_q = stirred(2).place(x_0, Even.of(0, count))
    slopes = (u[2:] - u[:-2]) * count / 2.0  # du/dl; both elements move together
    wanted = -slopes.log().sum(1)
    middle = slice(200, -200)
    torch.testing.assert_close(log_q[1:-1][middle], wanted[middle], rtol=0, atol=1e-4)


def test_training_closes_the_bound():
    """After 400 steps less than a tenth of the uniform law's gap is left, and it is still a bound;
    the density's own weights get no gradient."""
    truth, data = probability(LEVELS), probability(LEVELS) / probability(LEVELS).sum()
    dequantiser, slack = learning(), nn.Parameter(torch.zeros((), dtype=torch.float64))
    x_0 = LINE.sample(Streams.of(4, 128)).div(SPACING).round().mul(SPACING).clamp(-1.0, 1.0)
    bounds = fit(
        dequantiser,
        lambda x, rng: LINE.log_prob(x) + slack,
        (x_0 for _ in range(400)),
        SPACING,
        learning_rate=1e-2,
    )
    assert len(bounds) == 400
    assert slack.grad is None
    gaps = []
    for law in (Uniform(), dequantiser):
        below = torch.tensor([average(law, density, level)[0] for level in LEVELS])
        assert (below < truth.log() + 1e-6).all()
        gaps.append(((truth.log() - below) * data).sum().item())
    assert gaps[1] < 0.1 * gaps[0]


def test_levels_under_the_flow_of_a_model():
    """The two together: the probability of a level from a denoiser, as the mean over its bin."""
    schedule = VariancePreserving()
    denoiser, last = MixtureDenoiser(GaussianProcess(schedule), LINE), schedule.level(1.0)

    def flow(x, rng):
        solver = Flow(tolerance=1e-6, start=1e-5)
        return solver(denoiser, x, rng, end=lambda x_1: LINE.log_prob(x_1, last))

    for level in LEVELS[2:7:2]:
        _, mean = average(Uniform(), flow, level, count=100)
        assert mean == pytest.approx(probability(level.unsqueeze(0)).item(), rel=1e-3)


def test_what_cannot_be_is_said():
    x_0, rng = torch.zeros(2, 3), Streams.of(0, 2)
    with pytest.raises(UserError, match="above 0"):
        Uniform()(x_0, rng, 0.0)
    with pytest.raises(UserError, match="double its channels"):
        Variational(nn.Linear(3, 2))(x_0, rng, SPACING)
