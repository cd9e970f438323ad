"""Exponential smoothing and ARIMA, fitted to each window's own past (statsmodels).

`values` are (window, channel, length), their last `horizon` stamps to be told and so never looked
at; the answer is (window, sample, channel, length), the past as it is, told by straight lines where
it is missing.
"""

import importlib
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from hush.errors import UserError
from hush.evaluation.naive import linear_interpolation
from hush.rng import derive

Values = Float[Tensor, "window channel length"]
Samples = Float[Tensor, "window sample channel length"]


def ets(
    values: Values, horizon: int, period: int | None = None, samples: int = 100, seed: int = 0
) -> Samples:
    """Futures simulated from exponential smoothing with additive error, a damped additive trend
    and, with a `period`, an additive season. Hyndman et al. 2008, "Forecasting with exponential
    smoothing".

    Raises `UserError` without statsmodels, or for a context shorter than two periods.
    """
    module = _statsmodels("tsa.exponential_smoothing.ets")
    season = {"seasonal": "add", "seasonal_periods": period} if period else {}

    def fitted(past: np.ndarray) -> Any:
        model = module.ETSModel(past, error="add", trend="add", damped_trend=True, **season)
        return model.fit(disp=False)

    _check(values, horizon, 2 * (period or 5))
    return _each(values, horizon, samples, seed, fitted)


def arima(
    values: Values,
    horizon: int,
    order: tuple[int, int, int] = (1, 1, 1),
    seasonal: tuple[int, int, int, int] = (0, 0, 0, 0),
    samples: int = 100,
    seed: int = 0,
) -> Samples:
    """Futures simulated from ARIMA(p, d, q), with `seasonal` (P, D, Q, period). Box and Jenkins
    1970, "Time series analysis".

    Raises `UserError` without statsmodels, or for a context too short to fit it.
    """
    module = _statsmodels("tsa.arima.model")

    def fitted(past: np.ndarray) -> Any:
        return module.ARIMA(past, order=order, seasonal_order=seasonal).fit()

    _check(values, horizon, sum(order) + sum(seasonal[:3]) * seasonal[3] + 2)
    return _each(values, horizon, samples, seed, fitted)


def _each(
    values: Tensor, horizon: int, samples: int, seed: int, fitted: Callable[[np.ndarray], Any]
) -> Tensor:
    """The futures of every channel of every window, each fitted for itself."""
    stamps = torch.arange(values.shape[-1] - horizon).expand(len(values), -1)
    past = linear_interpolation(values[..., : values.shape[-1] - horizon], stamps.double())[:, 0]
    told = values.new_empty(len(values), samples, values.shape[1], horizon)
    random = np.random.default_rng(derive(seed, "smoothing"))
    for i, window in enumerate(past.double().cpu().numpy()):
        for k, channel in enumerate(window):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of a fit that stops early: its answer is scored
                future = fitted(channel).simulate(
                    horizon, repetitions=samples, anchor="end", rng=random
                )
            found = torch.from_numpy(np.asarray(future).reshape(horizon, samples).T.copy())
            told[i, :, k] = found.to(told)
    return torch.cat([past.unsqueeze(1).expand(-1, samples, -1, -1), told], -1)


def _check(values: Tensor, horizon: int, least: int) -> None:
    context = values.shape[-1] - horizon
    if horizon < 1 or context < least:
        raise UserError(
            f"horizon={horizon} leaves {context} of {values.shape[-1]} stamps to fit; expected a "
            f"horizon of at least 1 and a context of at least {least}."
        )


def _statsmodels(name: str) -> Any:
    try:
        return importlib.import_module(f"statsmodels.{name}")
    except ImportError as error:
        raise UserError(
            "This baseline needs statsmodels, which is not installed: pip install 'hush[series]'."
        ) from error
