"""The adaptive solver: errors follow the tolerance, each sample has its own steps."""

import functools

import pytest
import torch

from hush.denoisers import GaussianDenoiser, parameterisations
from hush.errors import UserError
from hush.networks import UNet
from hush.processes import GaussianProcess
from hush.rng import Streams
from hush.samplers import walk
from hush.samplers.adaptive import Adaptive
from hush.samplers.grids import Uniform
from hush.schedules import (
    EDM,
    Cosine,
    Rectified,
    Tabulated,
    VarianceExploding,
    VariancePreserving,
    zero_terminal_snr,
)
from hush.testing import GaussianMixture, MixtureDenoiser, flow_map

MIXTURE = GaussianMixture.of(
    [0.3, 0.5, 0.2], [[-1.5, 0.5], [1.0, 1.0], [0.5, -1.5]], [0.3, 0.2, 0.4]
)
TIGHT = GaussianMixture.of(
    [0.3, 0.5, 0.2], [[-1.5, 0.5], [1.0, 1.0], [0.5, -1.5]], [4e-4, 2e-4, 1e-4]
)
SCHEDULES = [VariancePreserving(), Cosine(), EDM(), Rectified(), Tabulated.linear()]
OTHERS = [VarianceExploding(), zero_terminal_snr(Tabulated.linear()), Tabulated((0.1, 0.5, 0.9))]


def named(value):
    return type(value).__name__


def exact(schedule, mixture=MIXTURE):
    return MixtureDenoiser(GaussianProcess(schedule), mixture, spread=False)


@functools.cache
def noise(schedule, mixture=MIXTURE, count=8):
    rng = Streams.of(6, count)
    return GaussianProcess(schedule).marginal(mixture.sample(rng), 1.0).sample(rng.next(2))


@functools.cache
def reference(schedule, mixture):
    return flow_map(mixture, noise(schedule, mixture), schedule.level(1.0))


def last(sampler, denoiser, x, levels, cond=None):
    *_, state = walk(sampler, denoiser, x, levels, Streams.of(0, len(x)), cond)
    return state


@pytest.mark.parametrize("mixture", [MIXTURE, TIGHT], ids=["wide", "tight"])
@pytest.mark.parametrize("schedule", [*SCHEDULES, *OTHERS], ids=named)
def test_the_error_follows_the_tolerance_in_a_grid_of_one_step(schedule, mixture):
    """S04 among it: below 1e-6 at a tolerance of 1e-8."""
    x, levels, before = noise(schedule, mixture), Uniform(1)(schedule), 0
    for tolerance in (1e-2, 1e-4, 1e-6, 1e-8):
        state = last(Adaptive(tolerance, tolerance), exact(schedule, mixture), x, levels)
        error = (state.x - reference(schedule, mixture)).abs().max().item()
        assert error < 60.0 * tolerance
        spent = state.memory.evaluations.double().mean().item()
        assert before < spent < 100.0 * tolerance**-0.125
        before = spent


@pytest.mark.parametrize("steps", [2, 5])
def test_the_grid_is_only_where_it_is_seen(steps):
    schedule = Cosine()
    states = walk(Adaptive(1e-8, 1e-8), exact(schedule), noise(schedule), Uniform(steps)(schedule),
                  Streams.of(0, 8))  # fmt: skip
    for state in states:
        end = flow_map(MIXTURE, state.x, state.t)
        torch.testing.assert_close(end, reference(schedule, MIXTURE), rtol=0, atol=1e-6)


def test_single_precision_reaches_its_tolerance():
    schedule = VariancePreserving()
    state = last(Adaptive(), exact(schedule), noise(schedule).float(), Uniform(1)(schedule))
    assert state.x.dtype == torch.float32
    assert (state.x - reference(schedule, MIXTURE)).abs().max() < 1e-3


class Counting(MixtureDenoiser):
    """Counts how many samples it is asked about, and in how many calls."""

    samples = calls = 0

    def forward(self, x_t, t, cond=None):
        assert len(t.time) == len(t.alpha) == len(x_t)
        assert cond is None or len(cond) == len(x_t)
        assert (t.sigma > 0.0).all()
        self.samples, self.calls = self.samples + len(x_t), self.calls + 1
        return super().forward(x_t, t, cond)


@pytest.mark.parametrize("steps", [1, 4])
def test_it_says_what_it_spent_and_asks_no_more_about_those_who_arrived(steps):
    schedule = Cosine()
    denoiser = Counting(GaussianProcess(schedule), MIXTURE, spread=False)
    state = last(Adaptive(), denoiser, noise(schedule), Uniform(steps)(schedule))
    spent = state.memory.evaluations
    assert spent.sum().item() == denoiser.samples
    assert spent.min() < spent.max()
    assert denoiser.samples < len(spent) * denoiser.calls


def test_a_sample_does_not_depend_on_its_batch():
    schedule, cond = EDM(), torch.arange(8) % 3
    levels, x = Uniform(1)(schedule), noise(schedule)
    whole = last(Adaptive(), exact(schedule), x, levels, cond)
    for k in range(8):
        one = last(Adaptive(), exact(schedule), x[k : k + 1], levels, cond[k : k + 1])
        torch.testing.assert_close(one.x[0], whole.x[k], rtol=0, atol=1e-12)
        assert one.memory.evaluations.item() == whole.memory.evaluations[k]


def test_it_draws_what_is_conditioned_on():
    """With one component each, the flow of a Gaussian: x_0 = μ + √(v/(α² v + σ²)) (x - α μ)."""
    schedule, cond = Cosine(), torch.arange(8) % 3
    x, end = noise(schedule), schedule.level(1.0)
    mean, variance = MIXTURE.means[cond], MIXTURE.variances[cond].unsqueeze(1)
    scale = (variance / (end.alpha**2 * variance + end.sigma**2)).sqrt()
    state = last(Adaptive(1e-8, 1e-8), exact(schedule), x, Uniform(1)(schedule), cond)
    wanted = mean + scale * (x - end.alpha * mean)
    torch.testing.assert_close(state.x, wanted, rtol=0, atol=1e-6)


def test_a_straight_flow_takes_one_step_and_a_landing():
    """Data of one point: one step as far as the landing, two evaluations for that."""
    point = GaussianMixture.of([1.0], [[0.3, -0.8]], [0.0])
    state = last(Adaptive(), exact(Rectified(), point), noise(Rectified()), Uniform(1)(Rectified()))
    assert state.memory.evaluations.tolist() == [1 + 6 + 2] * 8
    torch.testing.assert_close(state.x, point.means.expand(8, 2), rtol=0, atol=1e-12)


def test_networks_are_asked_at_times_of_their_own():
    network = UNet(2, width=8, multipliers=(1,), blocks=1, attention=(), head=8)
    generator = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        parameter.data = 0.05 * torch.randn(parameter.shape, generator=generator)
    for schedule, says in (
        (Cosine(), parameterisations.V()),
        (EDM(), parameterisations.EDM()),
        (Rectified(), parameterisations.Velocity()),
    ):
        denoiser = GaussianDenoiser(GaussianProcess(schedule), network.eval(), says)
        x = denoiser.process.prior((3, 2, 5, 6), torch.empty(0)).sample(Streams.of(1, 3))
        with torch.no_grad():
            rough, fine = (
                last(Adaptive(tolerance, tolerance), denoiser, x, Uniform(1)(schedule)).x
                for tolerance in (1e-3, 1e-5)
            )
        torch.testing.assert_close(rough, fine, rtol=0, atol=0.05)


def test_what_cannot_be_met_is_said():
    schedule = Cosine()
    x, levels = noise(schedule), Uniform(1)(schedule)
    with pytest.raises(UserError, match="3 attempts"):
        last(Adaptive(1e-9, 1e-9, attempts=3), exact(schedule), x, levels)
    with pytest.raises(UserError, match="attempts"):
        last(Adaptive(attempts=50), exact(schedule), x * torch.nan, levels)
    with pytest.raises(UserError, match="atol > 0"):
        Adaptive(atol=0.0)
