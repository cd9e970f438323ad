"""Series in the style of scikit-learn: fit, predict, transform, get_params, clone, cross_val_score.

Histories are pandas frames or series (stamps as a DatetimeIndex, a column "time", or none, and then
rows are evenly spaced) or arrays (stamp,) and (stamp, channel); NaN is a missing value.
"""

from collections.abc import Mapping, Sequence
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas
import torch
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from hush.data import series
from hush.data.roles import TIMES
from hush.errors import UserError
from hush.evaluation.forecasts import fair_crps
from hush.system import System
from hush.systems.index import find
from hush.tasks.forecast import Forecast, forecast
from hush.tasks.impute import impute
from hush.tasks.judged import Units
from hush.training.loop import train


class _Series(BaseEstimator):
    """What both learn by: a system of that name, `settings` of its function, `steps` and other
    fields of its `recipe`; `samples` answers to each question, drawn by `sampler` and `grid`."""

    def _learnt(self, history: pandas.DataFrame, length: int, horizon: int) -> System:
        """The system, trained on all windows of the history but that of its last stamp."""
        self.seed_ = int(check_random_state(self.random_state).randint(2**31 - 1))
        self.n_features_in_ = history.shape[1]
        # Held out, as training wants something to be: the one stamp that a window has to tell.
        source = series(history, context=length - 1, horizon=1, calendar=self.calendar)
        told = {"features": len(source.features), "horizon": horizon}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed_)
            system = find(self.system)(source.shape, **told, **(self.settings or {}))
        recipe = {"held_out": 1e-9, **(self.recipe or {}), "steps": self.steps}
        with TemporaryDirectory() as run:
            return train(system, source, run, show=False, seed=self.seed_, **recipe)

    def _how(self) -> dict[str, Any]:
        """How answers are drawn."""
        drawn = {"samples": self.samples, "sampler": self.sampler, "grid": self.grid}
        return {**drawn, "seed": self.seed_, "calendar": self.calendar}


class Forecaster(_Series):
    """Tells the `horizon` stamps after a history, from the `context` before them.

        >>> Forecaster(horizon=12, steps=500).get_params()["horizon"]
        12

    system        csdi, sssd or timegrad
    settings      arguments of its function, such as {"width": 32}
    steps         of training; other fields of `hush.Recipe` in `recipe`, {"batch": 32, …}
    samples       futures that are drawn, by `sampler` in `grid` steps
    calendar      what is derived from stamps: hour, weekday, yearday, month, position
    random_state  a number makes training and futures the same every time

    In cross-validation (`TimeSeriesSplit`) the rows that are to be told are only counted.
    """

    def __init__(
        self,
        system: str = "timegrad",
        horizon: int = 1,
        context: int = 24,
        steps: int = 5000,
        settings: Mapping[str, Any] | None = None,
        recipe: Mapping[str, Any] | None = None,
        samples: int = 100,
        sampler: Any = None,
        grid: Any = None,
        calendar: Sequence[str] = (),
        random_state: Any = None,
    ) -> None:
        self.system, self.horizon, self.context = system, horizon, context
        self.steps, self.settings, self.recipe = steps, settings, recipe
        self.samples, self.sampler, self.grid = samples, sampler, grid
        self.calendar, self.random_state = calendar, random_state

    def fit(self, X: Any, y: Any = None) -> "Forecaster":
        """Learn from a history: `y` where it is given, at the stamps of `X`, else `X`."""
        self.history_, self._form = _frame(X, y)
        length = self.context + self.horizon
        self.system_ = self._learnt(self.history_, length, self.horizon)
        return self

    def forecast(self, horizon: int | None = None, history: Any = None) -> Forecast:
        """All futures of the stamps after the history that was fitted, or another."""
        check_is_fitted(self)
        known = self.history_ if history is None else _frame(history)[0]
        return forecast(self.system_, known, horizon or self.horizon, **self._how())

    def predict(self, X: Any = None) -> Any:
        """The mean of as many stamps after the history as `X` has rows, which are not looked at, or
        of `horizon`: in the form of what was fitted."""
        frame = self.forecast(None if X is None else len(X)).frame()
        return self._form(frame)

    def score(self, X: Any, y: Any = None) -> float:
        """Minus the CRPS of what came, `y` or else `X`, in units of the history's deviation: 0 is
        perfect."""
        truth = torch.from_numpy(_frame(X, y)[0].to_numpy(dtype=float).T.copy())
        found = self.forecast(truth.shape[1])
        units = Units.of(series(self.history_, length=1))
        told = units.standard(found.samples[0].cpu())
        return -fair_crps(told.unsqueeze(0), units.standard(truth).unsqueeze(0)).value


class Imputer(TransformerMixin, _Series):
    """Fills what is missing from series, window by window of `length` stamps, with the mean of
    `samples` answers; what is known comes back as it was. `hide` says what training hides, and the
    other options are those of `Forecaster`."""

    def __init__(
        self,
        system: str = "csdi",
        length: int = 48,
        steps: int = 5000,
        settings: Mapping[str, Any] | None = None,
        recipe: Mapping[str, Any] | None = None,
        samples: int = 100,
        sampler: Any = None,
        grid: Any = None,
        calendar: Sequence[str] = (),
        random_state: Any = None,
    ) -> None:
        self.system, self.length = system, length
        self.steps, self.settings, self.recipe = steps, settings, recipe
        self.samples, self.sampler, self.grid = samples, sampler, grid
        self.calendar, self.random_state = calendar, random_state

    def fit(self, X: Any, y: Any = None) -> "Imputer":
        """Learn from a history with gaps or without; `y` is not looked at."""
        self.system_ = self._learnt(_frame(X)[0], self.length, 0)
        return self

    def transform(self, X: Any) -> Any:
        """`X` with its gaps filled, in its own form."""
        check_is_fitted(self)
        frame, form = _frame(X)
        if not frame.isna().any(axis=None):
            return form(frame.copy())
        return form(impute(self.system_, frame, **self._how()))


def _frame(X: Any, y: Any = None) -> tuple[pandas.DataFrame, Any]:
    """A history as a frame whose index has its stamps, and what gives such a frame the form the
    history had."""
    given = X if y is None else y
    stamps = X.index if isinstance(X, pandas.DataFrame | pandas.Series) else None
    if isinstance(given, pandas.Series):
        name = given.name
        frame, form = given.to_frame("value" if name is None else name), _series_of(name)
    elif isinstance(given, pandas.DataFrame):
        frame, form = given, lambda told: told
    else:
        values = np.asarray(given, dtype=float)
        if values.ndim not in (1, 2):
            raise UserError(
                f"A history of shape {values.shape}: expected (stamp,) or (stamp, channel)."
            )
        stamps = stamps if stamps is not None and len(stamps) == len(values) else None
        frame = pandas.DataFrame(values.reshape(len(values), -1), index=stamps)
        form = _array_of(values.ndim)
    times = [name for name in frame.columns if str(name).lower() in TIMES]
    if times:
        frame = frame.set_index(times[0])
    return frame.rename_axis(frame.index.name or "time").rename(columns=str), form


def _series_of(name: Any) -> Any:
    return lambda told: told.iloc[:, 0].rename(name)


def _array_of(ndim: int) -> Any:
    return lambda told: told.to_numpy()[:, 0] if ndim == 1 else told.to_numpy()
