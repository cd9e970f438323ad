"""Estimators of series: the manners of scikit-learn, and nothing told of what is to come."""

import subprocess
import sys

import numpy as np
import pandas
import pytest
from sklearn.base import clone
from sklearn.model_selection import TimeSeriesSplit, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import hush
from hush.errors import UserError

TINY = {"steps": 2, "samples": 3, "recipe": {"batch": 4, "workers": 0}, "random_state": 4}
GRID = {"settings": {"cells": 4, "chain": 20}, "context": 8}
GAPS = {"settings": {"width": 8, "depth": 1, "heads": 2, "chain": 4}, "length": 10}


def forecaster(**changes):
    return hush.Forecaster(**{"horizon": 3, **TINY, **GRID, **changes})


def imputer(**changes):
    return hush.Imputer(**{**TINY, **GAPS, **changes})


def history(stamps=40, channels=2, hidden=0.0):
    random = np.random.default_rng(1)
    values = random.standard_normal((stamps, channels)).cumsum(0)
    values[random.random(values.shape) < hidden] = np.nan
    index = pandas.date_range("2021-01-01", periods=stamps, freq="D")
    return pandas.DataFrame(values, index, list("ab")[:channels])


def test_a_history_goes_on_in_its_own_form():
    frame = history()
    told = forecaster().fit(frame).predict()
    assert list(told.index) == list(pandas.date_range("2021-02-10", periods=3))
    assert list(told.columns) == ["a", "b"]
    one = forecaster().fit(frame["a"]).predict()
    assert isinstance(one, pandas.Series)
    assert (one.name, one.shape) == ("a", (3,))
    assert forecaster().fit(frame.to_numpy()).predict().shape == (3, 2)
    assert forecaster().fit(frame["a"].to_numpy()).predict().shape == (3,)
    columns = forecaster().fit(frame.reset_index(names="time")).predict()
    assert np.array_equal(columns, told)


def test_a_number_makes_all_of_it_the_same_every_time():
    frame = history()
    first, again = forecaster().fit(frame), clone(forecaster()).fit(frame)
    assert np.array_equal(first.predict(), again.predict())
    assert not np.array_equal(first.predict(), forecaster(random_state=5).fit(frame).predict())
    assert not hasattr(clone(first), "system_")
    changed = clone(first).set_params(horizon=2, settings={"cells": 6, "chain": 20})
    assert changed.get_params()["horizon"] == changed.fit(frame).predict().shape[0] == 2


def test_it_is_backtested_as_others_are_and_is_told_nothing_of_what_comes():
    frame = history()
    cuts = TimeSeriesSplit(2, test_size=3)
    scores = cross_val_score(forecaster(), frame, cv=cuts, error_score="raise")
    assert scores.shape == (2,)
    assert (scores < 0.0).all()
    by_target = cross_val_score(forecaster(), frame, frame["a"], cv=cuts, error_score="raise")
    alone = cross_val_score(forecaster(), frame["a"], cv=cuts, error_score="raise")
    assert np.array_equal(by_target, alone)
    fitted = forecaster().fit(frame[:-3])
    assert np.array_equal(fitted.predict(frame[-3:]), fitted.predict(1e6 * frame[-3:]))
    exact = -fitted.score(fitted.predict())
    assert exact < -fitted.score(fitted.predict() + 50.0)


def test_another_history_is_told_on_without_learning_it():
    fitted = forecaster().fit(history())
    later = fitted.forecast(2, history(60))
    assert later.samples.shape == (1, 3, 2, 2)
    assert str(later.frame().index[0].date()) == "2021-03-02"


@pytest.mark.parametrize("form", [lambda f: f, lambda f: f["a"], lambda f: f.to_numpy()])
def test_gaps_are_filled_in_their_own_form_and_the_rest_is_kept(form):
    given = form(history(hidden=0.2))
    before = given.copy()
    told = imputer().fit_transform(given)
    assert type(told) is type(given)
    assert told.shape == given.shape
    known = ~np.isnan(np.asarray(given))
    assert np.array_equal(np.asarray(told)[known], np.asarray(before)[known])
    assert not np.isnan(np.asarray(told)).any()
    assert np.array_equal(np.asarray(given), np.asarray(before), equal_nan=True)
    whole = form(history())
    assert np.array_equal(imputer().fit(given).transform(whole), whole)


def test_it_stands_in_a_pipeline():
    frame = history(hidden=0.2)
    steps = make_pipeline(FunctionTransformer(), imputer())
    assert np.array_equal(steps.fit_transform(frame), imputer().fit_transform(frame))


def test_what_is_no_history_is_one_sentence():
    with pytest.raises(UserError, match=r"A history of shape \(2, 2, 2\)"):
        forecaster().fit(np.zeros((2, 2, 2)))
    with pytest.raises(UserError, match="pass a smaller length"):
        forecaster().fit(history(8))


def test_hush_does_not_wait_for_it():
    code = "import hush, sys; assert not {'sklearn', 'torch', 'pandas'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
