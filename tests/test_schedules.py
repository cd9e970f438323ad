"""Golden values of the schedules, each beside the law it comes from."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hush.denoisers.parameterisations import V, Velocity
from hush.distributions import Gaussian
from hush.errors import UserError
from hush.processes import GaussianProcess
from hush.samplers import grids
from hush.schedules import (
    EDM,
    Cosine,
    Level,
    Rectified,
    Shifted,
    SubVP,
    Tabulated,
    VarianceExploding,
    VariancePreserving,
    absorbing_betas,
    cosine_betas,
    linear_betas,
    polynomial_betas,
    quadratic_betas,
    respaced,
    shifted,
    sigmoid_betas,
    sqrt_betas,
    zero_terminal_snr,
)


def alpha_bar(schedule, step):
    return schedule.level(step / schedule.steps).alpha ** 2


def rounds_to(value, golden):
    """`golden`, a decimal string, is `value` rounded to as many digits."""
    digits = len(golden.lower().split("e")[0].replace(".", "").lstrip("0"))
    return float(f"{value:.{digits - 1}e}") == float(golden)


LINEAR = {
    1: "0.9999",
    10: "0.998105",
    100: "0.897018",
    250: "0.524085",
    500: "0.0785872",
    750: "0.00335055",
    1000: "4.03583e-5",
}


@pytest.mark.parametrize(("step", "golden"), LINEAR.items())
def test_the_linear_chain_of_ddpm(step, golden):
    assert rounds_to(alpha_bar(Tabulated.linear(), step), golden)
    product = math.prod(1 - beta for beta in linear_betas()[:step])
    assert alpha_bar(Tabulated.linear(), step) == pytest.approx(product, rel=1e-13)


COSINE = {
    100: "0.972093",
    500: "0.493844",
    900: "0.0240917",
    999: "2.42877e-6",
    1000: "2.42877e-9",
}


@pytest.mark.parametrize(("step", "golden"), COSINE.items())
def test_the_cosine_chain_of_improved_ddpm(step, golden):
    assert rounds_to(alpha_bar(Tabulated.cosine(), step), golden)

    def f(i):
        return math.cos((i / 1000 + 0.008) / 1.008 * math.pi / 2) ** 2

    law = f(step) / f(0) if step < 1000 else 0.001 * f(999) / f(0)
    assert alpha_bar(Tabulated.cosine(), step) == pytest.approx(law, rel=1e-11)


def test_the_cosine_chain_clips_exactly_one_beta():
    betas = cosine_betas()
    assert rounds_to(betas[0], "4.12842e-5")
    assert sum(beta == 0.999 for beta in betas) == 1
    assert betas[-1] == max(betas) == 0.999


def test_the_much_copied_cosine_is_on_the_grid():
    """linspace(0, T + 1, T + 1)/(T + 1), as SRDiff, TimeGrad and RVD write it, is i/T."""
    u = torch.linspace(0, 101, 101, dtype=torch.float64) / 101
    alpha_bar = ((u + 0.008) / 1.008 * math.pi / 2).cos() ** 2
    copied = (1 - alpha_bar[1:] / alpha_bar[:-1]).clamp(max=0.999)
    assert cosine_betas(100) == pytest.approx(copied.tolist(), rel=1e-12)


QUAD = {"CSDI": (50, 1e-4, 0.5), "LDM": (1000, 0.00085, 0.012)}
NAMED = {  # C1: what makes the betas, the law of ᾱ_i (None for a product), the golden values
    "D3PM's cosine": (
        cosine_betas(power=1.0),
        lambda u: math.cos((u + 0.008) / 1.008 * math.pi / 2) / math.cos(math.pi / 252),
        {500: "0.702740"},
    ),
    "Diffusion-LM's sqrt": (
        sqrt_betas(),
        lambda u: (1 - math.sqrt(u + 1e-4)) / (1 - math.sqrt(1e-4)),
        {1: "0.985359", 1000: "0.295780"},
    ),
    "CSDI's quad": (quadratic_betas(*QUAD["CSDI"]), None, {50: "3.354e-5"}),
    "LDM's quad": (quadratic_betas(), None, {1000: "0.00466"}),
    "e3_diffusion's polynomial": (
        polynomial_betas(),
        lambda u: (1 - 2e-5) * (1 - u**2) ** 2 + 1e-5,
        {500: "0.562499"},
    ),
    "absorbing": (absorbing_betas(), lambda u: 1 - u, {}),
}


@pytest.mark.parametrize(("betas", "law", "golden"), NAMED.values(), ids=NAMED)
def test_named_chains(betas, law, golden):
    chain = Tabulated(betas)
    for step, value in golden.items():
        assert rounds_to(alpha_bar(chain, step), value)
    for step in (1, chain.steps // 3, chain.steps - 1):
        wanted = math.prod(1 - beta for beta in betas[:step])
        assert alpha_bar(chain, step) == pytest.approx(wanted, rel=1e-12)
        if law:
            assert alpha_bar(chain, step) == pytest.approx(law(step / chain.steps), rel=1e-9)
    assert tuple(chain.level(0.0)) == (0.0, 1.0, 0.0)


@pytest.mark.parametrize(("steps", "first", "last"), QUAD.values(), ids=QUAD)
def test_the_roots_of_a_quadratic_chain_rise_evenly_between_its_ends(steps, first, last):
    betas = torch.tensor(quadratic_betas(steps, first, last), dtype=torch.float64)
    assert (betas[0].item(), betas[-1].item()) == pytest.approx((first, last), rel=1e-14)
    even = torch.full((steps - 1,), (last**0.5 - first**0.5) / (steps - 1), dtype=torch.float64)
    torch.testing.assert_close(betas.sqrt().diff(), even, rtol=1e-9, atol=0)


def test_the_chain_of_stable_diffusion_keeps_a_little_signal():
    """x_T = 0.068265 x_0 + 0.997667 ε: Lin et al. 2024, section 3.1."""
    _, alpha, sigma = Tabulated(quadratic_betas()).level(1.0)
    assert rounds_to(alpha, "0.068265")
    assert rounds_to(sigma, "0.997667")


def test_the_sigmoid_chain_of_geodiff():
    betas, chain = sigmoid_betas(), Tabulated(sigmoid_betas())
    assert rounds_to(math.exp(chain.level(1.0).log_ratio), "12.1685")
    place = [math.log((beta - 1e-7) / (2e-3 - beta)) for beta in betas[::7]]
    wanted = torch.linspace(-6, 6, 5000, dtype=torch.float64)[::7].tolist()
    assert place == pytest.approx(wanted, abs=1e-8)


def test_the_polynomial_chain_begins_at_the_data_and_ends_at_its_precision():
    """Theirs begins at 1 - 1e-5 and ends at 1e-5 and a thousandth of the step before; ours has
    their values from the first step on."""
    chain = Tabulated(polynomial_betas())
    assert rounds_to((1 - 2e-5) * 1.0 + 1e-5, "0.99999")
    assert chain.level(0.0).alpha == 1.0
    assert rounds_to(alpha_bar(chain, 1000), "1.0004e-5")
    before = (1 - 0.999**2) ** 2
    assert alpha_bar(chain, 1000) == pytest.approx((1 - 2e-5) * 1e-3 * before + 1e-5, rel=1e-11)


def test_an_absorbing_chain_loses_as_much_at_every_step_and_all_at_the_last():
    chain = Tabulated(absorbing_betas(8))
    lost = [1.0 - alpha_bar(chain, step) for step in range(9)]
    assert lost == pytest.approx([step / 8 for step in range(9)], abs=1e-15)
    assert tuple(chain.level(1.0)) == (1.0, 0.0, 1.0)


CURVES = {
    "cosine": cosine_betas,
    "D3PM's cosine": lambda steps: cosine_betas(steps, power=1.0),
    "sqrt": sqrt_betas,
    "polynomial": polynomial_betas,
    "absorbing": absorbing_betas,
}


@pytest.mark.parametrize("make", CURVES.values(), ids=CURVES)
def test_a_chain_given_by_its_curve_is_the_same_for_any_length(make):
    short, long = Tabulated(make(100)), Tabulated(make(1000))
    for u in (0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99):
        assert short.level(u).alpha ** 2 == pytest.approx(long.level(u).alpha ** 2, rel=1e-9)


def test_the_steps_of_a_cosine_chain_cost_more_evenly_than_those_of_a_linear_one():
    """The terms of the bound of N(0, ¼) under the exact belief, ½ ln(true/posterior variance)."""
    spreads = []
    for chain in (Tabulated.cosine(), Tabulated.linear()):
        process, costs, x = GaussianProcess(chain), [], torch.zeros(1, 1, dtype=torch.float64)
        for step in range(2, 1001):
            t, s = (chain.level(i / 1000) for i in (step, step - 1))
            belief = 0.25 * t.sigma**2 / (0.25 * t.alpha**2 + t.sigma**2)
            point, whole = (
                process.reverse(Gaussian(x, variance), x, s, t).spread
                for variance in (torch.zeros_like(x), torch.full_like(x, belief))
            )
            costs.append(0.5 * (whole / point).log().item())
        costs = torch.tensor(costs)
        spreads.append((costs.std() / costs.mean()).item())
    assert spreads[0] < spreads[1]


def test_a_chain_is_given_by_its_betas_or_by_its_alpha_bar():
    betas = (0.1, 0.01, 0.5, 0.999)
    given = [math.prod(1 - beta for beta in betas[: i + 1]) for i in range(4)]
    assert Tabulated.from_alpha_bar(given).betas == pytest.approx(betas, rel=1e-12)
    assert Tabulated.from_alpha_bar([0.5, 0.0]).betas == (0.5, 1.0)
    for wrong in ([1.0, 0.5], [0.5, 0.5], [0.5, 0.6], [0.5, -0.1], [0.5, 0.0, 0.0]):
        with pytest.raises(UserError, match="ᾱ must fall at every step"):
            Tabulated.from_alpha_bar(wrong)
    for wrong in ((0.1, 0.0), (1.0, 0.1), (0.1, 1.1), (-0.1,), (math.nan,)):
        with pytest.raises(UserError, match="betas of a chain lie between 0 and 1"):
            Tabulated(wrong)
    with pytest.raises(UserError, match="at least 1 step"):
        Tabulated(())


END_POINTS = {  # C1: "other end points"; WaveGrad, DiffWave, SR3, Luo and Hu
    "WaveGrad": (1000, 1e-6, 0.01, "0.006623"),
    "DiffWave 50": (50, 1e-4, 0.05, "0.2797"),
    "DiffWave 200": (200, 1e-4, 0.02, "0.1322"),
    "SR3": (2000, 1e-6, 0.01, "4.386e-5"),
    "Luo and Hu 200": (200, 1e-4, 0.05, "0.006122"),
    "Luo and Hu 100": (100, 1e-4, 0.02, "0.3636"),
}


@pytest.mark.parametrize(("steps", "first", "last", "golden"), END_POINTS.values(), ids=END_POINTS)
def test_other_end_points_of_linear_chains(steps, first, last, golden):
    betas = tuple(torch.linspace(first, last, steps, dtype=torch.float64).tolist())
    assert rounds_to(alpha_bar(Tabulated(betas), steps), golden)
    scaled = linear_betas(steps, first * steps / 1000, last * steps / 1000)
    assert scaled == pytest.approx(betas, rel=1e-12)


def test_linear_chains_of_any_length_end_about_alike():
    ends = [alpha_bar(Tabulated.linear(steps), steps) for steps in (500, 1000, 4000)]
    assert max(ends) / min(ends) < 1.25


def test_a_linear_chain_too_short_for_its_betas_is_refused():
    assert Tabulated.linear(20).betas[-1] == 0.999
    with pytest.raises(UserError, match="at least 20 steps"):
        Tabulated.linear(19)


def test_vp_ends_at_its_golden_value_and_solves_its_equation():
    schedule = VariancePreserving()
    assert rounds_to(schedule.level(1.0).alpha ** 2, "4.31857e-5")
    t = torch.linspace(0.01, 1, 50, dtype=torch.float64)
    alpha, sigma = schedule(t)
    beta = 0.1 + 19.9 * t
    alpha_rate, sigma_rate = schedule.rates(t)
    torch.testing.assert_close(alpha_rate, -0.5 * beta * alpha, rtol=1e-12, atol=0)
    growth = -beta * sigma**2 + beta  # the variance of dx = -½β x dt + √β dw
    torch.testing.assert_close(2 * sigma * sigma_rate, growth, rtol=1e-12, atol=1e-13)


def test_sub_vp_has_its_golden_values_and_solves_its_equation():
    schedule = SubVP()
    assert rounds_to(schedule.level(1.0).alpha ** 2, "4.31857e-5")
    assert rounds_to(schedule.level(0.5).sigma ** 2, "0.848123")
    t = torch.linspace(0.01, 1, 50, dtype=torch.float64)
    alpha, sigma = schedule(t)
    beta, decay = 0.1 + 19.9 * t, (-2 * (0.1 * t + 9.95 * t**2)).exp()
    alpha_rate, sigma_rate = super(SubVP, schedule).rates(t)
    torch.testing.assert_close(alpha_rate, -0.5 * beta * alpha, rtol=1e-12, atol=0)
    growth = -beta * sigma**2 + beta * (1 - decay)  # dx = -½β x dt + √(β (1 - e^{-2B})) dw
    torch.testing.assert_close(2 * sigma * sigma_rate, growth, rtol=1e-11, atol=1e-13)
    torch.testing.assert_close(alpha, VariancePreserving()(t)[0], rtol=0, atol=0)
    torch.testing.assert_close(sigma, VariancePreserving()(t)[1] ** 2, rtol=1e-13, atol=0)


def test_ve_has_the_variance_of_its_equation_and_not_of_the_geometric_levels():
    schedule = VarianceExploding()
    assert schedule.level(1.0).sigma ** 2 == pytest.approx(50.0**2 - 0.01**2, rel=1e-13)
    t = torch.linspace(0.01, 1, 50, dtype=torch.float64)
    alpha, sigma = schedule(t)
    geometric = 0.01 * 5000.0**t
    _, sigma_rate = super(VarianceExploding, schedule).rates(t)
    growth = geometric**2 * 2 * math.log(5000.0)  # dx = s √(2 ln(σ_max/σ_min)) dw
    torch.testing.assert_close(2 * sigma * sigma_rate, growth, rtol=1e-12, atol=0)
    torch.testing.assert_close(sigma**2 + 0.01**2, geometric**2, rtol=1e-12, atol=0)
    torch.testing.assert_close(alpha, torch.ones_like(t), rtol=0, atol=0)


def test_the_noise_of_a_diffusion_begins_at_an_infinite_rate_for_a_float_too():
    for schedule in (Tabulated(), VarianceExploding()):
        assert schedule.rates(0.0)[1] == math.inf
        assert schedule.rates(torch.zeros(1, dtype=torch.float64))[1].item() == math.inf
    assert SubVP().rates(0.0) == (-0.05, 0.1)


def test_the_linear_chain_tends_to_vp():
    """DDPM is VP discretised: β_i = β(i/T)/T, so log ᾱ differs by O(1/T) (Song et al. 2021, B)."""
    t = torch.tensor([0.2, 0.5, 0.8], dtype=torch.float64)
    gaps = []
    for steps in (1000, 2000, 4000):
        chain = Tabulated.linear(steps, 1e-4, 0.02)
        gaps.append((chain(t)[0].log() - VariancePreserving()(t)[0].log()).abs())
    torch.testing.assert_close(gaps[0] / gaps[1], torch.full_like(t, 2.0), rtol=0.05, atol=0)
    torch.testing.assert_close(gaps[1] / gaps[2], torch.full_like(t, 2.0), rtol=0.05, atol=0)


def test_variance_is_preserved_where_it_should_be():
    t = torch.linspace(0, 1, 1001, dtype=torch.float64)
    for schedule in (VariancePreserving(), Cosine(), Tabulated.linear(), Tabulated.cosine()):
        alpha, sigma = schedule(t)
        torch.testing.assert_close(alpha**2 + sigma**2, torch.ones_like(t), rtol=0, atol=1e-14)


def test_cosine_stops_at_its_log_snr():
    for lowest in (-20.0, -10.0, 3.0):
        assert Cosine(lowest).log_snr(1.0) == pytest.approx(lowest, abs=1e-9)


def test_edm_time_is_the_noise_level_and_rectified_is_straight():
    assert EDM(80.0).level(0.25) == Level(0.25, 1.0, 20.0)
    assert Rectified().level(0.25) == Level(0.25, 0.75, 0.25)
    assert Rectified().level(1.0) == Level(1.0, 0.0, 1.0)


def test_a_level_knows_its_ends():
    clean, pure = Rectified().level(0.0), Rectified().level(1.0)
    assert (clean.snr, clean.log_snr, clean.log_ratio) == (math.inf, math.inf, -math.inf)
    assert (pure.snr, pure.log_snr, pure.log_ratio) == (0.0, -math.inf, math.inf)


def test_the_rates_of_a_chain_at_a_step_are_those_of_the_step_that_leads_there():
    for steps in (25, 50, 1000, 4000):  # 50 and 4000 have steps whose i/T·T is not i in floats
        chain = Tabulated.linear(steps)
        times = torch.arange(1, steps + 1, dtype=torch.float64) / steps
        wanted = chain.log_alpha.diff() * steps
        rate, _ = chain.rates(times)
        torch.testing.assert_close(rate / chain(times)[0], wanted, rtol=1e-12, atol=0)


def test_a_chain_meets_its_table_at_every_step_to_the_last_digits():
    for chain in (Tabulated.linear(), Tabulated.cosine(), Tabulated.linear(4000)):
        times = torch.arange(chain.steps + 1, dtype=torch.float64) / chain.steps
        torch.testing.assert_close(chain(times)[0].log(), chain.log_alpha, rtol=1e-14, atol=1e-15)


# -- schedules from schedules ----------------------------------------------------------------------


SCHEDULES = [
    VariancePreserving(),
    SubVP(),
    VarianceExploding(),
    Cosine(),
    EDM(),
    Rectified(),
    Shifted(),
    Shifted(SubVP(), 0.5),
    Tabulated.linear(),
    Tabulated.cosine(),
    zero_terminal_snr(Tabulated.linear()),
    Tabulated(absorbing_betas(10)),
]
every_schedule = pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)


@pytest.mark.parametrize("scale", [0.25, 1.0, 3.0])
def test_a_shifted_straight_path_is_the_straight_path_at_the_time_of_sd3(scale):
    t = torch.linspace(0, 1, 101, dtype=torch.float64)
    later = scale * t / (1 + (scale - 1) * t)
    found = Shifted(Rectified(), scale)(t)
    for got, wanted in zip(found, Rectified()(later), strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-14, atol=1e-15)


@every_schedule
@pytest.mark.parametrize("scale", [0.25, 4.0])
def test_a_shift_lowers_the_log_snr_by_twice_the_log_of_its_scale(schedule, scale):
    t = torch.linspace(0.1, 1, 10, dtype=torch.float64)  # steps of each of the chains
    moved = shifted(schedule, scale)
    lower = schedule.log_snr(t) - 2 * math.log(scale)
    torch.testing.assert_close(moved.log_snr(t), lower, rtol=1e-9, atol=1e-9)
    assert isinstance(moved, Tabulated) == isinstance(schedule, Tabulated)
    back = shifted(moved, 1 / scale)(t)
    for got, wanted in zip(back, schedule(t), strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-9, atol=1e-15)


@every_schedule
def test_a_shifted_schedule_stays_on_its_curve(schedule):
    t = torch.linspace(0, 1, 41, dtype=torch.float64)[1:]
    alpha, sigma = schedule(t)
    ones = torch.ones_like(t)
    torch.testing.assert_close(schedule.norm(alpha, sigma), ones, rtol=1e-14, atol=0)
    torch.testing.assert_close(schedule.norm(3 * alpha, 3 * sigma), 3 * ones, rtol=1e-14, atol=0)
    early = Shifted(schedule, 0.2)
    for got, wanted in zip(early(t), schedule(schedule.time(early.log_snr(t))), strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-9, atol=1e-12)


def test_a_shift_must_be_positive():
    for scale in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(UserError, match="scale of a shift must be positive"):
            shifted(Tabulated(), scale)


CHAINS = [Tabulated.linear(), Tabulated(quadratic_betas()), Tabulated.cosine(20)]


@pytest.mark.parametrize("chain", CHAINS, ids=lambda chain: f"{chain.steps}")
def test_zero_terminal_snr_keeps_the_first_step_and_leaves_nothing_at_the_last(chain):
    rescaled = zero_terminal_snr(chain)
    old, new = chain.log_alpha[1:].exp(), rescaled.log_alpha[1:].exp()
    assert new[0].item() == pytest.approx(old[0].item(), rel=1e-12)
    assert tuple(rescaled.level(1.0)) == (1.0, 0.0, 1.0)
    assert rescaled.betas[-1] == 1.0
    line = (old - old[-1]) / (old[0] - old[-1])  # 1 at the first step, 0 at the last
    torch.testing.assert_close(new / new[0], line, rtol=1e-9, atol=0)
    assert zero_terminal_snr(rescaled).betas == pytest.approx(rescaled.betas, rel=1e-9)


def test_over_the_last_step_to_no_signal_alpha_falls_straight():
    chain = zero_terminal_snr(Tabulated.cosine(20))
    first, half, last = (chain.level(i / 20).alpha for i in (19, 19.5, 20))
    assert (half, last) == (pytest.approx(first / 2, rel=1e-12), 0.0)
    alpha_rate, sigma_rate = chain.rates(1.0)
    assert (alpha_rate, sigma_rate) == (pytest.approx(-20 * first, rel=1e-12), 0.0)
    assert chain.time(torch.tensor([-math.inf], dtype=torch.float64)).item() == 1.0


def test_without_signal_v_is_the_data_turned_over_and_the_velocity_still_tells_it():
    chain = zero_terminal_snr(Tabulated.linear())
    level = chain.level(1.0)
    assert V().belief(chain, level) == (0.0, -1.0)
    skip, out = Velocity().belief(chain, level)
    assert skip == 0.0
    assert out == pytest.approx(1.0 / chain.rates(1.0)[0], rel=1e-12)


def test_zero_terminal_snr_needs_two_steps():
    with pytest.raises(UserError, match="at least 2 steps"):
        zero_terminal_snr(Tabulated((0.5,)))


@pytest.mark.parametrize("kept", [[1, 4, 5, 20], [7], [2, 19], 1, 6, 20])
def test_a_respaced_chain_has_the_alpha_bar_of_the_steps_it_keeps(kept):
    chain = Tabulated.cosine(20)
    found = respaced(chain, kept)
    if isinstance(kept, int):
        levels = grids.Chain(kept, "linspace")(chain)
        kept = [round(20 * level.time) for level in reversed(levels[:-1])]
    assert found.steps == len(kept)
    for place, step in enumerate(kept, start=1):
        assert alpha_bar(found, place) == pytest.approx(alpha_bar(chain, step), rel=1e-12)
        before = alpha_bar(chain, kept[place - 2]) if place > 1 else 1.0
        beta = 1 - alpha_bar(chain, step) / before
        assert found.betas[place - 1] == pytest.approx(beta, rel=1e-12)
    assert respaced(chain, range(1, 21)).betas == pytest.approx(chain.betas, rel=1e-10)


def test_a_chain_of_zero_terminal_snr_can_be_respaced_and_shifted():
    for chain in (zero_terminal_snr(Tabulated.linear()), Tabulated(absorbing_betas(40))):
        assert respaced(chain, 10).betas[-1] == shifted(chain, 2.0).betas[-1] == 1.0


def test_respacing_refuses_steps_that_a_chain_has_not():
    for kept in ([], [0, 3], [3, 21], [3, 3], [5, 3]):
        with pytest.raises(UserError, match="must increase from at least 1 to at most 20"):
            respaced(Tabulated.linear(20), kept)
    for count in (0, 21):
        with pytest.raises(UserError, match=f"cannot keep {count}"):
            respaced(Tabulated.linear(20), count)


# -- closed forms ----------------------------------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(SCHEDULES), st.floats(-18.0, 20.0))
def test_log_snr_inverts_time_at_any_log_snr_a_schedule_reaches(schedule, log_snr):
    if log_snr > schedule.log_snr(1.0):
        time = schedule.time(torch.tensor([log_snr], dtype=torch.float64)).item()
        assert schedule.log_snr(time) == pytest.approx(log_snr, abs=1e-8)


def test_the_general_inverse_equals_the_closed_ones():
    log_snr = torch.linspace(-7, 25, 65, dtype=torch.float64)
    for schedule in SCHEDULES:
        general = super(type(schedule), schedule).time(log_snr)
        torch.testing.assert_close(schedule.time(log_snr), general, rtol=1e-9, atol=0)


def test_the_general_rates_equal_the_closed_ones():
    times = (torch.arange(40, dtype=torch.float64) * 25 + 0.5) / 1000
    for schedule in SCHEDULES:
        general = super(type(schedule), schedule).rates(times)
        for closed, found in zip(schedule.rates(times), general, strict=True):
            torch.testing.assert_close(closed, found, rtol=1e-11, atol=1e-13)
