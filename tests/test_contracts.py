"""Every class of every interface meets its suite; and the suites catch what they are there for."""

import math
from dataclasses import dataclass, field, replace
from typing import ClassVar

import pytest
import torch

from hush import testing
from hush.codecs import Codec, Latent, Levels, PerChannel, Range, Residual, Standard
from hush.denoisers.parameterisations import EDM as Preconditioned
from hush.denoisers.parameterisations import Noise, Parameterisation
from hush.distributions import Gaussian
from hush.errors import UserError
from hush.noise import Centred, Coloured, NoiseLaw, Simplex, White
from hush.objectives.times import LogNormal, Stratified, TimeLaw, Uniform
from hush.objectives.weights import EDM as Balanced
from hush.objectives.weights import MinSNR, Weight
from hush.processes import GaussianProcess
from hush.samplers import Ancestral, Heun, Multistep, Sampler, bases, grids
from hush.samplers.order_agnostic import OrderAgnostic  # of tokens: tests/test_ardm.py
from hush.schedules import (
    EDM,
    Cosine,
    Rectified,
    Schedule,
    Shifted,
    SubVP,
    Tabulated,
    VarianceExploding,
    VariancePreserving,
    absorbing_betas,
    shifted,
    zero_terminal_snr,
)
from hush.tensors import expand, times

SCHEDULES = {
    **{type(schedule).__name__: schedule for schedule in testing.every(Schedule)},
    "cosine chain": Tabulated.cosine(),
    "linear chain of 25": Tabulated.linear(25),
    "chain of 7 steps": Tabulated((0.1, 0.01, 0.5, 0.2, 0.7, 0.3, 0.9)),
    "short cosine": Cosine(-10.0),
    "quiet EDM": EDM(2.0),
    "VP of constant β": VariancePreserving(5.0, 5.0001),
    "short VE": VarianceExploding(0.1, 5.0),
    "shifted cosine": Shifted(Cosine(), 0.5),
    "shifted sub-VP": Shifted(SubVP(), 2.0),
    "shifted chain": shifted(Tabulated.cosine(100), 4.0),
    "chain of zero terminal SNR": zero_terminal_snr(Tabulated.linear()),
    "absorbing chain of 10": Tabulated(absorbing_betas(10)),
}
PARAMETERISATIONS = [*testing.every(Parameterisation), Preconditioned(2.0)]
GRIDS = [
    *testing.every(grids.Grid),
    grids.Chain(spacing="leading"),
    grids.Chain(spacing="linspace"),
    grids.Karras(ratio_min=0.01, rho=3.0),
    grids.LogSNR(ratio_min=1e-3),
]
WEIGHTS = [*testing.every(Weight), MinSNR(1.0), Balanced(2.0)]
TIMES = [*testing.every(TimeLaw), LogNormal(0.4, 0.8), Uniform(0.01), Stratified(LogNormal())]
# Of what loses something: tests/test_latent.py.
INVERTIBLE = [codec for codec in testing.every(Codec) if codec.invertible]
CODECS = [*INVERTIBLE, Standard(1.0), Levels(2), Levels(17)]
NOISES = [*testing.every(NoiseLaw), Coloured(2.0), Coloured(-1.0), Centred(-1), Simplex(3.0, 2)]
NOISE = bases.Noise()
SAMPLERS = [
    *(sampler for sampler in testing.every(Sampler) if not isinstance(sampler, OrderAgnostic)),
    Ancestral(0.0),
    Ancestral(0.5),
    *(Multistep(order) for order in (1, 2)),
]
NOISE_SAMPLERS = [Heun(NOISE), *(Multistep(order, NOISE) for order in (1, 2, 3))]


def over(*values):
    return pytest.mark.parametrize("value", values, ids=repr)


on_every_schedule = pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)


@on_every_schedule
def test_schedule(schedule):
    testing.check_schedule(schedule)


@on_every_schedule
def test_process(schedule):
    testing.check_process(GaussianProcess(schedule))


@over(*NOISES)
def test_noise_law(value):
    testing.check_noise_law(value)


@pytest.mark.parametrize("name", ["Cosine", "EDM", "Tabulated"])
@over(*NOISES)
def test_process_of_every_noise(value, name):
    testing.check_process(GaussianProcess(SCHEDULES[name], value))


@on_every_schedule
@over(*PARAMETERISATIONS)
def test_parameterisation(value, schedule):
    testing.check_parameterisation(value, schedule)


@on_every_schedule
@over(*GRIDS)
def test_grid(value, schedule):
    testing.check_grid(value, schedule)


@on_every_schedule
@over(*testing.every(bases.Basis))
def test_basis(value, schedule):
    testing.check_basis(value, schedule)


@on_every_schedule
@over(*WEIGHTS)
def test_weight(value, schedule):
    testing.check_weight(value, schedule)


@on_every_schedule
@over(*TIMES)
def test_times(value, schedule):
    testing.check_times(value, schedule)


@over(*CODECS)
def test_codec(value):
    testing.check_codec(value)


# A walk sees σ/α alone, so schedules that end alike are one to it: loud, very loud, blind, a chain.
WALKED = ("EDM", "Cosine", "Rectified", "Tabulated")


@pytest.mark.parametrize("name", WALKED)
@over(*SAMPLERS)
def test_sampler(value, name):
    testing.check_sampler(value, SCHEDULES[name])


@pytest.mark.parametrize("name", ["Cosine", "EDM", "VariancePreserving", "Tabulated"])
@over(*NOISE_SAMPLERS)
def test_sampler_in_the_basis_that_needs_signal(value, name):
    testing.check_sampler(value, SCHEDULES[name])


def test_no_grid_refuses_every_schedule_and_only_chains_refuse_any():
    for grid in GRIDS:
        for schedule in SCHEDULES.values():
            if isinstance(grid, grids.Chain) and not isinstance(schedule, Tabulated):
                with pytest.raises(UserError, match="continuous"):
                    grid(schedule)
            elif not isinstance(grid, grids.Chain):
                grid(schedule)
    assert len(grids.Chain(7)(Tabulated())) == 8


# -- a newcomer cannot be left out -----------------------------------------------------------------


def test_every_finds_classes_of_classes_and_of_users_and_no_abstract_ones():
    class Mine(Range):
        pass

    known = {Latent, Levels, PerChannel, Range, Residual, Standard}
    assert {type(codec) for codec in testing.every(Codec)} == known
    mine = testing.every(Codec, module_prefix=("hush.", __name__))
    assert {type(codec) for codec in mine} >= {Range, Standard, Mine}
    assert {type(codec) for codec in testing.every(Codec, __name__)} >= {Mine}


def test_every_says_what_to_do_about_a_class_that_needs_arguments():
    @dataclass(frozen=True)
    class Demanding(Sampler):
        rate: float

        def step(self, denoiser, state, s, cond=None):
            return state

    with pytest.raises(TypeError, match=r"Demanding cannot be made without arguments.*default"):
        testing.every(Sampler, module_prefix=__name__)


# -- the suites catch what they are there for ------------------------------------------------------


def caught(check, *values, words):
    with pytest.raises(AssertionError, match=words):
        check(*values)


@dataclass(frozen=True)
class Wrong(Cosine):
    pass


def test_the_suite_catches_a_schedule_whose_time_is_off():
    class Late(Wrong):
        def time(self, log_snr):
            return (super().time(log_snr) * 1.001).clamp(0.0, 1.0)

    caught(testing.check_schedule, Late(), words="time")


def test_the_suite_catches_a_schedule_whose_rates_are_off():
    class Swapped(Wrong):
        def rates(self, t):
            return super().rates(t)[::-1]

    caught(testing.check_schedule, Swapped(), words="rate")


def test_the_suite_catches_a_schedule_that_rises_again():
    class Wave(Wrong):
        def __call__(self, t):
            return super().__call__(t + 0.2 * (40 * t).sin() * t * (1 - t))

    caught(testing.check_schedule, Wave(), words="fall")


def test_the_suite_catches_a_schedule_that_starts_with_noise():
    class Noisy(Wrong):
        def __call__(self, t):
            return super().__call__(0.01 + 0.99 * t)

    caught(testing.check_schedule, Noisy(), words="t = 0")


def test_the_suite_catches_a_schedule_of_single_precision():
    class Single(Wrong):
        def __call__(self, t):
            return tuple(part.float() for part in super().__call__(t))

    caught(testing.check_schedule, Single(), words="float64")


def test_the_suite_catches_a_process_that_forgets_a_square():
    class Forgetful(GaussianProcess):
        def transition(self, x_s, s, t):
            s, t = self.schedule.level(s), self.schedule.level(t)
            signal = t.alpha / s.alpha
            return Gaussian(expand(signal, x_s) * x_s, t.sigma**2 - signal * s.sigma**2)

    caught(testing.check_process, Forgetful(Cosine()), words="going on")


def test_the_suite_catches_a_reverse_law_without_its_variance():
    class Cold(GaussianProcess):
        def reverse(self, posterior, x_t, s, t, eta=1.0):
            return Gaussian(super().reverse(posterior, x_t, s, t, eta).mean, 0.0)

    caught(testing.check_process, Cold(Cosine()), words="variance")


def test_the_suite_catches_a_process_that_forgets_its_noise_law():
    class WhiteOnTheWay(GaussianProcess):
        def transition(self, x_s, s, t):
            return replace(super().transition(x_s, s, t), noise=White())

    caught(testing.check_process, WhiteOnTheWay(Cosine(), Coloured()), words="a draw of going on")


def test_the_suite_catches_noise_that_is_not_of_unit_size():
    class Loud(Coloured):
        def _power(self, event, device=None):
            return 1.02 * super()._power(event, device)

    class LoudSimplex(Simplex):
        def __call__(self, rng, event, dtype=torch.float32):
            return 1.1 * super().__call__(rng, event, dtype)

    caught(testing.check_noise_law, Loud(), words="variance at an element")
    caught(testing.check_noise_law, LoudSimplex(3.0, 2), words="the variance of")


def test_the_suite_catches_centred_noise_that_counts_a_degree_of_freedom_too_many():
    class Generous(Centred):
        def freedom(self, event):
            return math.prod(event)

    caught(testing.check_noise_law, Generous(), words="degrees of freedom")


def test_the_suite_catches_draws_that_leave_the_space_and_draws_of_another_law():
    class Drifting(Centred):
        def __call__(self, rng, event, dtype=torch.float32):
            return rng.normal(event, dtype)

    class Pale(Coloured):
        def __call__(self, rng, event, dtype=torch.float32):
            return rng.normal(event, dtype)

    caught(testing.check_noise_law, Drifting(), words="in its space")
    caught(testing.check_noise_law, Pale(), words="covariance of whitened draws")


def test_the_suite_catches_a_density_without_its_determinant():
    class Short(Coloured):
        def log_det(self, event):
            return 0.0

    caught(testing.check_noise_law, Short(), words="log_prob")


def test_the_suite_catches_noise_that_mixes_the_samples_of_a_batch():
    class Mixed(White):
        def colour(self, x):
            return x - x.mean(0)

    caught(testing.check_noise_law, Mixed(), words="any part of a batch")


def test_the_suite_catches_a_parameterisation_of_the_wrong_sign():
    class Minus(Noise):
        def belief(self, schedule, level):
            skip, out = super().belief(schedule, level)
            return skip, -out

    for schedule in SCHEDULES.values():
        caught(testing.check_parameterisation, Minus(), schedule, words="exact target")


def test_the_suite_asks_what_an_unknown_parameterisation_means():
    class Unknown(Parameterisation):
        def belief(self, schedule, level):
            return 0.0, 0.5

    class Said(Unknown):
        def target(self, schedule, level, x_0, noise):
            return 2.0 * x_0

    caught(testing.check_parameterisation, Unknown(), Cosine(), words="Nobody has said")
    testing.check_parameterisation(Said(), Cosine())


@dataclass(frozen=True)
class WrongSampler(Sampler):
    basis: bases.Basis = field(default_factory=bases.Velocity)


def test_the_suite_catches_a_heun_whose_average_uses_the_wrong_end():
    class TwiceTheStart(WrongSampler):
        order: ClassVar[int] = 2

        def step(self, denoiser, state, s, cond=None):
            x, t, basis = state.x, state.t, self.basis
            slope = basis.slope(denoiser(x, t, cond), x, t)
            return state.moved(basis.advance(x, t, s, times(0.5, (*slope, *slope))), s)

    class WrongLevel(TwiceTheStart):
        def step(self, denoiser, state, s, cond=None):
            x, t, basis = state.x, state.t, self.basis
            slope = basis.slope(denoiser(x, t, cond), x, t)
            euler = basis.advance(x, t, s, slope)
            if s.sigma == 0.0:
                return state.moved(euler, s)
            end = basis.slope(denoiser(euler, s, cond), euler, t)  # t where it should be s
            return state.moved(basis.advance(x, t, s, times(0.5, (*slope, *end))), s)

    for name in WALKED:
        caught(testing.check_sampler, TwiceTheStart(), SCHEDULES[name], words="claims order 2")
    caught(testing.check_sampler, WrongLevel(), Cosine(), words="claims order 2")


def test_the_suite_catches_a_ddim_that_forgets_to_contract():
    class Loud(WrongSampler):
        def step(self, denoiser, state, s, cond=None):
            x_0, t = denoiser(state.x, state.t, cond).mean, state.t
            noise = (state.x - t.alpha * x_0) / t.sigma
            kept = s.sigma**2 + 0.01 * (t.sigma**2 - s.sigma**2)
            return state.moved(s.alpha * x_0 + kept**0.5 * noise, s)

    caught(testing.check_sampler, Loud(), Cosine(), words="end of a walk")


def test_the_suite_catches_a_ddpm_of_too_much_and_of_too_little_noise():
    class Scaled(WrongSampler):
        share: ClassVar[float] = 1.0

        def step(self, denoiser, state, s, cond=None):
            posterior = denoiser(state.x, state.t, cond)
            law = denoiser.process.reverse(posterior, state.x, s, state.t, 1.0)
            noise = state.rng.normal(tuple(law.mean.shape[1:]), law.mean.dtype)
            return state.moved(law.mean + self.share * law.spread**0.5 * noise, s)

    class TooMuch(Scaled):
        share = 1.15

    class TooLittle(Scaled):
        share = 0.85

    testing.check_sampler(Scaled(), Cosine())
    caught(testing.check_sampler, TooMuch(), Cosine(), words="variance")
    caught(testing.check_sampler, TooLittle(), Cosine(), words="variance")


def test_the_suite_catches_a_sampler_that_remembers_in_itself():
    @dataclass(frozen=True)
    class Leaky(Ancestral):
        eta: float = 0.0
        past: list = field(default_factory=list)

        def step(self, denoiser, state, s, cond=None):
            self.past.append(s)
            return super().step(denoiser, state, s, cond)

    caught(testing.check_sampler, Leaky(), Cosine(), words="change as it walks")


def test_the_suite_catches_a_sampler_whose_batch_shares_its_noise():
    class Shared(WrongSampler):
        def step(self, denoiser, state, s, cond=None):
            moved = Ancestral(0.0).step(denoiser, state, s, cond)
            torch.manual_seed(state.rng.draw)
            return state.moved(moved.x + s.sigma * 0.1 * torch.randn(state.x.shape).double(), s)

    caught(testing.check_sampler, Shared(), Cosine(), words="two halves")


def test_the_suite_catches_a_grid_that_stops_short_of_the_data():
    class Short(grids.Uniform):
        def times(self, schedule):
            return torch.linspace(1.0, 1e-3, self.steps + 1, dtype=torch.float64)

    caught(testing.check_grid, Short(), Cosine(), words="t = 0")


def test_the_suite_catches_a_basis_of_the_wrong_slope():
    class Signed(bases.Velocity):
        def combine(self, x_0, noise, level):
            return x_0 - noise

    caught(testing.check_basis, Signed(), Rectified(), words="a step of")


def test_the_suite_catches_a_weight_that_blows_up_and_one_of_the_wrong_shape():
    class Infinite(Weight):
        def __call__(self, schedule, level):
            return level.sigma / 0.0

    class Single(Weight):
        def __call__(self, schedule, level):
            return level.sigma.mean()

    for cls, words in ((Infinite, "finite"), (Single, "per sample")):
        caught(testing.check_weight, dataclass(frozen=True)(cls)(), Cosine(), words=words)


def test_the_suite_catches_times_that_do_not_follow_their_quantiles():
    @dataclass(frozen=True)
    class Early(Uniform):
        def __call__(self, schedule, rng):
            return super().__call__(schedule, rng) ** 1.2

    caught(testing.check_times, Early(), Cosine(), words="should be drawn below")


def test_the_suite_catches_a_codec_of_the_wrong_scale():
    class Half(Range):
        def log_det(self, event):
            return 0.5 * super().log_det(event)

    class Careless(Range):
        def decode(self, x_0):
            return x_0 * self.scale.to(x_0) + self.shift.to(x_0)

    caught(testing.check_codec, Half(), words="log_det")
    caught(testing.check_codec, Careless(), words="bit for bit|range")
    assert math.isfinite(Range().log_det((2,)))
