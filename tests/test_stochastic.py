"""Stochastic samplers: weak orders without Monte-Carlo noise, the laws they draw, and their paths.

For Gaussian data the exact denoiser is affine, and so is a step in its state and its noise. Sample
0 walks without noise from 0, sample 1 from 1, and every other sample gets one unit of noise, each
at a draw of its own: the ends of one small batch are the walk's gain, offset and impulse response,
and the mean and variance of all its ends follow exactly.
"""

import math
from dataclasses import dataclass, replace
from itertools import pairwise

import pytest
import torch

from hush import testing
from hush.errors import UserError
from hush.noise import NoiseLaw, White
from hush.processes import GaussianProcess
from hush.rng import Streams
from hush.samplers import Ancestral, Heun, Multistep, State, bases, walk
from hush.samplers.adaptive_sde import AdaptiveSDE, Brownian
from hush.samplers.churn import Churn
from hush.samplers.grids import Karras, LogSNR, Uniform
from hush.samplers.langevin import AnnealedLangevin, PredictorCorrector
from hush.samplers.restart import Restart
from hush.samplers.stochastic import EulerMaruyama, ReverseDiffusion
from hush.schedules import (
    EDM,
    Cosine,
    Rectified,
    Tabulated,
    VarianceExploding,
    VariancePreserving,
    zero_terminal_snr,
)
from hush.testing import GaussianMixture, MixtureDenoiser, even_levels

SCHEDULES = {
    "VP": VariancePreserving(),
    "cosine": Cosine(),
    "EDM": EDM(),
    "rectified": Rectified(),
    "chain": Tabulated.linear(),
    "blind chain": zero_terminal_snr(Tabulated.linear()),
}
GAUSSIAN = GaussianMixture.of([1.0], [[0.7]], [0.25])
MIXTURE = GaussianMixture.of([0.2, 0.5, 0.3], [[-3.0, 0.0], [2.0, 2.0], [2.0, -2.5]], [0.3] * 3)

on_every_schedule = pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)


def exact(schedule, data=MIXTURE, noise=None):
    return MixtureDenoiser(GaussianProcess(schedule, noise or White()), data, spread=False)


def ends(sampler, denoiser, x, levels, rng):
    *_, state = walk(sampler, denoiser, x, levels, rng)
    return state.x


def draws(schedule, count, data=MIXTURE, seed=3):
    """Draws of the exact law at t = 1, and the streams that are left."""
    rng = Streams.of(seed, count)
    x = GaussianProcess(schedule).marginal(data.sample(rng), 1.0).sample(rng.next(2))
    return x, rng.next(3)


# -- weak order, exactly ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Impulse(NoiseLaw):
    """No noise, but for sample 2 + k one unit of it at draw k."""

    def __call__(self, rng, event, dtype=torch.float32):
        hit = (rng.index == rng.draw + 2).to(dtype)
        return hit.reshape(-1, *(1,) * len(event)).expand(-1, *event)


def moments(sampler, schedule, levels, count):
    """The mean and variance of the ends of walks from the exact law at t = 1, by impulses."""
    x = torch.zeros(count + 2, 1, dtype=torch.float64)
    x[1] = 1.0
    end = ends(sampler, exact(schedule, GAUSSIAN, Impulse()), x, levels, Streams.of(0, count + 2))
    offset, gain, response = end[0, 0], end[1, 0] - end[0, 0], end[2:, 0] - end[0, 0]
    start = levels[0]
    variance = gain**2 * (start.alpha**2 * 0.25 + start.sigma**2) + (response**2).sum()
    return (offset + gain * start.alpha * 0.7).item(), variance.item()


def test_impulses_find_the_variance_that_many_walks_have():
    schedule, levels = Cosine(), even_levels(Cosine(), 12)
    x, rng = draws(schedule, 20000, GAUSSIAN)
    found = ends(ReverseDiffusion(), exact(schedule, GAUSSIAN), x, levels, rng)
    mean, variance = moments(ReverseDiffusion(), schedule, levels, 12)
    assert found.mean().item() == pytest.approx(mean, abs=4 * (variance / 20000) ** 0.5)
    assert found.var().item() == pytest.approx(variance, rel=4 * (2 / 20000) ** 0.5)


ORDER_1 = [EulerMaruyama(), EulerMaruyama(0.5), ReverseDiffusion(), Ancestral()]


@on_every_schedule
@pytest.mark.parametrize("sampler", ORDER_1, ids=repr)
def test_the_weak_order_is_1(sampler, schedule):
    """Mean and variance come nearer as 1/steps, without a hair of Monte-Carlo noise, from where
    σ/α is 2 (above, what a step gets wrong is forgotten)."""
    errors = []
    for steps in (160, 320):
        ratios = torch.linspace(math.atan(2.0), 0.0, steps + 1, dtype=torch.float64).tan()
        levels = schedule.levels(schedule.time(-2.0 * ratios.log()))
        mean, variance = moments(sampler, schedule, levels, steps)
        errors.append((abs(mean - 0.7), abs(variance - 0.25)))
    assert errors[1][1] < 0.02 * 0.25
    for coarse, fine in zip(*errors, strict=True):
        assert fine < 1e-5 or math.log2(coarse / fine) > 0.75


def test_euler_maruyama_and_reverse_diffusion_are_one_sampler_on_edm_in_the_limit():
    """With α = 1 their variances are g² h and σ_t² - σ_s²: (σ_t - σ_s)² apart."""
    schedule, denoiser = EDM(), exact(EDM())
    x, rng = draws(schedule, 4)
    t = schedule.level(0.02)
    gaps = []
    for width in (1e-4, 5e-5):
        state, s = State(x, t, rng), schedule.level(0.02 - width)
        one, other = (
            sampler.step(denoiser, state, s).x for sampler in (EulerMaruyama(), ReverseDiffusion())
        )
        gaps.append((one - other).abs().max().item())
    assert gaps[0] / gaps[1] > 2**1.4  # of the noise h²/√h, of the drift h²


def test_a_step_out_of_nothing_is_the_process_s_own():
    schedule = Rectified()
    x, rng = draws(schedule, 5)
    t, s = schedule.level(1.0), schedule.level(0.98)
    state = State(x, t, rng)
    assert torch.equal(
        EulerMaruyama().step(exact(schedule), state, s).x,
        Ancestral().step(exact(schedule), state, s).x,
    )


# -- Langevin --------------------------------------------------------------------------------------


@pytest.mark.parametrize("step_size", [0.2, 1.0])
def test_the_law_of_langevin_at_one_level_is_the_one_its_step_has(step_size):
    """On Gaussian data x ← x + ½δσ² score + σ√δ z has the variance V/(1 - δσ²/4V), V = α²v + σ²."""
    schedule = VariancePreserving()
    level = schedule.level(0.5)
    total = level.alpha**2 * 0.25 + level.sigma**2
    _, variance = moments(AnnealedLangevin(400, step_size), schedule, [level, level], 400)
    share = step_size * level.sigma**2 / total
    assert variance == pytest.approx(total / (1.0 - share / 4.0), rel=1e-9)


@on_every_schedule
def test_annealed_langevin_comes_near_the_variance_with_repeats(schedule):
    levels, bias = even_levels(schedule, 75), []
    for repeats in (5, 20):
        mean, variance = moments(AnnealedLangevin(repeats), schedule, levels, 74 * repeats)
        assert mean == pytest.approx(0.7, abs=0.01)
        bias.append(variance / 0.25 - 1.0)
    assert 0.0 < bias[1] < 0.1
    assert bias[1] < 0.6 * bias[0]


def test_annealing_recovers_the_weights_that_langevin_alone_gets_wrong():
    """S02: modes of weight 0.2 and 0.8 fourteen apart; NCSN's ten levels from 10 to 0.01, ε = 2e-5,
    100 updates each, from uniform noise, which is nowhere near either mode's share."""
    data = GaussianMixture.of([0.2, 0.8], [[-5.0, -5.0], [5.0, 5.0]], [1.0, 1.0])
    schedule, rng = EDM(10.0), Streams.of(5, 1500)
    x = 16.0 * rng.uniform((2,)) - 8.0
    sampler, grid = AnnealedLangevin(100, 0.2), LogSNR(10, ratio_min=0.01)
    levels = [schedule.level(1.0), *grid(schedule)]  # the first level has its updates too

    def share(x):
        return (x.sum(1) < 0.0).double().mean().item()

    annealed = ends(sampler, exact(schedule, data), x, levels, rng.next())
    plain = ends(
        AnnealedLangevin(1000, 0.2), exact(schedule, data), x, [levels[-2]] * 2, rng.next()
    )
    assert share(annealed) == pytest.approx(0.2, abs=0.05)
    assert share(plain) > 0.35


def test_a_corrector_halves_the_error_of_its_predictor():
    """S03: 100 steps of reverse diffusion on the VE SDE, alone and with 100 corrections; exactly,
    in the Wasserstein distance of the Gaussian they end in."""
    schedule = VarianceExploding()
    levels, apart = Uniform(100)(schedule), []
    for sampler, count in ((ReverseDiffusion(), 100), (PredictorCorrector(), 200)):
        mean, variance = moments(sampler, schedule, levels, count)
        apart.append(math.hypot(mean - 0.7, variance**0.5 - 0.5))
    assert apart[1] < 0.6 * apart[0]


def sliced_wasserstein(x, y, directions=64):
    angle = torch.arange(directions, dtype=torch.float64) * (math.pi / directions)
    along = torch.stack((angle.cos(), angle.sin()))
    one, other = ((points @ along).sort(0).values for points in (x, y))
    return (one - other).square().mean().sqrt().item()


@pytest.mark.slow
def test_a_corrector_brings_a_mixture_nearer():
    """The same in sliced Wasserstein distance from exact draws of a mixture whose modes are near
    (of modes far apart it sees little but how many draws each got), over 4 seeds."""
    near = GaussianMixture.of([0.2, 0.5, 0.3], [[-0.6, 0.0], [0.4, 0.4], [0.4, -0.5]], [0.1] * 3)
    schedule, count, apart = VarianceExploding(), 15000, []
    for sampler in (ReverseDiffusion(), PredictorCorrector()):
        total = 0.0
        for seed in (1, 2, 3, 4):
            x, rng = draws(schedule, count, near, seed)
            found = ends(sampler, exact(schedule, near), x, Uniform(100)(schedule), rng)
            total += sliced_wasserstein(found, near.sample(Streams.of(90 + seed, count)))
        apart.append(total / 4)
    assert apart[1] < 0.8 * apart[0]


def test_a_corrector_that_never_corrects_is_its_predictor():
    schedule = Cosine()
    x, rng = draws(schedule, 5)
    levels = even_levels(schedule, 9)
    for sampler in (EulerMaruyama(), Multistep(2), Heun()):
        wrapped = PredictorCorrector(sampler, repeats=0)
        plain = ends(sampler, exact(schedule), x, levels, rng)
        assert torch.equal(ends(wrapped, exact(schedule), x, levels, rng), plain)


def test_correcting_by_the_norms_of_a_sample_widens_data_of_few_numbers_as_it_says():
    """(1 + 2/n)², once for the noise and once for the score, in the limit of small steps: n = 6."""
    data = GaussianMixture.of([1.0], [[0.0] * 6], [1.0])
    schedule, rng = VariancePreserving(), Streams.of(4, 4000)
    level = schedule.level(0.999)
    x, x_law = rng.normal((6,), torch.float64) * (1.0 + 2.0 / 6.0), {}
    for size in ("deviation", "norms"):
        sampler = PredictorCorrector(_Stay(), 150, 0.14, size)
        moved = ends(sampler, exact(schedule, data), x, [level, level], rng.next())
        x_law[size] = moved.var().item()
    assert x_law["deviation"] == pytest.approx(1.0, abs=0.06)
    assert x_law["norms"] == pytest.approx((1.0 + 2.0 / 6.0) ** 2, rel=0.1)


class _Stay(Ancestral):
    def step(self, denoiser, state, s, cond=None):
        return state.moved(state.x, s)


# -- churn, and paths ------------------------------------------------------------------------------


def test_churn_is_karrass_algorithm_2():
    schedule, denoiser = EDM(), exact(EDM())
    x, rng = draws(schedule, 4)
    levels = Karras(120)(schedule)
    sampler = Churn(Heun(bases.Noise()), churn=40.0, noise=1.007)
    states = list(walk(sampler, denoiser, x, levels, rng))
    gamma = 40.0 / 120
    for place in (0, 30, 60, 119):
        before, s, after = states[place], levels[place + 1], states[place + 1]
        sigma = before.t.sigma
        up = (1.0 + gamma) * sigma if 0.05 <= sigma <= 50.0 else sigma
        unit = (after.memory.motion - getattr(before.memory, "motion", 0.0)) * 120**0.5
        x_up = before.x + 1.007 * (up**2 - sigma**2) ** 0.5 * unit
        level = schedule.at_ratio(up)
        d = (x_up - denoiser(x_up, level).mean) / up
        wanted = x_up + (s.sigma - up) * d
        if s.sigma > 0.0:
            end = (wanted - denoiser(wanted, s).mean) / s.sigma
            wanted = x_up + (s.sigma - up) * 0.5 * (d + end)
        torch.testing.assert_close(after.x, wanted, rtol=1e-9, atol=1e-9)


def test_the_noise_of_churn_is_white_and_new_at_every_step():
    schedule, count = Cosine(), 20000
    x = torch.zeros(count, 1, dtype=torch.float64)
    states = walk(
        Churn(_Stay()), exact(schedule), x, even_levels(schedule, 5), Streams.of(1, count)
    )
    motion = torch.cat([torch.zeros_like(x), *(state.memory.motion for state in [*states][1:])], 1)
    unit = motion.diff(dim=1) * 5**0.5
    torch.testing.assert_close(
        torch.cov(unit.T), torch.eye(5, dtype=torch.float64), rtol=0, atol=0.04
    )


def test_without_churn_it_is_its_inner_sampler():
    schedule = Cosine()
    x, rng = draws(schedule, 5)
    levels = even_levels(schedule, 9)
    for inner in (Heun(), Multistep(3), Ancestral()):
        got = ends(Churn(inner, churn=0.0), exact(schedule), x, levels, rng)
        assert torch.equal(got, ends(inner, exact(schedule), x, levels, rng))


SDE = bases.Data(tau=1.0)
PATHS = [
    (Churn(churn=8.0, ratio_max=1e9, ratio_min=0.0, noise=1.0), 0.8),
    (Multistep(1, SDE), 0.8),
    (Multistep(2, SDE, along="log_snr"), 0.8),
]


@pytest.mark.parametrize("name", ["VP", "EDM", "rectified"])
@pytest.mark.parametrize(("sampler", "order"), PATHS, ids=repr)
def test_more_steps_of_one_seed_follow_one_path(sampler, order, name):
    """The ends at 24, 48 and 96 steps draw together as fast as an additive noise lets them."""
    schedule = SCHEDULES[name]
    x, rng = draws(schedule, 64)
    found = [
        ends(sampler, exact(schedule), x, even_levels(schedule, steps), rng)
        for steps in (24, 48, 96)
    ]
    gaps = [(a - b).abs().median().item() for a, b in pairwise(found)]  # few change modes
    assert math.log2(gaps[0] / gaps[1]) > order - 0.35
    assert gaps[1] < 0.1


def test_other_seeds_follow_other_paths():
    schedule, sampler = VariancePreserving(), PATHS[0][0]
    x, rng = draws(schedule, 64)
    levels = even_levels(schedule, 24)
    one = ends(sampler, exact(schedule), x, levels, rng)
    other = ends(sampler, exact(schedule), x, levels, replace(rng, seed=99))
    assert (one - other).abs().mean() > 0.2


# -- restart ---------------------------------------------------------------------------------------


def test_restart_walks_its_interval_again():
    grid = Restart(6, Karras(), ratio_low=0.1, ratio_high=1.0, again=2, repeats=3)
    ratios = [level.sigma / level.alpha for level in grid(EDM())]
    whole = [level.sigma for level in Karras(6)(EDM())]
    middle = (0.5 * (1.0 + 0.1 ** (1 / 7))) ** 7
    wanted = [r for r in whole if r > 0.1] + [0.1] + [1.0, middle, 0.1] * 3
    assert ratios == pytest.approx([*wanted, *(r for r in whole if r < 0.1)], rel=1e-9)
    plain = Restart(6, repeats=0)
    assert plain(EDM()) == Karras(6)(EDM())


def test_restarts_nest():
    inner = Restart(ratio_low=0.01, ratio_high=0.02, repeats=1, again=1)
    grid = Restart(5, inner, ratio_low=0.5, ratio_high=2.0, repeats=1, again=1)
    ratios = [level.sigma for level in grid(EDM())]
    for turn in ([0.5, 2.0, 0.5], [0.01, 0.02, 0.01]):
        starts = [ratios[i : i + 3] == pytest.approx(turn) for i in range(len(ratios) - 2)]
        assert sum(starts) == 1


def test_restarts_forget_the_errors_of_a_coarse_walk():
    """Walks of Heun that begin with twice the noise there should be, on Gaussian data: what is left
    of the error shrinks with every restart, down to the steps' own."""
    schedule, off = EDM(), []
    for repeats in (0, 1, 3, 9):
        levels = Restart(40, Karras(), 0.1, 2.0, again=20, repeats=repeats)(schedule)
        count = len(levels)
        x = torch.zeros(count + 2, 1, dtype=torch.float64)
        x[1] = 1.0
        noise = exact(schedule, GAUSSIAN, Impulse())
        end = ends(Heun(), noise, x, levels, Streams.of(0, count + 2))[:, 0]
        variance = (end[1] - end[0]) ** 2 * 4.0 * 80.0**2 + ((end[2:] - end[0]) ** 2).sum()
        off.append(abs(variance.item() / 0.25 - 1.0))
    assert off[0] > 2.5
    assert all(fewer < 0.2 * more for more, fewer in pairwise(off[:3]))
    assert off[3] < 0.02


# -- steps that adapt ------------------------------------------------------------------------------


def test_the_brownian_motion_of_samples_at_places_of_their_own():
    """Increments over [0, .3], [.3, .31], [.31, 1] are independent and of their lengths; and a
    sample's motion does not depend on where the others are read."""
    count = 20000
    motion = Brownian(GaussianProcess(), Streams.of(2, count), (1,), torch.float64)
    places = (0.0, 0.3, 0.31, 1.0)
    values = torch.cat([motion(torch.full((count,), p, dtype=torch.float64)) for p in places], 1)
    lengths = torch.tensor(places, dtype=torch.float64).diff()
    unit = values.diff(dim=1) / lengths.sqrt()
    torch.testing.assert_close(
        torch.cov(unit.T), torch.eye(3, dtype=torch.float64), rtol=0, atol=0.04
    )
    some = motion(torch.linspace(0, 1, count, dtype=torch.float64))
    here = motion[torch.tensor([77])](torch.linspace(0, 1, count, dtype=torch.float64)[77:78])
    assert torch.equal(some[77:78], here)


@pytest.mark.parametrize("name", ["VP", "EDM"])
def test_smaller_tolerances_come_nearer_to_one_solution(name):
    schedule = SCHEDULES[name]
    x, rng = draws(schedule, 48)
    levels = [schedule.level(1.0), schedule.level(0.0)]
    found = [
        ends(AdaptiveSDE(share * 0.02, share * 0.08), exact(schedule), x, levels, rng)
        for share in (1.0, 0.25, 0.0625)
    ]
    gaps = [(a - b).norm(dim=1).median().item() for a, b in pairwise(found)]
    assert gaps[1] < 0.65 * gaps[0]
    assert gaps[1] < 0.1


def test_samples_choose_their_steps_alone():
    schedule = VariancePreserving()
    x, rng = draws(schedule, 7)
    levels = Uniform(2)(schedule)
    whole = ends(AdaptiveSDE(), exact(schedule), x, levels, rng)
    for part in (slice(0, 1), slice(1, 7)):
        alone = ends(AdaptiveSDE(), exact(schedule), x[part], levels, rng[part])
        torch.testing.assert_close(alone, whole[part], rtol=0, atol=1e-11)


def test_a_tolerance_beyond_reach_is_said():
    schedule = VariancePreserving()
    x, rng = draws(schedule, 2)
    with pytest.raises(UserError, match="5 attempts"):
        ends(AdaptiveSDE(attempts=5), exact(schedule), x, Uniform(1)(schedule), rng)


# -- the law of what is drawn ----------------------------------------------------------------------


def energy_distance(x, y):
    return (
        2.0 * torch.cdist(x, y).mean() - torch.cdist(x, x).mean() - torch.cdist(y, y).mean()
    ).item()


LAWS = {
    "Euler-Maruyama": (EulerMaruyama(), 300),
    "reverse diffusion": (ReverseDiffusion(), 300),
    "annealed Langevin": (AnnealedLangevin(10), 300),
    "predictor-corrector": (PredictorCorrector(), 150),
    "churn": (Churn(), 150),
    "churned multistep": (Churn(Multistep(3)), 300),
    "adaptive": (AdaptiveSDE(), 1),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", LAWS)
def test_the_law_of_a_mixture(name):
    """Mean, covariance and energy distance: as near to exact draws as exact draws are to others."""
    sampler, steps = LAWS[name]
    schedule, count = Cosine(), 3000
    x, rng = draws(schedule, count, seed=8)
    found = ends(sampler, exact(schedule), x, even_levels(schedule, steps), rng)
    sets = [MIXTURE.sample(Streams.of(seed, count)) for seed in range(40, 52)]
    spread = torch.tensor([energy_distance(sets[0], other) for other in sets[1:]])
    assert energy_distance(found, sets[0]) < spread.mean() + 4.0 * spread.std()
    error = (MIXTURE.covariance.diagonal() / count).sqrt()
    assert ((found.mean(0) - MIXTURE.mean).abs() < 4.0 * error).all()
    torch.testing.assert_close(torch.cov(found.T), MIXTURE.covariance, rtol=0.08, atol=0.35)


EVERY = [EulerMaruyama(0.0), EulerMaruyama(0.5), Churn(Multistep(2)), PredictorCorrector(Heun())]


@pytest.mark.slow
@on_every_schedule
@pytest.mark.parametrize("sampler", EVERY, ids=repr)
def test_the_suite_holds_for_other_settings(sampler, schedule):
    testing.check_sampler(sampler, schedule)


# -- what cannot be --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: EulerMaruyama(-1.0), "tau"),
        (lambda: AnnealedLangevin(0), "1 update"),
        (lambda: AnnealedLangevin(step_size=4.0), "between 0 and 4"),
        (lambda: PredictorCorrector(snr=0.0), "snr"),
        (lambda: PredictorCorrector(repeats=-1), "repeats"),
        (lambda: Churn(churn=-1.0), "churn"),
        (lambda: Churn(ratio_min=2.0, ratio_max=1.0), "ratio_min"),
        (lambda: Restart(ratio_low=0.5, ratio_high=0.1), "ratio_low < ratio_high"),
        (lambda: Restart(again=0), "at least 1"),
        (lambda: Restart(0), "at least 1 step"),
        (lambda: Restart(ratio_high=5.0)(EDM(2.0)), "lower ratio_high"),
        (lambda: AdaptiveSDE(absolute=0.0), "absolute"),
    ],
)
def test_what_cannot_be_is_said(make, words):
    with pytest.raises(UserError, match=words):
        make()
