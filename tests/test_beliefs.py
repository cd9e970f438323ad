"""An exact belief is calibrated at every level; one wrong by a known factor is told by it."""

from dataclasses import replace

import pytest
import torch

import hush
from hush.data import InMemory
from hush.evaluation import believed
from hush.networks import Backbone
from hush.processes import CategoricalProcess, GaussianProcess
from hush.processes.kernels import Uniform
from hush.rng import Streams
from hush.schedules import Tabulated, VariancePreserving
from hush.testing import GaussianMixture, JointTable, MixtureDenoiser, TableDenoiser

torch.set_num_threads(1)
SMALL = Backbone(width=8, multipliers=(1,), blocks=1, attention=())
SHAPE = (1, 2, 2)
MIXTURE = GaussianMixture.of(
    [0.3, 0.7], [[[[-0.8, 0.2], [0.5, 0.0]]], [[[0.6, -0.4], [0.0, 0.3]]]], [0.02, 0.05]
)
GAUSSIAN = GaussianMixture.of([1.0], [[[[0.1, 0.2], [0.3, -0.2]]]], [0.3])


class Wrong(MixtureDenoiser):
    """The exact belief, its mean brought nearer to that of the data or its variance scaled."""

    def __init__(self, process, mixture, mean=1.0, variance=1.0, spread=True):
        super().__init__(process, mixture, spread)
        self.scales = mean, variance

    def forward(self, x_t, t, cond=None):
        belief = super().forward(x_t, t, cond)
        centre = self.mixture.mean.to(belief.mean)
        mean = centre + self.scales[0] * (belief.mean - centre)
        return replace(belief, mean=mean, variance=self.scales[1] * belief.variance)


def beliefs(mixture, count=500, levels=8, seed=0, **wrong):
    """What is believed of a system whose data are the mixture, held within ±3 by its codec."""
    denoiser = Wrong(GaussianProcess(VariancePreserving()), mixture, **wrong)
    denoiser.register_parameter("anchor", torch.nn.Parameter(torch.zeros(())))
    system = hush.systems.ddpm(SHAPE, (), SMALL, clip=False)
    codec = system.codec.fit([torch.tensor([0.0, 1.0])])
    codec.scale.fill_(1.0 / 6.0)
    codec.shift.fill_(0.5)
    data = mixture.sample(Streams.of(3 + seed, count)).float() / 6.0 + 0.5
    system = replace(system, denoiser=denoiser, codec=codec)
    return believed(system, InMemory(data.clamp(0.0, 1.0)), levels, seed=seed)


@pytest.mark.parametrize("mixture", [MIXTURE, GAUSSIAN], ids=["mixture", "gaussian"])
def test_an_exact_belief_has_slope_1_and_the_spread_it_tells(mixture):
    found = beliefs(mixture)
    assert len(found) == 8
    for one in found:
        assert abs(one.slope[0] - 1.0) < 4.0 * one.slope[1]
        assert abs(one.spread[0] - 1.0) < 4.0 * one.spread[1]
        assert one.gain < 0.05
        if mixture is GAUSSIAN:  # of a mixture the belief is no Gaussian
            assert abs(one.covered[0] - 0.9) < 4.0 * one.covered[1]
    assert min(one.slope[1] for one in found) < 0.01


def test_errors_over_many_sets_are_as_large_as_told():
    """The standard errors are those that the numbers show."""
    sets = [beliefs(GAUSSIAN, 120, levels=4, seed=seed) for seed in range(30)]
    found = torch.tensor([[(one.slope, one.spread) for one in each] for each in sets])
    values, errors = found.unbind(-1)  # (set, level, what)
    off = (values - 1.0) / errors
    assert off.square().mean().sqrt() == pytest.approx(1.0, abs=0.25)


@pytest.mark.parametrize("factor", [0.5, 3.0])
def test_a_variance_that_is_wrong_by_a_factor_is_told_by_it(factor):
    for one in beliefs(MIXTURE, variance=factor):
        assert abs(one.spread[0] - 1.0 / factor) < 4.0 * one.spread[1]
        assert abs(one.slope[0] - 1.0) < 4.0 * one.slope[1]


@pytest.mark.parametrize("factor", [0.8, 1.25])
def test_a_mean_that_says_too_little_or_too_much_is_told_by_its_factor(factor):
    found = beliefs(MIXTURE, mean=factor)
    for one in found:
        assert abs(one.slope[0] - 1.0 / factor) < 4.0 * one.slope[1]
    assert max(one.gain for one in found) > 0.1


def test_a_belief_without_a_variance_has_a_slope_alone():
    found = beliefs(MIXTURE, spread=False)
    assert all(one.spread is None and one.covered is None for one in found)
    assert all(abs(one.slope[0] - 1.0) < 4.0 * one.slope[1] for one in found)


def test_beliefs_over_tokens_are_weighed_by_their_probabilities():
    p = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
    joint = p
    for _ in range(3):
        joint = joint.unsqueeze(-1) * p
    table = JointTable(joint)
    tokens = table.sample(Streams.of(1, 400)).reshape(-1, *SHAPE)

    class Flat(TableDenoiser):
        def forward(self, x_t, t, cond=None):
            belief = super().forward(x_t.flatten(1), t, cond)
            return replace(belief, logits=belief.logits.reshape(*x_t.shape, -1))

    denoiser = Flat(CategoricalProcess(Tabulated(Tabulated.cosine(30).betas), Uniform(4)), table)
    denoiser.register_parameter("anchor", torch.nn.Parameter(torch.zeros(())))
    system = replace(hush.systems.d3pm(SHAPE, (), levels=4, chain=30), denoiser=denoiser)
    source = InMemory((tokens.double() / 3).float(), levels=4)
    for one in believed(system, source):
        assert abs(one.slope[0] - 1.0) < 4.0 * one.slope[1]
        assert abs(one.spread[0] - 1.0) < 4.0 * one.spread[1]


def test_few_records_tell_nothing():
    assert beliefs(MIXTURE, count=3) == ()
