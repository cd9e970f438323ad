"""The flow's likelihood: exact where all is known, a density, the same in every schedule."""

import math

import pytest
import torch
from jaxtyping import TypeCheckError

from hush.denoisers import Denoiser, GaussianDenoiser, parameterisations
from hush.distributions import Gaussian
from hush.errors import UserError
from hush.likelihoods.flow import Flow
from hush.networks import UNet
from hush.noise import Coloured
from hush.processes import GaussianProcess
from hush.rng import Streams
from hush.schedules import (
    EDM,
    Cosine,
    Level,
    Rectified,
    SubVP,
    Tabulated,
    VarianceExploding,
    VariancePreserving,
    zero_terminal_snr,
)
from hush.testing import GaussianMixture, MixtureDenoiser, flow_map

PLANE = GaussianMixture.of([0.3, 0.5, 0.2], [[-1.5, 0.5], [1.0, 1.0], [0.5, -1.5]], [0.3, 0.2, 0.4])
LINE = GaussianMixture.of([0.3, 0.7], [[-1.0], [0.8]], [0.2, 0.1])
SCHEDULES = [
    VariancePreserving(),
    Cosine(),
    EDM(),
    SubVP(),
    Rectified(),
    VarianceExploding(),
    Tabulated.linear(),
    zero_terminal_snr(Tabulated.linear()),
]


def named(value):
    return type(value).__name__


def exact(schedule, mixture=PLANE):
    return MixtureDenoiser(GaussianProcess(schedule), mixture, spread=False)


def answered(flow, denoiser, x, cond=None, rng=None):
    """The flow's answer with the exact density of the mixture at its end."""
    mixture, last = denoiser.mixture, denoiser.process.schedule.level(1.0)
    rng = rng or Streams.of(0, len(x))
    return flow(denoiser, x, rng, cond, end=lambda x_1: mixture.log_prob(x_1, last, cond))


@pytest.mark.parametrize("schedule", SCHEDULES, ids=named)
def test_the_density_is_exact_with_the_exact_end(schedule):
    x = PLANE.sample(Streams.of(3, 16))
    density = answered(Flow("exact", tolerance=1e-11, start=1e-6), exact(schedule), x)
    torch.testing.assert_close(density, PLANE.log_prob(x), rtol=0, atol=1e-9)


@pytest.mark.parametrize("tolerance", [1e-3, 1e-5, 1e-7, 1e-9])
def test_the_error_follows_the_tolerance(tolerance):
    x = PLANE.sample(Streams.of(3, 16))
    density = answered(Flow("exact", tolerance=tolerance, start=1e-6), exact(Cosine()), x)
    assert (density - PLANE.log_prob(x)).abs().max() < 100.0 * tolerance


@pytest.mark.parametrize("start", [1e-4, 1e-2, 0.3, 2.0])
def test_it_is_the_density_of_the_data_with_the_noise_of_the_start(start):
    """x/α where σ/α is `start` has the density of x_0 + start·ε, however large that is."""
    x = PLANE.sample(Streams.of(4, 8))
    density = answered(Flow("exact", tolerance=1e-10, start=start), exact(SubVP()), x)
    noised = PLANE.log_prob(x, Level(0.0, 1.0, start))
    torch.testing.assert_close(density, noised, rtol=0, atol=1e-8)


def test_the_start_and_the_end_cost_what_o5_says():
    """Song's process, from t = 1e-5, where σ/α is 1e-3: about 1e-5 for the start, and a prior of
    N(0, 1) for the end costs about 0.006 on two components."""
    denoiser = exact(VariancePreserving(), LINE)
    x = torch.linspace(-1.8, 1.6, 41, dtype=torch.float64).unsqueeze(1)
    start = denoiser.process.schedule.level(1e-5)
    flow = Flow("exact", tolerance=1e-10, start=start.sigma / start.alpha)
    truth = LINE.log_prob(x)
    assert 1e-6 < (answered(flow, denoiser, x) - truth).abs().max() < 3e-5
    off = (flow(denoiser, x, Streams.of(0, 41)) - truth).abs().max().item()
    assert off == pytest.approx(0.006, abs=0.002)


@pytest.mark.parametrize("schedule", [VariancePreserving(), EDM(2.0), Rectified()], ids=named)
def test_the_density_integrates_to_one(schedule):
    """The model's own, from its prior: also where the prior is far from the noised data."""
    x = torch.linspace(-6.0, 6.0, 301, dtype=torch.float64).unsqueeze(1)
    density = Flow("exact", tolerance=1e-9)(exact(schedule, LINE), x, Streams.of(0, 301)).exp()
    assert (density.sum() * 12.0 / 300).item() == pytest.approx(1.0, abs=1e-7)


@pytest.mark.parametrize("schedule", [VariancePreserving(), EDM(2.0)], ids=named)
def test_the_density_is_the_change_of_variables_through_the_flow(schedule):
    """log p_0(F(x_1)) = log prior(x_1) - log |det ∂F/∂x_1|, the Jacobian by differences."""
    denoiser, last, h = exact(schedule), schedule.level(1.0), 3e-4
    prior = denoiser.process.prior((6, 2), torch.empty(0).double())
    x_1 = prior.sample(Streams.of(5, 6))
    moves = h * torch.tensor([0.0, 1.0, -1.0, 2.0, -2.0]).double().reshape(5, 1, 1, 1)
    starts = x_1 + moves * torch.eye(2).double().unsqueeze(1)  # (move, axis, batch, 2)
    x_0 = flow_map(PLANE, starts.reshape(-1, 2), last).reshape(starts.shape)
    jacobian = (8.0 * (x_0[1] - x_0[2]) - (x_0[3] - x_0[4])) / (12.0 * h)
    wanted = prior.log_prob(x_1) - jacobian.transpose(0, 1).det().abs().log()
    flow = Flow("exact", tolerance=1e-10, start=1e-6)
    density = flow(denoiser, x_0[0, 0], Streams.of(0, 6))
    torch.testing.assert_close(density, wanted, rtol=0, atol=1e-7)


def test_random_probes_are_right_on_average_and_more_of_them_err_less():
    x = torch.tensor([[0.6, -0.2]], dtype=torch.float64).expand(400, 2)
    denoiser, rng = exact(VariancePreserving()), Streams.of(8, 400)
    truth = answered(Flow("exact", tolerance=1e-8), denoiser, x[:1]).item()
    variances = []
    for probes in (1, 8):
        guess = answered(Flow(probes=probes, tolerance=1e-8), denoiser, x, rng=rng)
        variances.append(guess.var().item())
        assert abs(guess.mean().item() - truth) < 4.0 * (guess.var().item() / 400) ** 0.5
    assert variances[0] > 1e-4
    assert 5.0 < variances[0] / variances[1] < 12.0


def test_in_one_dimension_a_probe_is_exact():
    x = LINE.sample(Streams.of(3, 16))
    for schedule in (Cosine(), EDM()):
        one, all_of_it = (
            answered(Flow(trace), exact(schedule, LINE), x) for trace in ("hutchinson", "exact")
        )
        assert torch.equal(one, all_of_it)


def test_a_sample_has_its_own_probe_whatever_its_batch():
    x, rng, flow = PLANE.sample(Streams.of(3, 8)), Streams.of(11, 8), Flow(tolerance=1e-9)
    whole = answered(flow, exact(EDM()), x, rng=rng)
    parts = [answered(flow, exact(EDM()), x[k : k + 4], rng=rng[k : k + 4]) for k in (0, 4)]
    torch.testing.assert_close(torch.cat(parts), whole, rtol=0, atol=1e-7)
    assert not torch.allclose(answered(flow, exact(EDM()), x, rng=rng.next()), whole, atol=1e-4)
    assert torch.equal(answered(flow, exact(EDM()), x, rng=rng), whole)


def test_a_condition_has_its_own_density():
    x, cond = PLANE.sample(Streams.of(3, 9)), torch.arange(9) % 4 - 1
    density = answered(Flow("exact", tolerance=1e-9, start=1e-5), exact(Cosine()), x, cond)
    torch.testing.assert_close(density, PLANE.log_prob(x, component=cond), rtol=0, atol=1e-6)


def test_single_precision_reaches_the_tolerance():
    x = PLANE.sample(Streams.of(3, 16))
    density = answered(Flow("exact"), exact(Cosine()), x.float())
    assert density.dtype == torch.float64
    torch.testing.assert_close(density, PLANE.log_prob(x), rtol=0, atol=1e-3)


@pytest.mark.parametrize(
    ("schedule", "says"),
    [
        (Cosine(), parameterisations.V()),
        (EDM(), parameterisations.EDM()),
        (Rectified(), parameterisations.Velocity()),
    ],
    ids=["V", "EDM", "velocity"],
)
def test_networks_under_no_grad_keep_their_state(schedule, says):
    """A U-Net in single precision: tolerances agree, probes are about the exact trace, and neither
    weights nor their gradients are touched."""
    network = UNet(1, width=8, multipliers=(1,), blocks=1, attention=(), head=8).eval()
    generator = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        parameter.data = 0.05 * torch.randn(parameter.shape, generator=generator)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    denoiser = GaussianDenoiser(GaussianProcess(schedule), network, says)
    x, rng = 0.5 * Streams.of(1, 2).normal((1, 3, 3)), Streams.of(2, 2)
    with torch.no_grad():
        rough, fine = (Flow("exact", tolerance=one)(denoiser, x, rng) for one in (1e-2, 1e-4))
        guess = Flow(probes=32, tolerance=1e-2)(denoiser, x, rng)
    torch.testing.assert_close(rough, fine, rtol=0, atol=0.1)
    torch.testing.assert_close(guess, fine, rtol=0, atol=0.5)
    assert all(parameter.grad is None for parameter in network.parameters())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


class Exploding(Denoiser):
    """dy/dτ = y², which leaves for infinity at τ = 1/y; or an answer that is not a number."""

    def __init__(self, factor: float = 1.0) -> None:
        super().__init__()
        self.process, self.factor = GaussianProcess(Rectified()), factor

    def forward(self, x_t, t, cond=None):
        return Gaussian(self.factor * (x_t - t.sigma * x_t**2))


def test_what_cannot_be_answered_is_said():
    x, rng = torch.full((1, 1), 5.0, dtype=torch.float64), Streams.of(0, 1)
    with pytest.raises(UserError, match="not finite"):
        Flow()(Exploding(math.nan), x, rng)
    with pytest.raises(UserError, match="tolerance of 1e-05"):
        Flow()(Exploding(), x, rng)
    coloured = MixtureDenoiser(GaussianProcess(Cosine(), Coloured()), PLANE)
    with pytest.raises(UserError, match="White"):
        Flow()(coloured, x.expand(1, 2), rng)
    with pytest.raises((UserError, TypeCheckError), match="hutchinson"):
        Flow("skilling")
    for wrong in ({"probes": 0}, {"tolerance": 0.0}, {"start": 0.0}):
        with pytest.raises(UserError, match="above 0"):
            Flow(**wrong)
