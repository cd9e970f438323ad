"""Forecasts from rolling origins: each told from what lies before it, a run beside methods fitted
to the same past.

    … learnt │ held out …
    ░░░░context░░░░│origin ▓horizon▓
          ░░░░context░░░░│origin ▓horizon▓      a stride later
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from threadpoolctl import threadpool_limits
from torch import Tensor
from torch.nn.functional import pad

from hush.data import Windows
from hush.data.clock import season
from hush.errors import UserError, nearest
from hush.evaluation.autoregression import fit_autoregression
from hush.evaluation.naive import last_value, seasonal_naive
from hush.evaluation.smoothing import arima, ets
from hush.networks.series import SERIES
from hush.rng import derive
from hush.system import System
from hush.tasks.fit import must_fit
from hush.tasks.forecast import reach_of
from hush.tasks.impute import Samples
from hush.tasks.judged.series import Hidden, SeriesRow, Units

Past = Float[Tensor, "1 channel _"]  # the stamps to be told at its end, NaN
Method = Callable[[Past, int], Samples]  # (past, seed)

FORECASTS = ("last value", "seasonal naive", "ETS", "ARIMA", "VAR")
PAST = 400  # stamps before an origin that classical methods are fitted to, at most


class Origin(NamedTuple):
    """The first stamp, of the table, that a forecast tells, and its series."""

    item: int
    stamp: int


def backtest(
    system: System,
    held: Windows,
    units: Units,
    horizon: int,
    stride: int | None = None,
    samples: int = 100,
    most: int = 64,
    against: Sequence[str] = FORECASTS,
    period: int | None = None,
    seed: int = 0,
    **how: Any,
) -> list[SeriesRow]:
    """A row of the system, and of each method it is held `against`, for the `horizon` stamps after
    origins every `stride` (by default the horizon) over the held-out part, at most so many, evenly.

    No forecast is told anything of its origin or after, but covariates, which are known ahead; its
    context may reach back into what was learnt. `held` and `units` are as of `judge_gaps`, `period`
    is the season in stamps, by default what their dates say; `how` says how answers are drawn
    (sampler, grid, batch). Raises `UserError` for a system that tells no such horizon, and a part
    that is too short.
    """
    must_fit(system, held)
    reach = reach_of(system, horizon)
    found = origins(held, system.task.shape[1] - reach, reach, stride or horizon, most)
    hidden = ahead(held, units, found, system.task.shape[1] - reach, reach, horizon)
    answers = {
        system.name: hidden.answers(system, samples, seed, **how),
        **fitted(hidden, held, found, horizon, against, samples, period, seed=seed),
    }
    return [hidden.row(who, told) for who, told in answers.items()]


def origins(held: Windows, context: int, reach: int, stride: int, most: int = 64) -> list[Origin]:
    """Every `stride` stamps over the part that is held out, at most so many, evenly. Raises
    `UserError` where none leaves `context` stamps before it and `reach` from it on."""
    found = []
    for item, (begin, end) in enumerate(held.spans):
        start = held.table.bounds[item]
        first = max(begin + (held.options.context or 0), start + context)
        if begin < end:
            found += [Origin(item, stamp) for stamp in range(first, end - reach + 1, stride)]
    if not found:
        raise UserError(
            f"{held.name}: no series has {reach} stamps held out after {context} others; hold more "
            "out, or take a smaller horizon."
        )
    count = min(most, len(found))
    return [found[place * len(found) // count] for place in range(count)]


def ahead(
    held: Windows,
    units: Units,
    found: Sequence[Origin],
    context: int,
    reach: int,
    horizon: int,
) -> Hidden:
    """The windows around the origins, hidden from them on; their first `horizon` stamps count."""
    record = held.at([(o.item, slice(o.stamp - context, o.stamp + reach)) for o in found])
    given = record[SERIES].clone()
    given[..., context:] = torch.nan
    mask = ~record[SERIES].isnan()
    mask[..., :context] = False
    mask[..., context + horizon :] = False
    firsts = torch.tensor([origin.stamp - context for origin in found])
    truth = units.standard(record[SERIES])
    name = f"{horizon} ahead"
    return Hidden(name, {**record, SERIES: given}, truth, mask, firsts, units, together=True)


def fitted(
    hidden: Hidden,
    held: Windows,
    found: Sequence[Origin],
    horizon: int,
    against: Sequence[str] = FORECASTS,
    samples: int = 100,
    period: int | None = None,
    lags: int = 1,
    past: int = PAST,
    seed: int = 0,
) -> dict[str, Samples]:
    """What each method tells, in standard units, fitted anew at each origin to at most `past`
    stamps before it; one that does not apply to the shortest of these is left out.

    ETS (additive, with the season where two are seen) and ARIMA(1, 1, 1) are fitted to each
    channel, a vector autoregression of `lags` to all. Raises `UserError` for an unknown method.
    """
    for name in against:
        if name not in FORECASTS:
            hint = nearest(name, FORECASTS)
            raise UserError(f"against={name}: no such method to forecast; {hint}")
    pasts = [_past(held, hidden.units, origin, past) for origin in found]
    shortest = min(values.shape[2] for values in pasts)
    period = period or season(held)
    methods = _methods(horizon, shortest, period, lags, samples, len(held.channels))
    return {
        name: _told(methods[name], pasts, found, hidden, horizon, seed)
        for name in against
        if name in methods
    }


def _past(held: Windows, units: Units, origin: Origin, most: int) -> Past:
    """What lies before an origin, in standard units."""
    start = max(held.table.bounds[origin.item], origin.stamp - most)
    return units.standard(held.table.values[:, start : origin.stamp]).unsqueeze(0)


def _methods(
    horizon: int, shortest: int, period: int | None, lags: int, samples: int, channels: int
) -> dict[str, Method]:
    """The methods that apply to pasts of which the shortest has so many stamps."""
    methods: dict[str, Method] = {"last value": lambda past, seed: last_value(past)}
    if period and period <= shortest:
        methods["seasonal naive"] = lambda past, seed: seasonal_naive(past, period)
    whole = period if period and shortest >= 2 * period else None
    if shortest >= 10:
        methods["ETS"] = lambda past, seed: ets(past, horizon, whole, samples, seed)
        methods["ARIMA"] = lambda past, seed: arima(past, horizon, samples=samples, seed=seed)
    if shortest >= lags + 2 + lags * channels:
        methods["VAR"] = lambda past, seed: fit_autoregression(past[0, :, :-horizon], lags).samples(
            past, horizon, samples, seed
        )
    return methods


def _told(
    method: Method,
    pasts: Sequence[Past],
    found: Sequence[Origin],
    hidden: Hidden,
    horizon: int,
    seed: int,
) -> Samples:
    """A method's answers at every origin, each fitted for itself, laid into the windows."""
    told = []
    with threadpool_limits(1):  # of matrices so small more threads are slower, many times
        for values, origin in zip(pasts, found, strict=True):
            open_end = pad(values, (0, horizon), value=torch.nan)
            told.append(method(open_end, derive(seed, f"origin {origin.stamp}"))[..., -horizon:])
    context = found[0].stamp - int(hidden.firsts[0])
    rest = hidden.truth.shape[2] - context - horizon
    return pad(torch.cat(told), (context, rest), value=torch.nan)
