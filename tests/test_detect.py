"""Anomalies, where the belief is exact: what a map is of sound pictures and of others is known."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from hush import systems
from hush.denoisers import Denoiser
from hush.distributions import Gaussian
from hush.errors import UserError
from hush.networks import Backbone
from hush.noise import Coloured, Simplex, White
from hush.processes import GaussianProcess
from hush.rng import Streams
from hush.samplers import Ancestral
from hush.schedules import Tabulated
from hush.systems.anoddpm import anoddpm
from hush.tasks.detect import Anomalies, Detect

EVENT, COUNT, VARIANCE = (1, 4, 6), 3000, 0.003
MEAN = torch.linspace(0.4, 0.6, 24, dtype=torch.float64).reshape(EVENT)
BLOB = torch.zeros(EVENT, dtype=torch.float64)
BLOB[:, 1:3, 2:4] = 0.15
LAWS = [White(), Coloured(1.0), Simplex(6.0, 3)]


class Exact(Denoiser):
    """The belief about data of mean `MEAN` and covariance VARIANCE·Σ, with the process's own Σ:
    right in mean and covariance, whatever else the noise is."""

    def __init__(self, process):
        super().__init__()
        self.process, self.network = process, nn.Identity()

    def forward(self, x_t, t, cond=None):
        level = self.process.schedule.level(t)
        share = level.sigma**2 / (level.alpha**2 * VARIANCE + level.sigma**2)
        mean = MEAN + (1.0 - share) / level.alpha * (x_t - level.alpha * MEAN)
        return Gaussian(mean, share * VARIANCE, self.process.noise)


def exact(law):
    """A system that knows everything; its codec, not fitted, changes nothing."""
    torch.manual_seed(0)
    made = systems.ddpm(EVENT, (), Backbone(width=8, multipliers=(1,), blocks=1, attention=()))
    process = GaussianProcess(Tabulated.linear(100), law)
    return replace(made, denoiser=Exact(process), threshold=None)


def pictures(law, seed=0):
    return MEAN + VARIANCE**0.5 * law(Streams.of(seed, COUNT), EVENT, torch.float64)


def close(draws, wanted, what, errors=5.0):
    error = draws.std(0) / len(draws) ** 0.5
    assert ((draws.mean(0) - wanted).abs() < errors * error).all(), what


@pytest.mark.parametrize("steps", [1, 6])
@pytest.mark.parametrize("depth", [0.1, 0.5])
@pytest.mark.parametrize("law", LAWS, ids=repr)
def test_the_map_of_pictures_and_of_anomalies_is_a_closed_form(law, depth, steps):
    """Each x̂ is a draw of the posterior of x_0 given x_t. With s = σ²/(α² v + σ²) its variance is
    v s, and its mean lacks s (x - m) of a picture, but for the noise. So
    E (x - x̂)² = s² (x - m)² + v s (2 - s), and 2 v s over sound pictures, at any number of steps.
    Of every noise law these are the second moments: with another noise than the process's they
    would be others."""
    system, find = exact(law), Detect(depth, steps)
    level = system.denoiser.process.schedule.level(depth)
    share = level.sigma**2 / (level.alpha**2 * VARIANCE + level.sigma**2)
    sound = find(system, pictures(law), seed=1)
    close(sound.map, 2.0 * VARIANCE * share, "sound pictures")
    odd = find(system, (MEAN + BLOB).expand(COUNT, *EVENT), seed=2)
    close(odd.map, share**2 * BLOB**2 + VARIANCE * share * (2.0 - share), "anomalies")
    close(odd.reconstruction, MEAN + (1.0 - share) * BLOB, "what is made in their place")


def test_repeats_average_the_answers_and_the_map():
    """Of r answers the map's mean stays, its variance given the picture falls as 1/r."""
    system, one = exact(White()), (MEAN + BLOB).expand(COUNT, *EVENT)
    once, often = (Detect(0.3, 3, repeats)(system, one) for repeats in (1, 8))
    close(once.map - often.map, torch.zeros(EVENT), "the mean")
    ratio = once.map.var(0).mean() / often.map.var(0).mean()
    assert ratio.item() == pytest.approx(8.0, rel=0.1)
    ratio = once.reconstruction.var(0).mean() / often.reconstruction.var(0).mean()
    assert ratio.item() == pytest.approx(8.0, rel=0.1)


def test_a_deterministic_walk_on_the_belief_s_mean_is_linear():
    """Of data of no variance the answer is their mean, from any depth: the map is the anomaly."""

    class Sure(Exact):
        def forward(self, x_t, t, cond=None):
            return Gaussian(MEAN.expand_as(x_t))

    system = replace(exact(White()), denoiser=Sure(GaussianProcess(Tabulated.linear(100))))
    found = Detect(0.25, 5, sampler=Ancestral(0.0))(system, (MEAN + BLOB)[None])
    torch.testing.assert_close(found.map[0], BLOB**2, rtol=0, atol=1e-12)


@pytest.mark.parametrize("law", LAWS, ids=repr)
def test_what_is_found_does_not_depend_on_the_batch(law):
    system, some = exact(law), pictures(law)[:7]
    whole = Detect(0.25, 4, 2)(system, some, seed=3)
    for batch in (1, 3):
        again = Detect(0.25, 4, 2)(system, some, seed=3, batch=batch)
        assert torch.equal(again.map, whole.map)
    tail = Detect(0.25, 4, 2)(system, some[4:], seed=3, start=4)
    assert torch.equal(tail.map, whole.map[4:])
    assert torch.equal(tail.reconstruction, whole.reconstruction[4:])
    assert not torch.equal(Detect(0.25, 4, 2)(system, some, seed=4).map, whole.map)


def test_the_map_is_the_mean_over_channels_of_a_trained_run(tmp_path):
    torch.manual_seed(1)
    system = anoddpm((3, 8, 8), (), Backbone(width=8, multipliers=(1, 2), blocks=1))
    some = Streams.of(0, 2).uniform((3, 8, 8)).float()
    found = Detect(0.25, 3)(system, some)
    assert found.map.shape == (2, 1, 8, 8)
    torch.testing.assert_close(
        found.map, (some - found.reconstruction).square().mean(1, keepdim=True)
    )
    assert not found.map.requires_grad


def test_the_score_is_the_mean_of_the_most_anomalous_pixels():
    map = torch.arange(200.0).reshape(2, 1, 10, 10)
    found = Anomalies(map, map)
    assert found.score(0.04).tolist() == [97.5, 197.5]
    assert found.score(1e-6).tolist() == [99.0, 199.0]
    torch.testing.assert_close(found.score(1.0), map.mean((1, 2, 3)))
    with pytest.raises(UserError, match=r"share.*got 0"):
        found.score(0.0)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [({"depth": 0.0}, "depth.*got 0"), ({"depth": 1.5}, "depth"), ({"repeats": 0}, "repeats")],
)
def test_numbers_that_mean_nothing_are_refused(arguments, words):
    with pytest.raises(UserError, match=words):
        Detect(**arguments)


def test_what_are_not_pictures_of_the_model_is_refused():
    with pytest.raises(UserError, match=r"\(1, 4, 6\).*\(2, 1, 5, 5\)"):
        Detect(0.25, 2)(exact(White()), torch.zeros(2, 1, 5, 5))
