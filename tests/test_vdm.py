"""VDM: what its network is shown and told, and that its schedule is trained, averaged and kept."""

import math

import pytest
import torch
from torch import nn

from hush.data import InMemory
from hush.likelihoods.decoders import Density, Nearest
from hush.networks import Backbone
from hush.networks.fourier import Fourier, frequencies_of, widened
from hush.rng import Streams
from hush.schedules import Cosine, Tabulated
from hush.schedules.learned import Learned
from hush.system import Recipe, rebuilt
from hush.systems.vdm import NoiseByLevel, vdm
from hush.testing import check_parameterisation
from hush.training.loop import train
from hush.training.stored import load_into

TINY = Backbone(width=8, multipliers=(1, 2), blocks=1, attention=(1,), dropout=0.1)
SHORT = Recipe(
    batch=8, learning_rate=1e-2, warmup=1, steps=6, held_out=0.2, workers=1, sample_every=100
)


def digits_like(levels=17):
    images = (Streams.of(1, 40).uniform((1, 8, 8)) * (levels - 1)).round() / (levels - 1)
    return InMemory(images.float(), torch.arange(40) % 3, levels=levels)


def system(**kwargs):
    torch.manual_seed(0)
    return vdm((1, 8, 8), (), TINY, **{"levels": 17, **kwargs})


# -- Fourier features ------------------------------------------------------------------------------


class Given(nn.Module):
    def forward(self, x, clock, cond=None):
        return x


def features(x, frequencies):
    joined = Fourier(Given(), frequencies)(x, torch.zeros(len(x)))
    assert joined.shape[1] == widened(x.shape[1], frequencies)
    return joined


def test_features_are_sines_and_cosines_beside_the_data():
    x = torch.linspace(-1.0, 1.0, 24, dtype=torch.float64).reshape(2, 2, 6)
    waves = features(x, (1, 3))
    assert torch.equal(waves[:, :2], x)
    for place, n in enumerate((1, 3)):
        sine, cosine = waves[:, 2 + 4 * place : 6 + 4 * place].chunk(2, 1)
        assert torch.allclose(sine**2 + cosine**2, torch.ones_like(x))
        assert torch.allclose(torch.atan2(sine, cosine).cos(), (2.0**n * math.pi * x).cos())


@pytest.mark.parametrize("levels", [3, 5, 17, 64, 129, 256])
def test_the_chosen_frequencies_tell_neighbouring_levels_apart(levels):
    x = torch.linspace(-1.0, 1.0, levels, dtype=torch.float64).reshape(1, 1, levels)
    gaps = features(x, frequencies_of(levels)).diff(dim=2).norm(dim=1)
    coarser = features(x, tuple(n - 2 for n in frequencies_of(levels))).diff(dim=2).norm(dim=1)
    assert gaps.min() > 2.0  # √6 = |(2, √2)| where (levels - 1)/2 is a power of 2
    assert coarser.max() < 1.25 * gaps.min()


# -- the system ------------------------------------------------------------------------------------


@pytest.mark.parametrize("schedule", [Learned(), Cosine(), Tabulated()], ids=["1", "2", "3"])
def test_the_clock_is_the_noise_level(schedule):
    says = NoiseByLevel(-10.0, 5.0)
    check_parameterisation(says, schedule)
    for gamma, tick in ((-10.0, 0.0), (-4.0, 400.0), (5.0, 1000.0)):
        level = schedule.at_ratio(math.exp(0.5 * gamma))
        assert says.clock(schedule, level) == pytest.approx(tick, abs=1e-6)


def test_the_data_decide_the_decoder_and_the_features():
    assert system().objective.decoder == Nearest(1.0 / 8.0)
    assert system().denoiser.network.frequencies == (2, 3)
    continuous = system(levels=None)
    assert continuous.objective.decoder == Density()
    assert not isinstance(continuous.denoiser.network, Fourier)
    assert not isinstance(system(fourier=False).denoiser.network, Fourier)


@pytest.mark.parametrize("learn", [True, False])
def test_the_schedule_is_trained_averaged_and_stored(tmp_path, learn):
    made = system(learn=learn)
    before = Learned().state_dict()
    trained = train(made, digits_like(), tmp_path / "run", SHORT, show=False)
    schedule = trained.denoiser.process.schedule
    assert schedule is trained.denoiser.schedule is not made.denoiser.schedule
    for name, value in schedule.state_dict().items():
        assert torch.equal(value, before[name]) != learn
    again = rebuilt(vdm, trained.arguments)
    load_into(again.denoiser, again.codec, tmp_path / "run", "ema")
    levels = [made.grid(made.denoiser.process.schedule) for made in (trained, again)]
    assert levels[0] == levels[1]
    assert torch.equal(*(made.sample(3, seed=1, grid=3) for made in (trained, again)))


def test_a_run_that_was_stopped_goes_on_as_if_it_had_not_been(tmp_path):
    whole = train(system(), digits_like(), tmp_path / "whole", SHORT, show=False)
    for steps in (3, 6):
        parts = train(system(), digits_like(), tmp_path / "parts", SHORT, False, steps=steps)
    for one, other in zip(whole.denoiser.parameters(), parts.denoiser.parameters(), strict=True):
        assert torch.equal(one, other)


def test_without_a_network_the_bound_is_that_of_a_blind_guess():
    """The network's first answer is 0, which ε misses by 1 per element: the diffusion term is
    ½(γ_1 - γ_0), whatever the data."""
    made, count = system(gamma_min=-9.0, gamma_max=4.0), 64
    x_0 = Streams.of(0, count).uniform((1, 8, 8)).mul(16).round().div(8).sub(1).float()
    with torch.no_grad():
        loss = made.objective(made.denoiser.eval(), x_0, Streams.of(1, count))
    assert loss.mean().item() == pytest.approx(6.5, abs=0.1)
