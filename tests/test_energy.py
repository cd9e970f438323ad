"""Beliefs that come from an energy: a gradient is one, and its scalar is the density."""

import pytest
import torch
from torch import nn

from hush.denoisers import GaussianDenoiser
from hush.denoisers.conservative import Conservative
from hush.denoisers.parameterisations import EDM as Preconditioned
from hush.denoisers.parameterisations import Noise, V, Velocity
from hush.likelihoods import continuous
from hush.networks import DiT, Labels, UNet
from hush.networks.energy import Gradient
from hush.objectives import Denoising
from hush.objectives.score_matching import SlicedScoreMatching
from hush.processes import GaussianProcess
from hush.rng import Streams
from hush.samplers import Heun, walk
from hush.samplers.grids import LogSNR
from hush.schedules import EDM, Rectified, VariancePreserving
from hush.testing import GaussianMixture, MixtureDenoiser

EVENT = 3
BELIEFS = [
    (VariancePreserving(), V()),
    (VariancePreserving(), Noise()),
    (EDM(3.0), Preconditioned(0.7)),
    (Rectified(), Velocity()),
]
in_every_way = pytest.mark.parametrize(
    ("schedule", "says"), BELIEFS, ids=lambda part: type(part).__name__
)


class Steered(nn.Module):
    """A small perceptron of x and the clock, in the shape of x."""

    def __init__(self, event=EVENT, width=32, clock=1e-3, seed=0):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.layers = nn.Sequential(
                nn.Linear(event + 1, width),
                nn.SiLU(),
                nn.Linear(width, width),
                nn.SiLU(),
                nn.Linear(width, event),
            )
        self.scale = clock

    def forward(self, x, clock, cond=None):
        told = torch.cat((x, self.scale * clock.unsqueeze(1)), 1)
        return self.layers(told)


class Silent(nn.Module):
    def forward(self, x, clock, cond=None):
        return 0.0 * x


def random_energy(schedule, says):
    return Conservative(GaussianProcess(schedule), Steered().double(), says)


def states(count=5, seed=0):
    return Streams.of(seed, count).normal((EVENT,), torch.float64)


@in_every_way
@pytest.mark.parametrize("time", [0.05, 0.5, 0.9])
def test_its_score_has_no_curl_and_another_networks_has(schedule, says, time):
    """The Jacobian of (α x̂_0 - x)/σ² is symmetric, in float64 to 1e-10 of its size."""
    level = schedule.level(time)

    def curl(denoiser, x):
        def score(x):
            return (level.alpha * denoiser(x.unsqueeze(0), level).mean[0] - x) / level.sigma**2

        jacobian = torch.autograd.functional.jacobian(score, x)
        return ((jacobian - jacobian.mT).abs().max() / jacobian.abs().max()).item()

    free = GaussianDenoiser(GaussianProcess(schedule), Steered().double(), says)
    for x in states():
        assert curl(random_energy(schedule, says), x) < 1e-10
        assert curl(free, x) > 1e-5


@in_every_way
def test_the_belief_is_the_slope_of_the_log_density(schedule, says):
    """By differentiating it, and by finite differences of fourth order."""
    denoiser, x = random_energy(schedule, says), states().requires_grad_()
    times = torch.tensor([0.05, 0.2, 0.5, 0.8, 0.95], dtype=torch.float64)
    alpha, sigma = (part.unsqueeze(1) for part in schedule(times))
    score = (alpha * denoiser(x, times).mean - x) / sigma**2
    (slope,) = torch.autograd.grad(denoiser.log_density(x, times).sum(), x)
    torch.testing.assert_close(score, slope, rtol=1e-9, atol=1e-9)
    with torch.no_grad():
        along, h = states(seed=1), 1e-3
        values = [denoiser.log_density(x + k * h * along, times) for k in (-2, -1, 1, 2)]
        rise = (values[0] - 8.0 * values[1] + 8.0 * values[2] - values[3]) / (12.0 * h)
    torch.testing.assert_close(rise, (score * along).sum(1).detach(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("schedule", "says", "variance"),
    [
        (VariancePreserving(), V(), 1.0),
        (VariancePreserving(), Preconditioned(0.7), 0.49),
        (EDM(3.0), V(), 1.0),
        (EDM(3.0), Preconditioned(0.7), 0.49),
    ],
)
def test_a_silent_network_believes_in_gaussian_data(schedule, says, variance):
    data = GaussianMixture.of([1.0], [[0.0] * EVENT], [variance])
    exact = MixtureDenoiser(GaussianProcess(schedule), data)
    silent, x = Conservative(GaussianProcess(schedule), Silent(), says), states()
    for time in (0.01, 0.4, 1.0):
        level = schedule.level(time)
        torch.testing.assert_close(silent(x, level).mean, exact(x, level).mean)
        known = data.log_prob(x, level)
        said = silent.log_density(x, level)
        torch.testing.assert_close(said - said[0], known - known[0], rtol=1e-9, atol=1e-9)


def test_it_is_asked_by_samplers_that_want_no_gradients():
    """The same belief, with nothing kept; sample by sample the same in any batch."""
    denoiser, x = random_energy(VariancePreserving(), V()), states()
    wanted = denoiser(x, 0.3).mean
    assert wanted.requires_grad
    with torch.no_grad():
        silent = denoiser(x, 0.3).mean
        parts = torch.cat([denoiser(part, 0.3).mean for part in x.split(2)])
    assert not silent.requires_grad
    assert not x.requires_grad
    assert all(weight.grad is None for weight in denoiser.parameters())
    torch.testing.assert_close(silent, wanted.detach(), rtol=1e-14, atol=1e-15)
    torch.testing.assert_close(parts, silent, rtol=1e-12, atol=1e-12)


def test_guidance_can_differentiate_the_belief():
    """∂x̂_0/∂x_t, as guidance by a likelihood asks, is that of finite differences."""
    denoiser, x = random_energy(EDM(3.0), Preconditioned(0.7)), states().requires_grad_()
    along, weigh, h = states(seed=1), states(seed=2), 1e-4
    (slope,) = torch.autograd.grad((denoiser(x, 0.3).mean * weigh).sum(), x)
    with torch.no_grad():
        rise = (denoiser(x + h * along, 0.3).mean - denoiser(x - h * along, 0.3).mean) / (2.0 * h)
    torch.testing.assert_close((slope * along).sum(1), (rise * weigh).sum(1), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("objective", [Denoising(), SlicedScoreMatching()], ids=["dsm", "ssm"])
def test_training_moves_the_weights_down_the_loss(objective):
    """The gradient of the loss in the weights is that of finite differences."""
    denoiser, x_0, rng = random_energy(VariancePreserving(), V()), states(), Streams.of(1, 5)
    loss = objective(denoiser, x_0, rng).mean()
    weights = [*denoiser.parameters()]
    slopes = torch.autograd.grad(loss, weights, allow_unused=True)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        along = [torch.randn_like(weight) for weight in weights]
    wanted = sum((a * s).sum() for a, s in zip(along, slopes, strict=True) if s is not None)
    ends, h = [], 1e-5
    for sign in (1.0, -2.0, 1.0):
        with torch.no_grad():
            for weight, a in zip(weights, along, strict=True):
                weight += sign * h * a
            ends.append(objective(denoiser, x_0, rng).mean())
    torch.testing.assert_close((ends[0] - ends[1]) / (2.0 * h), wanted, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("kind", ["unet", "dit"])
def test_a_network_with_attention_and_classes_learns_an_energy(kind):
    """Attention's fast kernels cannot be differentiated twice; the classes bend the energy."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        if kind == "unet":
            network = UNet(1, 8, (1, 2), 1, (0, 1), condition=Labels(3, 32)).double()
        else:
            network = DiT(1, 16, 2, head=8, condition=Labels(3, 64)).double()
        for weight in network.parameters():
            weight.data += 0.05 * torch.randn_like(weight)
    denoiser = Conservative(GaussianProcess(VariancePreserving()), network)
    x = Streams.of(0, 2).normal((1, 5, 6), torch.float64)
    cond = torch.tensor([0, 2])
    belief = denoiser(x, 0.4, cond).mean
    (belief**2).mean().backward()
    assert all(torch.isfinite(w.grad).all() for w in network.parameters() if w.grad is not None)
    assert network.stem.weight.grad.abs().max() > 0.0
    other = denoiser(x, 0.4, torch.tensor([1, 2])).mean
    assert not torch.allclose(other[0], belief[0])
    torch.testing.assert_close(other[1], belief[1])
    level, along = denoiser.process.schedule.level(0.4), torch.randn_like(x)
    with torch.no_grad():
        h = 1e-5
        rise = denoiser.log_density(x + h * along, 0.4, cond)
        rise = (rise - denoiser.log_density(x - h * along, 0.4, cond)) / (2.0 * h)
        score = (level.alpha * belief - x) / level.sigma**2
    torch.testing.assert_close((score * along).flatten(1).sum(1), rise, rtol=1e-5, atol=1e-6)


def test_the_potential_is_zero_where_the_network_is():
    x = states()
    assert torch.equal(Gradient(Silent())(x, torch.zeros(len(x))), torch.zeros_like(x))


@pytest.fixture(scope="module")
def learned():
    """An energy taught on three Gaussians in the plane."""
    mixture = GaussianMixture.of(
        [0.2, 0.5, 0.3], [[-1.0, -0.6], [0.9, 0.4], [-0.5, 1.2]], [0.15, 0.2, 0.1]
    )
    denoiser = Conservative(GaussianProcess(VariancePreserving()), Steered(2, 64))
    adam, objective = torch.optim.Adam(denoiser.parameters(), 5e-3), Denoising()
    for step in range(400):
        adam.param_groups[0]["lr"] = 5e-3 * (1.0 - step / 400)
        rng = Streams.of(0, 256, start=256 * step)
        objective(denoiser, mixture.sample(rng.branch("data")).float(), rng).mean().backward()
        adam.step()
        adam.zero_grad()
    return denoiser, mixture


@pytest.mark.parametrize("time", [0.2, 0.4, 0.7])
def test_a_trained_energy_is_the_log_density_but_for_a_constant(learned, time):
    """Where the data are: R² of the differences above 0.95."""
    denoiser, mixture = learned
    level = denoiser.process.schedule.level(time)
    rng = Streams.of(5, 2000)
    x = denoiser.process.marginal(mixture.sample(rng), level).sample(rng.next(5))
    with torch.no_grad():
        gap = denoiser.log_density(x.float(), level).double() - mixture.log_prob(x, level)
    explained = 1.0 - gap.var() / mixture.log_prob(x, level).var()
    assert explained > 0.95


def test_a_trained_energy_samples_its_data(learned):
    denoiser, mixture = learned
    rng = Streams.of(8, 1500)
    levels = LogSNR(20)(denoiser.process.schedule)
    with torch.no_grad():
        *_, last = walk(Heun(), denoiser, rng.normal((2,)), levels, rng.next())
    x = last.x.double()
    torch.testing.assert_close(x.mean(0), mixture.mean, rtol=0, atol=0.1)
    torch.testing.assert_close(torch.cov(x.mT), mixture.covariance, rtol=0, atol=0.15)
    nearest = torch.cdist(x, mixture.means).argmin(1)
    shares = torch.bincount(nearest, minlength=3) / len(x)
    torch.testing.assert_close(shares.double(), mixture.weights, rtol=0, atol=0.06)


def test_a_trained_energy_bounds_the_likelihood_of_its_data(learned):
    """Above the entropy, and by little: like any other belief, gradients or none."""
    denoiser, mixture = learned
    x_0 = mixture.sample(Streams.of(9, 1500))
    with torch.no_grad():
        terms = continuous(denoiser, x_0.float(), Streams.of(10, 1500), start=1e-2, draws=16)
    gap = terms.total.double() + mixture.log_prob(x_0)
    error = gap.std() / 1500**0.5
    assert gap.mean() > -3 * error
    assert gap.mean() < 0.3
