"""Gaps that are told: shares of what is known hidden, a run beside what needs no learning."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from threadpoolctl import threadpool_limits
from torch import Tensor

from hush.data import Windows
from hush.data.clock import season
from hush.errors import UserError, nearest
from hush.evaluation.gaussian_process import gaussian_process
from hush.evaluation.naive import last_value, linear_interpolation, seasonal_naive
from hush.networks.series import SERIES, TIME
from hush.rng import Streams, derive
from hush.system import System
from hush.tasks.fit import must_fit, must_tell_gaps
from hush.tasks.gaps import share_of
from hush.tasks.impute import Samples
from hush.tasks.judged.series import Hidden, SeriesRow, Units

Method = Callable[[Tensor, Tensor, int], Samples]  # (values, time, seed) of one window

WHERE = ("random", "middle", "end")
GAPS = ("last value", "linear", "seasonal naive", "Gaussian process")


def judge_gaps(
    system: System,
    held: Windows,
    units: Units,
    shares: Sequence[float] = (0.1, 0.5, 0.9),
    where: str = "random",
    samples: int = 100,
    most: int = 64,
    against: Sequence[str] = GAPS,
    period: int | None = None,
    seed: int = 0,
    **how: Any,
) -> list[SeriesRow]:
    """A row for each share hidden, of the system and of each method it is held `against`.

    `held` is what the system has not learnt (`hush.data.split`), of which at most so many windows
    are taken, evenly; `units` are those of what it has (`Units.of`). `where` hides values at random
    or a stretch of all channels. `period` is the season in stamps, by default what their dates say;
    `how` says how answers are drawn (sampler, grid, batch). Raises `UserError` for a system that
    tells no gaps of such windows, and for what cannot be hidden.
    """
    must_fit(system, held)
    must_tell_gaps(system)
    period, rows = period or season(held), []
    for share in shares:
        hidden = hide(held, units, share, where, most, seed)
        answers = {
            system.name: hidden.answers(system, samples, seed, **how),
            **classical(hidden, against, samples, period, seed),
        }
        rows += [hidden.row(who, told) for who, told in answers.items()]
    return rows


def hide(
    held: Windows,
    units: Units,
    share: float,
    where: str = "random",
    most: int = 64,
    seed: int = 0,
) -> Hidden:
    """At most `most` windows, evenly from all, of each a share of what it knows hidden. What is
    hidden is a function of the seed and the window's first stamp."""
    if not 0.0 < share < 1.0:
        raise UserError(f"share={share:g}: expected a share of what is known, such as 0.5.")
    if where not in WHERE:
        raise UserError(f"where={where}: expected {', '.join(WHERE)}.")
    count = min(most, len(held))
    indices = [place * len(held) // count for place in range(count)]
    record = held.read(indices)
    firsts = torch.tensor([held.place(index)[1].start for index in indices])
    known = ~record[SERIES].isnan()
    mask = _stretch(known, share, where)
    if where == "random":
        rng = Streams(derive(seed, "hidden"), firsts)
        mask = share_of(known, torch.full((count,), share, dtype=torch.float64), rng)
    given = {**record, SERIES: record[SERIES].masked_fill(mask, torch.nan)}
    name = f"{100 * share:g} %" + ("" if where == "random" else f", {where}")
    return Hidden(name, given, units.standard(record[SERIES]), mask, firsts, units)


def classical(
    hidden: Hidden,
    against: Sequence[str] = GAPS,
    samples: int = 100,
    period: int | None = None,
    seed: int = 0,
) -> dict[str, Samples]:
    """What each method tells, in standard units, from each window by itself; one that does not
    apply is left out: a season without a `period`, or one that no window reaches over.

    The Gaussian process has an RBF kernel fitted to each channel by likelihood. Raises `UserError`
    for an unknown method.
    """
    for name in against:
        if name not in GAPS:
            raise UserError(f"against={name}: no such method for gaps; {nearest(name, GAPS)}")
    methods: dict[str, Method] = {
        "last value": lambda values, time, seed: last_value(values),
        "linear": lambda values, time, seed: linear_interpolation(values, time),
        "Gaussian process": partial(_process, samples),
    }
    if period and period < hidden.truth.shape[2]:
        methods["seasonal naive"] = lambda values, time, seed: seasonal_naive(values, period)
    return {name: _each(hidden, methods[name], seed) for name in against if name in methods}


def _each(hidden: Hidden, method: Method, seed: int) -> Samples:
    """Window by window: none is told anything of another, and where it knows nothing of a channel
    that is told to be 0, its mean in what was learnt."""
    windows = zip(hidden.seen, hidden.record[TIME], hidden.firsts.tolist(), strict=True)
    with threadpool_limits(1):  # of matrices so small more threads are slower, many times
        told = [
            method(values.unsqueeze(0), time.unsqueeze(0), derive(seed, f"window {first}"))
            for values, time, first in windows
        ]
    return torch.cat(told)


def _process(samples: int, values: Tensor, time: Tensor, seed: int) -> Samples:
    return gaussian_process(values, time, "rbf", samples=samples, seed=seed)


def _stretch(known: Tensor, share: float, where: str) -> Tensor:
    """A stretch of all channels, at least one stamp, in the middle or at the end."""
    length = known.shape[2]
    size = min(max(1, round(share * length)), length - 1)
    first = length - size if where == "end" else (length - size) // 2
    place = torch.arange(length)
    return (place >= first) & (place < first + size) & known
