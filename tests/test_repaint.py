"""RePaint's laws: what is known comes back, and O12, the bias it has and how repeats shrink it."""

from itertools import pairwise

import pytest
import torch

from hush.denoisers import Denoiser
from hush.distributions import Gaussian
from hush.processes import GaussianProcess
from hush.rng import Streams
from hush.samplers import Ancestral, Jumps, Multistep, RePaint, walk
from hush.samplers.grids import Chain, Uniform
from hush.schedules import Tabulated

RHO = 0.8


class Correlated(Denoiser):
    """The exact belief of a bivariate unit Gaussian of correlation ρ (its mean, as a network's):
    E[x_0 | x_t] = α Σ (α² Σ + σ² I)⁻¹ x_t."""

    def __init__(self, schedule):
        super().__init__()
        self.process = GaussianProcess(schedule)
        self.sigma = torch.tensor([[1.0, RHO], [RHO, 1.0]], dtype=torch.float64)

    def forward(self, x_t, t, cond=None):
        spread = t.alpha**2 * self.sigma + t.sigma**2 * torch.eye(2, dtype=torch.float64)
        gain = t.alpha * self.sigma @ torch.linalg.inv(spread)
        return Gaussian(x_t @ gain.T)


def drawn(sampler, grid, chain, count):
    rng = Streams.of(12, count)
    levels = grid(chain)
    *_, last = walk(sampler, Correlated(chain), rng.normal((2,), torch.float64), levels, rng.next())
    return last.x


MASK = torch.tensor([True, False])
KNOWN = torch.tensor([1.5, 0.0], dtype=torch.float64)


@pytest.mark.parametrize(
    ("repeats", "mean", "variance"), [(1, 0.748, 0.481), (2, 0.943, 0.411), (5, 1.091, 0.354)]
)
def test_the_bias_of_replacement_is_o12s(repeats, mean, variance):
    """Known x_1 = 1.5; x_2 has exactly mean 1.2 and variance 0.36. T = 250, jumps of 10."""
    chain = Tabulated.linear(250)
    count = 6000
    x = drawn(RePaint(Ancestral(1.0), KNOWN, MASK), Jumps(250, Chain(), 10, repeats), chain, count)
    assert torch.equal(x[:, 0], torch.full((count,), 1.5, dtype=torch.float64))
    assert x[:, 1].mean().item() == pytest.approx(mean, abs=3.5 * (variance / count) ** 0.5 + 5e-4)
    assert x[:, 1].var().item() == pytest.approx(variance, rel=3.5 * (2 / count) ** 0.5 + 2e-3)


def test_jumps_visit_the_steps_of_the_published_schedule():
    """Ten steps, jumps of 3, twice: the steps left are 10 9 8 7 | back to 10 …, as its code has it
    (turns where the steps left, less one, are 6, 3 and 0)."""
    path = Jumps(10, Uniform(), length=3, repeats=2).visits()
    left = [10 - place for place in path]
    assert left == [
        10, 9, 8, 7, 8, 9, 10, 9, 8, 7, 6, 5, 4, 5, 6, 7, 6, 5, 4, 3, 2, 1, 2, 3, 4, 3, 2, 1, 0,
    ]  # fmt: skip
    assert Jumps(10, Uniform(), length=3, repeats=1).visits() == list(range(11))
    assert all(abs(a - b) == 1 for a, b in pairwise(path))


@pytest.mark.parametrize("inner", [Ancestral(0.0), Multistep(3)])
def test_with_nothing_known_and_no_jumps_it_is_its_inner_sampler(inner):
    chain = Tabulated.linear(100)
    wrapped = drawn(RePaint(inner), Jumps(20, Uniform(), 5, 1), chain, 50)
    assert torch.equal(wrapped, drawn(inner, Uniform(20), chain, 50))


@pytest.mark.parametrize("inner", [Ancestral(1.0), Multistep(2)])
def test_what_is_known_comes_back_exactly_whatever_the_sampler(inner):
    chain = Tabulated.linear(100)
    known = torch.tensor([[0.3, 9.0]], dtype=torch.float64)
    x = drawn(RePaint(inner, known, MASK), Jumps(20, Uniform(), 5, 3), chain, 30)
    assert torch.equal(x[:, 0], torch.full((30,), 0.3, dtype=torch.float64))
    assert x[:, 1].std() > 0.1
