"""Told series judged: the same gaps for everybody, and nobody sees what is asked of him."""

from dataclasses import replace

import numpy as np
import pandas
import pytest
import torch
from test_impute import frame, model
from test_timegrad import small as recurrent

from hush.data import series, split
from hush.errors import UserError
from hush.evaluation import ets
from hush.tasks.judged import Units, backtest, judge_gaps
from hush.tasks.judged.backtest import FORECASTS, ahead, fitted, origins
from hush.tasks.judged.gaps import GAPS, classical, hide
from hush.tasks.judged.series import COLUMNS, Hidden

LENGTH = 12


def parts(data=None, share=0.4, length=LENGTH, **options):
    data = frame(80, 2, hidden=0.1) if data is None else data
    source = series(data, length=length, **options)
    return source, *split(source, share)


def with_values(source, values):
    """The source with another table of values, as if the file had held them."""
    table = replace(source.table, values=values)
    return type(source)(table, source.options, source.spans, source.thin)


# units


def test_units_are_those_of_what_was_learnt():
    source, train, held = parts()
    units, cut = Units.of(train), held.spans[0][0]
    learnt = source.table.values[:, :cut].double()
    z = units.standard(learnt)
    assert z.nanmean(1).abs().max() < 1e-12
    assert torch.allclose(z.square().nanmean(1), torch.ones(2).double())
    later = source.table.values.clone()
    later[:, cut:] *= 100.0
    assert torch.equal(Units.of(with_values(train, later)).mean, units.mean)


# gaps


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_share_of_what_a_window_knows_is_hidden_the_same_whoever_is_asked(share):
    _, train, held = parts()
    hidden = hide(held, Units.of(train), share, seed=3)
    known = ~hidden.truth.isnan()
    assert not (hidden.mask & ~known).any()
    counts = (share * known.sum((1, 2))).round().clamp(min=1)
    assert torch.equal(hidden.mask.sum((1, 2)), counts.long())
    assert torch.equal(hidden.seen.isnan(), hidden.mask | ~known)
    few = hide(held, Units.of(train), share, most=3, seed=3)
    place = (hidden.firsts.unsqueeze(0) == few.firsts.unsqueeze(1)).nonzero()[:, 1]
    assert torch.equal(few.mask, hidden.mask[place])
    assert not torch.equal(hide(held, Units.of(train), share, seed=4).mask, hidden.mask)


@pytest.mark.parametrize(("where", "first"), [("middle", 4), ("end", 8)])
def test_a_blackout_is_a_stretch_of_all_channels(where, first):
    _, train, held = parts(frame(80, 2, hidden=0.0))
    mask = hide(held, Units.of(train), 1 / 3, where).mask
    assert mask[:, :, first : first + 4].all()
    assert mask.sum() == mask.shape[0] * 2 * 4


def test_nobody_sees_what_is_hidden_nor_another_window():
    _, train, held = parts()
    units = Units.of(train)
    hidden = hide(held, units, 0.5, most=4)
    planted = held.table.values.clone()
    answers = {**classical(hidden, samples=3, period=4), "csdi": hidden.answers(model(), 3)}
    assert set(answers) == {*GAPS, "csdi"}
    # In one window after the other every hidden value is a tell-tale, and all others are too.
    for i, first in enumerate(hidden.firsts.tolist()):
        values, window = planted.clone(), slice(first, first + LENGTH)
        values[:] = 1e3
        values[:, window] = torch.where(hidden.mask[i], 1e3, planted[:, window])
        values = values.where(~planted.isnan(), torch.nan)
        other = hide(with_values(held, values), units, 0.5, most=4)
        assert torch.equal(other.mask, hidden.mask)
        told = {**classical(other, samples=3, period=4), "csdi": other.answers(model(), 3, batch=3)}
        for who in answers:
            same = torch.equal(told[who][i], answers[who][i])
            close = torch.allclose(told[who][i], answers[who][i], rtol=1e-4, atol=1e-4)
            assert same or (who == "csdi" and close)  # to rounding, in another batch


def test_a_row_says_what_its_answers_are_worth():
    random = torch.Generator().manual_seed(0)
    truth = torch.randn(300, 1, 8, generator=random, dtype=torch.float64)
    mask = torch.ones_like(truth, dtype=torch.bool)
    units = Units(torch.zeros(1, 1).double(), torch.ones(1, 1).double())
    hidden = Hidden("all", {}, truth, mask, torch.arange(300), units)
    law = torch.randn(300, 200, 1, 8, generator=random, dtype=torch.float64)
    row = hidden.row("the law", law)
    # Of N(0, 1): E CRPS = 1/√π, E |x| = √(2/π), and its 90 % interval is 3.29 wide.
    assert row.crps.value == pytest.approx(np.pi**-0.5, rel=0.04)
    assert row.quantiles.value == pytest.approx(1.04 * np.pi**-0.5, rel=0.04)
    assert row.mae.value == pytest.approx((2 / np.pi) ** 0.5, rel=0.04)
    assert row.coverage.value == pytest.approx(0.9, abs=0.02)
    assert row.width.value == pytest.approx(3.29, rel=0.02)
    point = hidden.row("zero", torch.zeros(300, 1, 1, 8, dtype=torch.float64))
    assert point.crps.value == point.mae.value == pytest.approx(truth.abs().mean().item())
    assert len(point.cells()) == len(row.cells()) == len(COLUMNS)
    assert (point.coverage, point.cells()[-2:]) == (None, ("", ""))


def test_a_run_is_judged_beside_each_method():
    _, train, held = parts()
    rows = judge_gaps(model(), held, Units.of(train), (0.2, 0.8), samples=19, most=3, period=4)
    assert [row.who for row in rows] == 2 * ["csdi", *GAPS]
    assert [row.hidden for row in rows] == 5 * ["20 %"] + 5 * ["80 %"]
    assert all(row.coverage is not None for row in rows if row.who in ("csdi", "Gaussian process"))


# forecasts


def systems_of_forecasts():
    return {
        "any gaps": model(2, LENGTH),
        "a horizon": model(2, LENGTH, horizon=3),
        "timegrad": recurrent((2, LENGTH)),
    }


@pytest.mark.parametrize("kind", ["any gaps", "a horizon", "timegrad"])
@pytest.mark.parametrize("channel", [0, 1, slice(None)])
def test_a_tell_tale_changes_no_forecast_before_it(kind, channel):
    system = systems_of_forecasts()[kind]
    _, train, held = parts(frame(120, 2, hidden=0.05))
    units, context, reach = Units.of(train), LENGTH - 3, 3
    found = origins(held, context, reach, 9)[:4]
    tale = found[1].stamp
    values = held.table.values.clone()
    values[channel, tale:] = torch.linspace(-1e3, 1e3, values.shape[1] - tale)
    values[channel, tale + 1 :: 7] = torch.nan  # and where values are missing says nothing either

    def told(source):
        hidden = ahead(source, units, found, context, reach, 3)
        answers = {"run": hidden.answers(system, 3, grid=2)}
        if kind == "any gaps":
            answers |= fitted(hidden, source, found, 3, samples=3, period=7)
        return {who: part.nan_to_num(0.0) for who, part in answers.items()}

    before, after = told(held), told(with_values(held, values))
    assert set(before) == ({"run", *FORECASTS} if kind == "any gaps" else {"run"})
    for who, forecast in before.items():
        assert torch.equal(after[who][:2], forecast[:2])
        assert not torch.equal(after[who][2:, :, channel], forecast[2:, :, channel])


def test_origins_go_over_what_is_held_out_and_contexts_reach_back():
    source, train, held = parts()
    cut = train.spans[0][1]
    found = origins(held, 9, 3, 4)
    assert [origin.stamp for origin in found] == list(range(cut, 80 - 2, 4))
    assert [o.stamp for o in origins(held, 9, 3, 1, most=2)] == [cut, cut + (78 - cut) // 2]
    assert origins(source, 9, 3, 4)[0].stamp == 9
    with_context = parts(length=None, context=9, horizon=3)[2]
    assert origins(with_context, 9, 3, 4)[0].stamp == cut
    hidden = ahead(held, Units.of(train), found, 9, 3, 2)
    assert hidden.mask[..., :9].sum() == hidden.mask[..., 11:].sum() == 0
    assert hidden.seen[..., 9:].isnan().all()
    wanted = Units.of(train).standard(held.table.values[:, cut : cut + 2])
    assert torch.equal(hidden.truth[0, :, 9:11].nan_to_num(), wanted.nan_to_num())


def test_methods_are_fitted_to_the_past_of_each_origin():
    _, train, held = parts(frame(80, 2, hidden=0.0))
    units = Units.of(train)
    found = origins(held, 9, 3, 6, most=2)
    hidden = ahead(held, units, found, 9, 3, 3)
    answers = fitted(hidden, held, found, 3, samples=400, past=30)
    past = units.standard(held.table.values[:, found[1].stamp - 30 : found[1].stamp])
    open_end = torch.nn.functional.pad(past.unsqueeze(0), (0, 3), value=torch.nan)
    alone = ets(open_end, 3, samples=400, period=7)[0, ..., -3:]  # days have weeks
    own = answers["ETS"][1, ..., 9:12]
    assert torch.allclose(own.mean(0), alone.mean(0), atol=0.4)
    assert torch.allclose(answers["last value"][1, 0, :, 9], past[:, -1])
    week = units.standard(held.table.values[:, found[1].stamp - 7 : found[1].stamp - 4])
    assert torch.allclose(answers["seasonal naive"][1, 0, :, 9:], week)


def test_a_backtest_is_a_row_for_each():
    _, train, held = parts(frame(120, 2, hidden=0.0))
    rows = backtest(model(2, LENGTH), held, Units.of(train), 3, samples=5, most=2)
    assert [row.who for row in rows] == ["csdi", *FORECASTS]
    assert all(row.crps_sum is not None for row in rows)
    alike = pandas.DataFrame({"time": range(120), "a": 1.0, "b": np.arange(120.0)})
    _, train, held = parts(alike)
    rows = backtest(model(2, LENGTH), held, Units.of(train), 3, samples=5, most=1)
    assert [row.who for row in rows] == ["csdi", "last value", "ETS", "ARIMA", "VAR"]


# what cannot be


@pytest.mark.parametrize(
    ("judge", "sentence"),
    [
        (lambda held, u: judge_gaps(model(2, LENGTH, horizon=3), held, u), "use hush forecast"),
        (lambda held, u: judge_gaps(model(1), held, u), "has 2 channels"),
        (lambda held, u: judge_gaps(model(), held, u, (1.5,)), "share=1.5: expected a share"),
        (lambda held, u: judge_gaps(model(), held, u, where="top"), "where=top: expected random"),
        (lambda held, u: judge_gaps(model(), held, u, most=1, against=("last",)), "did you mean"),
        (lambda held, u: backtest(model(), held, u, 3, most=1, against=("VARX",)), "did you mean"),
        (lambda held, u: backtest(model(), held, u, 12), "it tells 1 to 11 ahead"),
    ],
)
def test_what_cannot_be_judged_is_one_sentence(judge, sentence):
    _, train, held = parts()
    with pytest.raises(UserError, match=sentence):
        judge(held, Units.of(train))
