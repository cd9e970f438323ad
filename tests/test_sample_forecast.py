"""Futures in the shape of GluonTS: its names, its rules and, where it is installed, its class."""

import numpy as np
import pandas
import pytest
from test_impute import frame, model

from hush.errors import UserError
from hush.tasks.forecast import forecast
from hush.tasks.sample_forecast import SampleForecast


def told(stamps, channels=1, horizon=4, samples=7, **settings):
    data = frame(len(stamps), channels, hidden=0.0).assign(time=stamps)
    return forecast(model(channels), data, horizon, samples, 3, **settings)


@pytest.mark.parametrize(
    ("freq", "first"),
    [
        ("h", "2020-01-02 16:00"),
        ("D", "2020-02-10"),
        ("W-SAT", "2020-10-10"),
        ("MS", "2023-05-01"),
        ("ME", "2023-05-31"),
        ("QS-OCT", "2030-01-01"),
    ],
)
def test_a_future_starts_after_the_last_stamp_and_goes_on_as_often(freq, first):
    stamps = pandas.date_range("2020-01-01", periods=40, freq=freq)
    found = told(stamps)
    (one,) = found.sample_forecasts()
    assert one.start_date == pandas.Period(first, freq=one.freq)
    assert one.prediction_length == len(one.index) == 4
    stamps_told = pandas.PeriodIndex(found.frame().index, freq=one.freq)
    assert list(one.index) == list(stamps_told)
    assert np.array_equal(one.samples, found.samples[0, :, 0])
    assert (one.item_id, one.dim(), one.num_samples) == (None, 1, 7)


def test_working_days_go_on_with_working_days():
    stamps = pandas.bdate_range("2024-01-01", periods=40)  # the last is a Friday
    assert [stamp.day_name() for stamp in told(stamps).frame().index] == [
        "Monday",
        "Tuesday",
        "Wednesday",
        "Thursday",
    ]


def test_channels_come_last_and_can_be_taken_apart():
    found = told(pandas.date_range("2020", periods=40, freq="D"), 2)
    (one,) = found.sample_forecasts()
    assert one.samples.shape == (7, 4, 2)
    assert np.array_equal(one.samples[..., 1], found.samples[0, :, 1])
    assert np.array_equal(one.copy_dim(1).samples, one.samples[..., 1])
    assert np.array_equal(one.copy_aggregate(np.sum).samples, one.samples.sum(2))
    assert (one.dim(), one.copy_dim(0).dim()) == (2, 1)


def test_each_series_of_a_long_table_has_its_own():
    parts = [frame(30, hidden=0).assign(item="x"), frame(20, seed=1, hidden=0).assign(item="y")]
    found = forecast(model(1), pandas.concat(parts), 3, samples=4, seed=1, item="item")
    one, two = found.sample_forecasts()
    assert (one.item_id, two.item_id) == ("x", "y")
    assert str(two.start_date) == "2020-01-21"
    assert np.array_equal(two.samples, found.samples[1, :, 0])


def test_quantiles_are_samples_in_their_order():
    samples = np.random.default_rng(0).permuted(np.arange(55.0).reshape(11, 5), axis=0)
    one = SampleForecast(samples, pandas.Period("2020-01", "M"))
    for q, row in ((0.0, 0), (0.5, 5), ("0.9", 9), ("p90", 9), (1.0, 10)):
        assert np.array_equal(one.quantile(q), np.arange(5) + 5.0 * row)
    assert np.array_equal(one["median"], one.median)
    assert list(one.quantile_ts(0.5).index) == list(one.index)
    for wrong in ("p5", 1.5, "high"):
        with pytest.raises(UserError, match="expected a share"):
            one.quantile(wrong)


def test_stamps_without_a_period_are_one_sentence():
    data = frame(30, hidden=0.0).assign(time=np.arange(30.0))
    with pytest.raises(UserError, match="no evenly spaced dates"):
        forecast(model(1), data, 3, samples=2).sample_forecasts()


@pytest.mark.parametrize("channels", [1, 2])
def test_it_is_what_gluonts_makes_of_the_same_samples(channels):
    theirs = pytest.importorskip("gluonts.model.forecast").SampleForecast
    stamps = pandas.date_range("2020-01-31", periods=40, freq="ME")
    (ours,) = told(stamps, channels).sample_forecasts()
    other = theirs(ours.samples, ours.start_date, ours.item_id, ours.info)
    for name in ("start_date", "freq", "item_id", "info", "num_samples", "prediction_length"):
        assert getattr(ours, name) == getattr(other, name)
    assert ours.index.equals(other.index)
    for q in (0.05, 0.5, "0.9", "p95"):
        assert np.array_equal(ours.quantile(q), other.quantile(q))
    for name in ("mean", "median", "0.1"):
        assert np.array_equal(ours[name], other[name])
    assert ours.dim() == other.dim()
    assert np.array_equal(ours.copy_dim(0).samples, other.copy_dim(0).samples)
    if channels == 1:
        assert ours.mean_ts.equals(other.mean_ts)
        assert ours.quantile_ts(0.5).equals(other.quantile_ts(0.5))
    else:
        summed = ours.copy_aggregate(np.sum).samples
        assert np.array_equal(summed, other.copy_aggregate(np.sum).samples)
