"""Where hush and diffusers part: each test names a law that diffusers breaks, and by how much.

Exact denoisers, double precision; hush keeps the law on the same configuration.
"""

import math

import pytest

pytest.importorskip("diffusers")

import torch
from schedulers import (
    EVENT,
    GAUSSIAN,
    MIXTURE,
    SOLVERS,
    STEPPING,
    answer,
    apart,
    doubled,
    level_of,
    made,
    motion,
    ours,
    placed,
    starting,
    theirs,
)

from hush.samplers.bases import Data
from hush.samplers.interpolation import mean_shares
from hush.testing import GaussianMixture, flow_map

POINT = GaussianMixture.of([1.0], [[[0.3], [-0.2]]], [0.0])


def test_one_mathematics_contracts_alike_whatever_it_is_called():
    """DDIM is Euler in x/α. From the linspace spacing of 5 steps, data N(0, ¼): diffusers' Euler
    leaves 0.225 of the start, its DDIM 0.402: that steps by ⌊T/n⌋, not to its next timestep."""
    one = torch.ones(1, *EVENT, dtype=torch.float64)
    spaced = {"timestep_spacing": "linspace"}
    euler, _ = theirs("EulerDiscreteScheduler", 5, one, GAUSSIAN, **spaced)
    ddim, _ = theirs("DDIMScheduler", 5, one, GAUSSIAN, clip_sample=False, **spaced)
    hush, _ = ours(motion("DDIMScheduler", 5, clip_sample=False, **spaced), one, GAUSSIAN)
    assert euler.mean().item() == pytest.approx(0.2252, abs=1e-3)
    assert ddim.mean().item() == pytest.approx(0.4024, abs=1e-3)
    assert (hush - euler).abs().max() < 1e-3  # the timesteps of their DDIM are rounded


@pytest.mark.parametrize("spacing", ["linspace", "trailing"])
@pytest.mark.parametrize("name", STEPPING)
def test_more_steps_come_closer_to_the_flow(name, spacing):
    """Where ⌊T/n⌋ is not T/n, diffusers' DDIM and PNDM do not come closer as hush does."""
    z, _ = starting()
    options = {"clip_sample": False} if name == "DDIMScheduler" else {}
    off = {"theirs": [], "ours": []}
    for steps in (100, 300):
        made_of = motion(name, steps, timestep_spacing=spacing, set_alpha_to_one=True, **options)
        x, levels = ours(made_of, z)
        wanted = flow_map(MIXTURE, z, levels[0])
        chosen = {"timestep_spacing": spacing, "set_alpha_to_one": True, **options}
        y, _ = theirs(name, steps, z, **chosen)
        for who, end in (("ours", x), ("theirs", y)):
            off[who].append((end - wanted).abs().max().item())
    assert off["theirs"][1] > 2 * off["ours"][1]
    assert off["ours"][1] < 0.5 * off["ours"][0]


def parabola(name):
    """A step of order 3 where x_0(λ) = λ², from x = 0: diffusers', hush's, and what it is."""
    scheduler = made(name, solver_order=3)
    scheduler.set_timesteps(20)
    lambdas = torch.linspace(-1.0, 0.5, 4, dtype=torch.float64)
    scheduler.sigmas = (-lambdas).exp()
    scheduler._step_index = 2
    levels = [placed(scheduler, ratio) for ratio in scheduler.sigmas.tolist()]
    values = [torch.full((1, *EVENT), v**2, dtype=torch.float64) for v in lambdas[:3].tolist()]
    start = torch.zeros(1, *EVENT, dtype=torch.float64)
    x = scheduler.multistep_dpm_solver_third_order_update(values, sample=start)
    shares = mean_shares(Data(), levels[:3], *levels[2:], along="log_snr")
    mean = sum(share * v**2 for share, v in zip(shares, lambdas[:3].tolist(), strict=True))
    return x.mean().item(), Data().reach(*levels[2:]) * mean, integral(*levels[2:])


def integral(t, s):
    """x_s from x_t = 0 with x_0(λ) = λ²: σ_s ∫ e^λ λ² dλ, and e^λ (λ² - 2λ + 2) has that slope."""
    form = [math.exp(v) * (v * v - 2.0 * v + 2.0) for v in (-t.log_ratio, -s.log_ratio)]
    return s.sigma * (form[1] - form[0])


@pytest.mark.parametrize("name", [SOLVERS[0], "EDMDPMSolverMultistepScheduler"])
def test_a_rule_of_order_3_integrates_parabolas(name):
    """diffusers' 3M takes half of the second difference, for data that are a parabola in λ."""
    with doubled(name):
        half, whole, wanted = parabola(name)
    assert half == pytest.approx(0.5 * wanted, rel=1e-9)  # here it is all of the step
    assert whole == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        (SOLVERS[0], {"euler_at_final": True, "final_sigmas_type": "sigma_min"}),
        (SOLVERS[2], {}),
    ],
    ids=["3M", "DEIS"],
)
def test_a_solver_of_order_3_converges_with_order_3(name, options):
    """On even steps of λ down to σ_min: 3M, by half a difference, and DEIS, by its first step of
    Euler, converge with order 2; hush, whose first step is redone, with 3."""
    z, _ = starting()
    spaced = {"use_exponential_sigmas": True, "solver_order": 3, **options}
    betas = {"trained_betas": [0.02] * 100, "num_train_timesteps": 100}
    off = {"theirs": [], "ours": []}
    for steps in (40, 80):
        made_of = motion(name, steps, **spaced, **betas)
        x, levels = ours(made_of, z)
        y, _ = theirs(name, steps, z, **spaced, **betas)
        wanted = flow_map(MIXTURE, z, levels[0])
        for who, end in (("ours", x), ("theirs", y)):
            landed = flow_map(MIXTURE, end, levels[-1])
            off[who].append((landed - wanted).abs().max().item())
    orders = {who: math.log2(first / second) for who, (first, second) in off.items()}
    assert orders["theirs"] < 2.5, (orders, off)
    assert orders["ours"] > 2.7, (orders, off)


def test_a_step_uses_its_own_length():
    """PNDM's weights are those of even steps; diffusers uses them in its shorter last step too, so
    what it gets of a slope that is not constant is another step's."""
    assert apart("PNDMScheduler", 20, skip_prk_steps=True) < 1e-9  # the last goes nowhere
    assert apart("PNDMScheduler", 20, skip_prk_steps=True, set_alpha_to_one=True) > 1e-4


def test_a_belief_and_its_noise_make_up_the_state():
    """x = α x̂_0 + σ ε̂. diffusers' DDIM clips x̂_0 and keeps ε̂, unless told not to at each step."""
    with doubled("DDIMScheduler"):
        scheduler = made("DDIMScheduler", clip_sample_range=0.5, timestep_spacing="trailing")
        scheduler.set_timesteps(10)
        x = torch.ones(1, *EVENT, dtype=torch.float64)
        timestep = scheduler.timesteps[5]
        level = level_of(scheduler, timestep)
        after = level_of(scheduler, scheduler.timesteps[6])
        said = answer(scheduler, x, torch.full_like(x, 0.8), level)
        out = scheduler.step(said, timestep, x)
    noise = (out.prev_sample - after.alpha * out.pred_original_sample) / after.sigma
    made_up = level.alpha * out.pred_original_sample + level.sigma * noise
    assert (made_up - x).abs().max() > 0.05
    exact = apart("DDIMScheduler", 10, clip_sample_range=0.5)
    assert exact > 1e-3


@pytest.mark.parametrize("name", ["EulerDiscreteScheduler", "EDMEulerScheduler"])
def test_certain_data_stay_certain_under_churn(name):
    """Data of one point: whatever noise is added, the belief is the point. diffusers adds the noise
    after the network has been asked, so it is taken for part of the picture."""
    z, rng = starting()
    noises = [rng.next(k).normal(EVENT, torch.float64) for k in range(10)]
    churn = {"s_churn": 4.0, "s_tmax": 10.0}
    with doubled(name, noises):
        scheduler = made(name)
        scheduler.set_timesteps(10)
        scheduler._step_index = 5
        level = level_of(scheduler, scheduler.timesteps[5])
        x = POINT.means + level.sigma * z
        scheduler.scale_model_input(x, scheduler.timesteps[5])
        said = answer(scheduler, x, POINT.means.expand_as(x), level)
        out = scheduler.step(said, scheduler.timesteps[5], x, **churn)
    assert (out.pred_original_sample - POINT.means).abs().max() > 0.01 * level.sigma
    x, _ = ours(motion(name, 10, **churn), z, POINT, rng)
    assert (x - POINT.means).abs().max() < 1e-12


def test_noise_grows_along_the_chain():
    """A chain without signal at its end: diffusers puts ᾱ_T = 2⁻²⁴ there, above that of the steps
    before it."""
    with doubled("EulerDiscreteScheduler"):
        scheduler = made("EulerDiscreteScheduler", rescale_betas_zero_snr=True)
    assert scheduler.alphas_cumprod[-1] > scheduler.alphas_cumprod[-2]
    made_of = motion("EulerDiscreteScheduler", 20, rescale_betas_zero_snr=True)
    times = torch.arange(1, 1001, dtype=torch.float64) / 1000
    assert (made_of.schedule.log_snr(times).diff() < 0).all()


def test_a_walk_to_the_data_ends_there():
    """Euler's log_linear spacing has one σ too many, so the last one, 0, is never reached."""
    options = {"interpolation_type": "log_linear", "final_sigmas_type": "zero"}
    with doubled("EulerDiscreteScheduler"):
        scheduler = made("EulerDiscreteScheduler", **options)
        scheduler.set_timesteps(20)
    assert len(scheduler.sigmas) == 22
    assert scheduler.sigmas[20] > 0.009


@pytest.mark.parametrize(
    ("name", "spacing", "most"),
    [(SOLVERS[0], "use_karras_sigmas", 0.5), (SOLVERS[0], "use_exponential_sigmas", 1.0)],
)
def test_the_network_is_told_when_it_is_asked(name, spacing, most):
    """Where σ is spaced, diffusers tells whole timesteps: rounded, or for exponential and beta cut
    off, up to a step too clean. hush's clock is that of the level."""
    with doubled(name):
        scheduler = made(name, **{spacing: True})
        scheduler.set_timesteps(25)
    made_of = motion(name, 25, **{spacing: True})
    clocks = [
        made_of.parameterisation.clock(made_of.schedule, level)
        for level in made_of.grid(made_of.schedule)[:-1]
    ]
    off = torch.tensor(clocks) - scheduler.timesteps
    assert 0.3 < off.abs().max() < most + 0.02
