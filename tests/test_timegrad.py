"""TimeGrad: paths drawn stamp by stamp have the law of what makes them, and nobody looks ahead."""

import pandas
import pytest
import torch
from torch import nn
from windows import windows

from hush import systems
from hush.data import series
from hush.denoisers import Denoiser
from hush.distributions import Gaussian
from hush.evaluation.autoregression import Autoregression
from hush.rng import Streams
from hush.samplers import Multistep
from hush.tasks.forecast import forecast

MATRIX = torch.tensor([[0.8, -0.3], [0.2, 0.6]], dtype=torch.float64)
COVARIANCE = torch.tensor([[0.5, 0.2], [0.2, 0.3]], dtype=torch.float64)


class Exact(Denoiser):
    """The belief about the next stamp of a vector autoregression, x ~ N(A x_before, Q)."""

    def __init__(self, process):
        super().__init__()
        self.process, self.network = process, nn.Linear(1, 1)

    def forward(self, x_t, t, cond=None):
        level, m = self.process.schedule.level(t), cond["series"][..., -2].double() @ MATRIX.T
        noised = level.alpha**2 * COVARIANCE + level.sigma**2 * torch.eye(2).double()
        gain = level.alpha * torch.linalg.solve(noised, COVARIANCE)
        mean = (m + (x_t[..., 0].double() - level.alpha * m) @ gain).unsqueeze(-1).to(x_t)
        return Gaussian(mean, torch.zeros_like(mean))


def small(shape=(2, 8), **settings):
    torch.manual_seed(3)
    system = systems.timegrad(shape, cells=6, layers=2, width=4, depth=2, chain=100, **settings)
    for parameter in system.denoiser.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return system


def test_paths_of_an_exact_autoregression_have_its_predictive_law():
    # The paper's chain ends with α = 0.08, where a walk starts from 0; this one ends at noise.
    system, count = small(beta_last=0.03), 3000
    object.__setattr__(system, "denoiser", Exact(system.denoiser.process))
    past = windows(1, 2, 6, missing=0.0)["series"][0] / 5.0
    data = pandas.DataFrame({"time": range(6), "a": past[0].numpy(), "b": past[1].numpy()})
    found = forecast(system, data, 4, count, 1, Multistep(), 40, batch=count).samples[0].double()
    model = Autoregression(torch.zeros(2).double(), MATRIX.unsqueeze(0), COVARIANCE)
    mean, spread = model.predictive(past.double(), 4)
    for k in range(4):
        error = (spread[k].diagonal() / count).sqrt()
        assert ((found[..., k].mean(0) - mean[:, k]).abs() < 4.0 * error).all()
        torch.testing.assert_close(found[..., k].T.cov(), spread[k], atol=0.08, rtol=0.08)


@pytest.mark.parametrize("stamp", [0, 1, 4, 7])
def test_a_stamp_is_told_from_those_before_it_alone(stamp):
    """A tell-tale is planted at every stamp from this one on, in the window that training shows."""
    network = small(features=1).denoiser.network.double().eval()
    x, clock = Streams.of(2, 3).normal((2, 8), torch.float64), torch.full((3,), 5.0).double()
    values = windows(3, 2, 8)["series"].double()
    told = torch.arange(8.0).double().expand(3, 1, 8)
    cond, tale = {"series": values, "covariates": told}, values.clone()
    tale[..., stamp:] = 1e3
    answer = network(x, clock, cond)[..., stamp]
    planted = network(x, clock, {**cond, "series": tale})
    assert torch.equal(planted[..., stamp], answer)
    if stamp < 7:
        assert not torch.equal(planted[..., stamp + 1], network(x, clock, cond)[..., stamp + 1])
    short = {key: part[..., : stamp + 1] for key, part in cond.items()}
    alone = network(x[..., stamp : stamp + 1], clock, short)[..., 0]
    torch.testing.assert_close(alone, answer)  # in use it is what training saw


def test_each_stamp_of_a_path_is_told_what_was_drawn_before_it():
    system = small((1, 8))
    data = series(pandas.DataFrame({"time": range(6), "a": [1.0, 2, 1, 3, 2, 1]}), length=1)
    two, one = (forecast(system, data, h, 5, 1, grid=5).samples for h in (2, 1))
    assert torch.equal(two[..., :1], one)
    assert len(two[0, :, 0, 1].unique()) == 5
