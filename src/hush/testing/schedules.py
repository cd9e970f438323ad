"""The suites of schedules and of grids."""

import functools
import math
from dataclasses import fields, is_dataclass, replace
from itertools import pairwise
from typing import Any

import torch
from torch import nn

from hush.errors import UserError
from hush.samplers.grids import Grid
from hush.schedules import Level, Schedule, Tabulated
from hush.testing.claims import agree, require

linspace = functools.partial(torch.linspace, dtype=torch.float64)
logspace = functools.partial(torch.logspace, dtype=torch.float64)
_STENCIL = ((1, 45 / 60), (2, -9 / 60), (3, 1 / 60))  # central differences, of sixth order


def check_schedule(schedule: Schedule) -> None:
    """A schedule starts at the data, loses log-SNR without pause, and `time`, `rates`, `level` and
    `levels` say the same as its formula.

    - α = 1 and σ = 0 at t = 0, to 1e-12; both finite, α ≥ 0 and float64 on [0, 1];
    - log(α²/σ²) strictly falls;
    - `time` inverts `log_snr` to 1e-10 (relative where t is small), and holds to [0, 1];
    - `rates` are the derivatives, to 1e-7, by central differences of sixth order (between the steps
      of a chain, where its derivative jumps);
    - a float, a tensor and a level give the same numbers, to 1e-14.
    """
    name = type(schedule).__name__
    times = torch.cat((logspace(-6, -2, 41), linspace(0.01, 1, 457)[1:]))
    alpha, sigma = schedule(times)
    require(alpha.dtype == sigma.dtype == torch.float64, f"{name} must compute in float64.")
    require(alpha.shape == sigma.shape == times.shape, f"{name} must answer in the shape of t.")
    finite = alpha.isfinite().all() and sigma.isfinite().all()
    require(finite and (alpha >= 0).all(), f"α and σ of {name} must be finite, and α not negative.")
    start = schedule(torch.zeros(1, dtype=torch.float64))
    agree(start[0], 1.0, 1e-12, f"α of {name} at t = 0")
    agree(start[1], 0.0, 1e-12, f"σ of {name} at t = 0")
    log_snr = schedule.log_snr(times)
    require((log_snr.diff() < 0).all(), f"The log-SNR of {name} must strictly fall with time.")
    _check_time(schedule, name)
    _check_rates(schedule, name)
    _check_levels(schedule, name)


def _check_time(schedule: Schedule, name: str) -> None:
    times = torch.cat((logspace(-6, -1, 26), linspace(0.1, 1, 64)))
    back = schedule.time(schedule.log_snr(times))
    agree(back / times, 1.0, 1e-10, f"time(log_snr(t))/t of {name}")
    far = torch.tensor([math.inf, -math.inf], dtype=torch.float64)
    agree(schedule.time(far), torch.tensor([0.0, 1.0]), 0.0, f"time(±∞) of {name}")


def _check_rates(schedule: Schedule, name: str) -> None:
    count = schedule.steps if isinstance(schedule, Tabulated) else 101
    times = (torch.arange(count, dtype=torch.float64) + 0.5) / count  # between a chain's steps
    times = times[(times > 0.004) & (times < 0.9999)]
    width = 1e-5
    for index, letter in ((0, "α"), (1, "σ")):
        slope = sum(
            weight * (schedule(times + k * width)[index] - schedule(times - k * width)[index])
            for k, weight in _STENCIL
        )
        rates = schedule.rates(times)[index]
        agree(rates, slope / width, 1e-7, f"the rate d{letter}/dt of {name}")
    for time in times[:: max(1, len(times) // 7)].tolist():
        both = schedule.rates(torch.tensor([time], dtype=torch.float64))
        for one, many in zip(schedule.rates(time), both, strict=True):
            require(isinstance(one, float), f"rates of {name} at a float must be floats.")
            agree(one, many, 1e-14, f"rates of {name} at a float and at a tensor")


def _check_levels(schedule: Schedule, name: str) -> None:
    times = linspace(1, 0, 12)
    sweep, many = schedule.levels(times), schedule.level(times)
    for place, level in enumerate(sweep):
        require(
            all(isinstance(number, float) for number in level), f"levels of {name} must be floats."
        )
        require(schedule.level(level) is level, f"{name} must pass a level through.")
        single = schedule.level(level.time)
        for part, letter in enumerate(("t", "α", "σ")):
            what = f"{letter} of {name} as a float, "
            agree(single[part], level[part], 1e-14, what + "alone and in a sweep")
            agree(single[part], many[part][place], 1e-14, what + "and as a tensor")


def check_frozen(value: Any) -> None:
    """A value is a dataclass that cannot be changed, or a module: what it learns is then saved."""
    if isinstance(value, nn.Module):
        return
    frozen = is_dataclass(value) and value.__dataclass_params__.frozen
    require(frozen, f"{type(value).__name__} must be a dataclass(frozen=True).")


def check_grid(grid: Grid, schedule: Schedule) -> None:
    """A grid visits steps + 1 strictly decreasing times of (0, 1] and then 0, for any number of
    steps (or, where it `climbs`, others on the way), and its levels are the schedule's, all finite.
    It may refuse a schedule with a UserError.
    """
    name = type(grid).__name__
    check_frozen(grid)
    require("steps" in {f.name for f in fields(grid)}, f"{name} must have the field `steps`.")
    for steps in (1, 2, 7, 10):
        try:
            levels = replace(grid, steps=steps)(schedule)
        except UserError:
            return
        times = [level.time for level in levels]
        require(times[0] <= 1.0, f"{name} must begin at t = 1 or below, got {times[0]}.")
        if not grid.climbs:
            wanted = f"{name} of {steps} steps must visit {steps + 1} levels."
            require(len(levels) == steps + 1, wanted)
            falls = all(s < t for t, s in pairwise(times))
            require(falls, f"The times of {name} must fall from at most 1.")
        require(times[-1] == 0.0, f"{name} must end at t = 0 exactly, got {times[-1]}.")
        require(levels[-1].sigma <= 1e-12, f"{name} must end without noise.")
        for level in levels:
            require(isinstance(level, Level), f"{name} must answer with levels.")
            require(all(map(math.isfinite, level)), f"The levels of {name} must be finite.")
            agree(level, schedule.level(level.time), 1e-14, f"a level of {name}")
    try:
        replace(grid, steps=0)
    except UserError:
        return
    raise AssertionError(f"{name} must refuse 0 steps with a UserError.")
