"""Inversion: data to the noise they came from, and back. DDIM's way about, the reversible one
exactly, whatever the denoiser says."""

import dataclasses
import functools
import math

import pytest
import torch
from scipy.integrate import solve_ivp

from hush import testing
from hush.denoisers import GaussianDenoiser, parameterisations
from hush.errors import UserError
from hush.networks import UNet
from hush.processes import GaussianProcess
from hush.rng import Streams
from hush.samplers import Ancestral, Heun, Multistep, State, bases, walk
from hush.samplers.grids import Chain, Karras, LogSNR, Uniform
from hush.samplers.inversion import Reversible, invert
from hush.samplers.repaint import Jumps
from hush.schedules import EDM, Cosine, Level, Rectified, Tabulated, VariancePreserving
from hush.testing import GaussianMixture, MixtureDenoiser, even_levels, flow_map

MIXTURE = GaussianMixture.of(
    [0.3, 0.5, 0.2], [[-1.5, 0.5], [1.0, 1.0], [0.5, -1.5]], [0.3, 0.2, 0.4]
)
SCHEDULES = [VariancePreserving(), Cosine(), EDM(), Rectified(), Tabulated.linear()]
GRIDS = [Uniform, Uniform, Karras, Uniform, Chain]
STEPS = [1, 2, 5, 10, 50, 200]


def named(value):
    return type(value).__name__


def exact(schedule, mixture=MIXTURE):
    return MixtureDenoiser(GaussianProcess(schedule), mixture, spread=False)


def data(count=8):
    return MIXTURE.sample(Streams.of(9, count))


def inverted(sampler, denoiser, x_0, levels, cond=None):
    *_, state = invert(sampler, denoiser, x_0, levels, Streams.of(0, len(x_0)), cond)
    return state


def down(sampler, denoiser, state, levels, cond=None):
    """A walk from a state, its memory included."""
    *_, last = walk(sampler, denoiser, state, levels, state.rng, cond)
    return last


def there_and_back(sampler, denoiser, x_0, levels, cond=None):
    state = inverted(sampler, denoiser, x_0, levels, cond)
    return (down(sampler, denoiser, state, levels, cond).x - x_0).abs().max().item()


@functools.cache
def flow_up(schedule):
    """Where the flow takes the data at t = 1."""
    x_0, end = data(), schedule.level(1.0)

    def slope(tau, y):
        state, at = torch.from_numpy(y).reshape(x_0.shape), Level(tau, 1.0 - tau, tau)
        noise = -tau * MIXTURE.score(state, at)
        return (noise - MIXTURE.posterior(state, at).mean).flatten().numpy()

    total = end.alpha + end.sigma
    flow = solve_ivp(slope, (0.0, end.sigma / total), x_0.flatten().numpy(), method="DOP853",
                     rtol=1e-12, atol=1e-13)  # fmt: skip
    return total * torch.from_numpy(flow.y[:, -1].copy()).reshape(x_0.shape)


# -- the reversible sampler ------------------------------------------------------------------------


@pytest.mark.parametrize("schedule", SCHEDULES, ids=named)
def test_reversible_meets_the_suite_of_samplers_without_damping_too(schedule):
    testing.check_sampler(Reversible(damping=0.0), schedule)


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize(("schedule", "grid"), list(zip(SCHEDULES, GRIDS, strict=True)), ids=named)
def test_data_come_back_from_the_noise_at_any_number_of_steps(schedule, grid, steps):
    levels = grid(steps)(schedule)
    others = (Reversible(damping=0.0), Reversible(bases.Angular())) if steps <= 50 else ()
    for sampler in (Reversible(), *others):
        assert there_and_back(sampler, exact(schedule), data(), levels) < 1e-10


def test_data_come_back_from_a_thousand_steps():
    schedule = Tabulated.linear()
    assert there_and_back(Reversible(), exact(schedule), data(2), Chain(1000)(schedule)) < 1e-10


WRONG = [
    (VariancePreserving(), parameterisations.Noise(), LogSNR),
    (Cosine(), parameterisations.V(), Uniform),
    (EDM(), parameterisations.EDM(), Karras),
    (Rectified(), parameterisations.Velocity(), Uniform),
    (Tabulated.linear(), parameterisations.Noise(), Chain),
]


@pytest.fixture(scope="module")
def network():
    made = UNet(2, width=8, multipliers=(1,), blocks=1, attention=(), head=8)
    generator = torch.Generator().manual_seed(0)
    for parameter in made.parameters():
        parameter.data = 0.1 * torch.randn(parameter.shape, generator=generator)
    return made.eval()


@pytest.mark.parametrize("steps", [1, 2, 5, 10, 50])
@pytest.mark.parametrize(("schedule", "says", "grid"), WRONG, ids=named)
def test_data_come_back_whatever_an_untrained_network_says(network, schedule, says, grid, steps):
    denoiser = GaussianDenoiser(GaussianProcess(schedule), network.double(), says)
    x_0 = Streams.of(3, 2).normal((2, 5, 6), torch.float64)
    with torch.no_grad():
        assert there_and_back(Reversible(), denoiser, x_0, grid(steps)(schedule)) < 1e-10


@pytest.mark.parametrize(("schedule", "grid"), list(zip(SCHEDULES, GRIDS, strict=True)), ids=named)
def test_single_precision_comes_back_in_single_precision(schedule, grid):
    levels = grid(50)(schedule)
    assert there_and_back(Reversible(), exact(schedule), data().float(), levels) < 2e-5


def test_noise_comes_back_from_the_data_too():
    """The pair at the end of a walk, taken up again, is the pair it began with."""
    schedule, levels, sampler = Cosine(), Uniform(20)(Cosine()), Reversible()
    x = flow_up(schedule)
    *_, state = walk(sampler, exact(schedule), x, levels, Streams.of(0, len(x)))
    for t in reversed(levels[:-1]):
        state = sampler.rise(exact(schedule), state, t)
    torch.testing.assert_close(state.x, x, rtol=0, atol=1e-11)


def test_inverted_states_are_those_of_the_walk_down():
    schedule, levels, sampler = Cosine(), Uniform(9)(Cosine()), Reversible()
    up = list(invert(sampler, exact(schedule), data(), levels, Streams.of(0, 8)))
    assert [state.t for state in up] == levels[::-1]
    assert (up[-1].left, up[-1].steps) == (9, 9)
    state = up[-1]
    for s, same in zip(levels[1:], up[-2::-1], strict=True):
        state = sampler.step(exact(schedule), state, s)
        torch.testing.assert_close(state.x, same.x, rtol=0, atol=1e-11)


def test_every_step_asks_once_and_never_at_the_data():
    class Counting(MixtureDenoiser):
        def forward(self, x_t, t, cond=None):
            asked.append(t)
            return super().forward(x_t, t, cond)

    schedule, asked = Cosine(), []
    levels = Uniform(12)(schedule)
    denoiser = Counting(GaussianProcess(schedule), MIXTURE, spread=False)
    state = inverted(Reversible(), denoiser, data(), levels)
    assert asked == levels[-2:0:-1] or asked == [levels[-2], *levels[-2:0:-1]]
    asked.clear()
    down(Reversible(), denoiser, state, levels)
    assert asked == levels[1:-1]
    assert all(level.sigma > 0.0 for level in asked)


@pytest.mark.parametrize("sampler", [Reversible(), Reversible(damping=0.0), Ancestral(0.0)],
                         ids=repr)  # fmt: skip
@pytest.mark.parametrize("schedule", [Cosine(), EDM(), Rectified()], ids=named)
def test_the_noise_converges_to_the_flows_with_the_order_of_the_sampler(sampler, schedule):
    errors = [
        (inverted(sampler, exact(schedule), data(), even_levels(schedule, steps)).x
         - flow_up(schedule)).norm() for steps in (64, 128)
    ]  # fmt: skip
    assert math.log2(errors[0] / errors[1]) == pytest.approx(sampler.order, abs=0.3)


def test_the_flow_up_undoes_the_flow_down():
    torch.testing.assert_close(
        flow_map(MIXTURE, flow_up(Cosine()), Cosine().level(1.0)), data(), rtol=0, atol=1e-9
    )


def test_inversion_of_part_of_a_grid_and_with_a_condition():
    schedule, cond = Cosine(), torch.arange(8) % 3
    levels = Uniform(20)(schedule)
    for part in (levels[10:], levels[5:15]):
        assert there_and_back(Reversible(), exact(schedule), data(), part, cond) < 1e-11


def test_a_batch_may_be_split():
    schedule, levels = EDM(), Karras(15)(EDM())
    whole = inverted(Reversible(), exact(schedule), data(), levels).x
    parts = [inverted(Reversible(), exact(schedule), part, levels).x for part in data().split(3)]
    torch.testing.assert_close(torch.cat(parts), whole, rtol=0, atol=1e-11)


# -- DDIM ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [10, 50, 100])
def test_ddim_comes_back_with_an_error_the_reversible_sampler_has_not(steps):
    schedule = Tabulated.linear()
    levels = Chain(steps)(schedule)
    usual = there_and_back(Ancestral(0.0), exact(schedule), data(64), levels)
    assert 0.1 / steps < usual < 40.0 / steps
    assert there_and_back(Reversible(), exact(schedule), data(64), levels) < 1e-10


def test_ddims_step_up_is_its_step_down_reversed_where_the_noise_never_changes():
    """Data of one point: the noise is the same all along, and DDIM's inversion exact."""
    point = GaussianMixture.of([1.0], [[0.3, -0.8]], [0.0])
    schedule, levels = Cosine(), Uniform(6)(Cosine())[:-1]
    x = Streams.of(2, 4).normal((2,), torch.float64)
    for sampler in (Ancestral(0.0), Multistep(1), Reversible()):
        assert there_and_back(sampler, exact(schedule, point), x, levels) < 1e-11


# -- errors ----------------------------------------------------------------------------------------


def test_what_cannot_be_inverted_is_refused():
    levels, x_0 = Uniform(4)(Cosine()), data()
    for sampler, path, words in (
        (Ancestral(1.0), levels, "cannot be inverted"),
        (Heun(), levels, "cannot be inverted"),
        (Multistep(2), levels, "cannot be inverted"),
        (Reversible(), levels[:1], "levels that fall"),
        (Reversible(), Jumps(steps=4, length=2, repeats=2)(Cosine()), "levels that fall"),
    ):
        with pytest.raises(UserError, match=words):
            inverted(sampler, exact(Cosine()), x_0, path)


def test_a_latent_goes_back_along_the_levels_it_came_by():
    levels, other = Uniform(4)(Cosine()), Uniform(5)(Cosine())
    state = inverted(Reversible(), exact(Cosine()), data(), levels)
    with pytest.raises(UserError, match="take the levels that it was made with"):
        down(Reversible(), exact(Cosine()), state, other)
    forgetful = dataclasses.replace(state, memory=())
    assert isinstance(down(Reversible(), exact(Cosine()), forgetful, other), State)


def test_reversible_refuses_a_basis_without_an_end_and_negative_damping():
    with pytest.raises(UserError, match="finite at the data"):
        Reversible(bases.Data())
    with pytest.raises(UserError, match="must not be negative"):
        Reversible(damping=-1.0)
