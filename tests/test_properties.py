"""What holds for any number that may be asked for: grids, schedules and codecs of every size."""

import math
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import pairwise

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hush import testing
from hush.codecs import Levels, Range, Standard
from hush.errors import UserError
from hush.objectives.times import Stratified, TimeLaw, Uniform
from hush.rng import Streams
from hush.samplers import grids
from hush.schedules import (
    EDM,
    Cosine,
    Rectified,
    Schedule,
    SubVP,
    Tabulated,
    VarianceExploding,
    VariancePreserving,
    shifted,
    zero_terminal_snr,
)

SEVERAL = settings(max_examples=60, deadline=None)


def positive(least, most):
    """Numbers as likely of every size, not only of the largest."""
    return st.floats(math.log(least), math.log(most)).map(math.exp)


def later(make, *numbers, **named):
    """What the test itself makes, of the numbers that were drawn for it."""
    return st.builds(partial, st.just(make), *numbers, **named)


CHAINS = later(Tabulated, st.lists(positive(1e-6, 0.999), min_size=1, max_size=30).map(tuple))
LINEAR_BETAS = {"beta_min": positive(1e-3, 10.0), "beta_max": positive(10.0, 40.0)}
FORMULAS = st.one_of(
    later(VariancePreserving, **LINEAR_BETAS),
    later(SubVP, **LINEAR_BETAS),
    later(VarianceExploding, positive(1e-4, 0.1), positive(1.0, 1e3)),
    later(Cosine, st.floats(-30.0, -3.0)),
    later(EDM, positive(1.0, 1e4)),
    later(Rectified),
)
LONGER = CHAINS.filter(lambda chain: len(chain.args[0]) > 1)
MADE = st.one_of(
    CHAINS,
    FORMULAS,
    later(lambda make, scale: shifted(make(), scale), CHAINS | FORMULAS, positive(0.1, 10.0)),
    later(lambda make: zero_terminal_snr(make()), LONGER),
)
MOMENTS = st.lists(positive(1e-5, 1.0), min_size=1, max_size=8).map(
    lambda times: torch.tensor(sorted(times), dtype=torch.float64)
)


# -- schedules -------------------------------------------------------------------------------------


@SEVERAL
@given(MADE, MOMENTS)
def test_a_schedule_of_any_constants_only_loses_signal_and_gains_noise(make, times):
    schedule = make()
    alpha, sigma = schedule(times)
    assert alpha.isfinite().all()
    assert sigma.isfinite().all()
    assert ((alpha >= 0.0) & (alpha <= 1.0)).all()
    assert (sigma > 0.0).all()
    assert (alpha.diff() <= 0.0).all()
    log_snr = schedule.log_snr(times)
    apart = times.diff() > 1e-6 * times[1:]
    assert (log_snr.diff()[apart] < 0.0).all()


@SEVERAL
@given(MADE, MOMENTS)
def test_time_inverts_the_log_snr_of_any_schedule_at_any_time(make, times):
    schedule = make()
    torch.testing.assert_close(schedule.time(schedule.log_snr(times)), times, rtol=1e-7, atol=1e-12)


# -- grids -----------------------------------------------------------------------------------------

DEFAULTS = [grid for grid in testing.every(grids.Grid) if not isinstance(grid, grids.Given)]
PARTS = {"steps": st.integers(1, 400), "ratio_max": positive(5.0, 1e4)}
GRIDS = st.one_of(
    later(replace, st.sampled_from(DEFAULTS), steps=st.integers(1, 400)),
    later(grids.LogSNR, ratio_min=positive(1e-4, 0.05), **PARTS),
    later(grids.Karras, ratio_min=positive(1e-4, 0.05), rho=st.floats(0.5, 12.0), **PARTS),
    later(grids.Focused, height=st.floats(0.0, 20.0), centre=st.floats(-3.0, 3.0), **PARTS),
    later(grids.Chain, st.integers(1, 400), st.sampled_from(("leading", "linspace"))),
)


def check_falls(grid, schedule):
    levels = grid(schedule)
    assert all(math.isfinite(number) for level in levels for number in level)
    assert levels[0].time <= 1.0
    assert (levels[-1].time, levels[-1].sigma) == (0.0, 0.0)
    if not grid.climbs:
        assert len(levels) == grid.steps + 1
        assert all(level.time > after.time for level, after in pairwise(levels))
        assert all(level.log_snr < after.log_snr for level, after in pairwise(levels))


@SEVERAL
@given(GRIDS, st.sampled_from(testing.every(Schedule)))
def test_a_grid_of_any_size_falls_from_at_most_1_to_the_data(make, schedule):
    grid = make()
    assume(not isinstance(grid, grids.Chain) or isinstance(schedule, Tabulated))
    check_falls(grid, schedule)


STRANGE = st.sampled_from((0.0, -1.0, math.inf, math.nan))
RATIO, SHAPE = positive(1e-6, 1e6) | STRANGE, positive(0.2, 1e3) | STRANGE
SPACED = st.integers(-1, 50), RATIO, RATIO, SHAPE


@SEVERAL
@given(
    later(lambda n, least, most, _: grids.LogSNR(n, least, most), *SPACED)
    | later(lambda n, least, most, rho: grids.Karras(n, least, rho, most), *SPACED)
    | later(lambda n, rest, most, height: grids.Focused(n, height, rest=rest, ratio_max=most),
            *SPACED),
    MADE,
)  # fmt: skip
def test_a_grid_of_whatever_numbers_falls_or_is_refused_in_a_sentence(make, schedule):
    with suppress(UserError):
        check_falls(make(), schedule())


@pytest.mark.parametrize(
    "grid",
    [
        grids.LogSNR(5, 200.0),
        grids.LogSNR(5, 0.0),
        grids.Karras(5, -1.0),
        grids.Focused(5, rest=-1.0),
    ],
    ids=repr,
)
def test_a_grid_that_cannot_fall_says_between_what(grid):
    with pytest.raises(UserError, match=r"falls from σ/α = 80 \(t = 1 of EDM, .* cannot rest at"):
        grid(EDM())


# -- times of training -----------------------------------------------------------------------------


@SEVERAL
@given(
    st.sampled_from([*testing.every(TimeLaw), Stratified(Uniform(), 8)]),
    st.integers(0, 2**40),
    st.sets(st.integers(1, 39), max_size=4),
)
def test_times_are_in_the_unit_interval_and_are_drawn_alike_in_any_parts(law, start, cuts):
    schedule, rng = Tabulated.linear(), Streams.of(3, 40, start)
    whole = law(schedule, rng)
    assert ((whole > 0.0) & (whole <= 1.0)).all()
    parts = [law(schedule, rng[slice(*ends)]) for ends in pairwise((0, *sorted(cuts), 40))]
    torch.testing.assert_close(torch.cat(parts), whole, rtol=1e-13, atol=0)


# -- codecs ----------------------------------------------------------------------------------------


@SEVERAL
@given(st.integers(2, 70_000), st.data())
def test_whatever_levels_the_data_take_come_back_bit_for_bit(count, draw):
    """Of any number of levels, and where data have only some of them."""
    some = draw.draw(st.lists(st.integers(0, count - 1), min_size=2, max_size=30, unique=True))
    data = (torch.tensor(some, dtype=torch.float64) / (count - 1)).float().reshape(-1, 1)
    for codec in (Range(), Standard(draw.draw(positive(0.1, 10.0))), Levels(count)):
        codec.fit([data], count)
        assert torch.equal(codec.decode(codec.encode(data)), data)


@SEVERAL
@given(st.floats(-1e3, 1e3), positive(1e-3, 1e3), positive(0.1, 10.0), st.integers(1, 30))
def test_the_units_of_the_data_are_forgotten(shift, scale, deviation, part):
    """x_0 of a·data + b is that of the data, with the deviation asked for, however it is read."""
    data = Streams.of(3, 30).normal((3,), torch.float64)
    for codec in (Range(), Standard(deviation)):
        told = codec.fit([data]).encode(data)
        other = shift + scale * data
        x_0 = codec.fit(other.split(part)).encode(other)
        torch.testing.assert_close(x_0, told, rtol=1e-7, atol=1e-7)
    assert x_0.std(correction=0).item() == pytest.approx(deviation, rel=1e-7)
    assert x_0.mean().item() == pytest.approx(0.0, abs=1e-7)
