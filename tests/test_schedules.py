"""Golden values of the schedules, each beside the law it comes from."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hush.errors import UserError
from hush.schedules import (
    EDM,
    Cosine,
    Level,
    Rectified,
    Tabulated,
    VariancePreserving,
    cosine_betas,
    linear_betas,
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


def test_the_cosine_chain_is_the_same_curve_for_any_length():
    short, long = Tabulated.cosine(100), Tabulated.cosine(1000)
    for u in (0.1, 0.3, 0.5, 0.7, 0.9):
        assert short.level(u).alpha ** 2 == pytest.approx(long.level(u).alpha ** 2, rel=1e-10)


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


SCHEDULES = [
    VariancePreserving(),
    Cosine(),
    EDM(),
    Rectified(),
    Tabulated.linear(),
    Tabulated.cosine(),
]


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
