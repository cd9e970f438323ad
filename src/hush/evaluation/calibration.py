"""Whether told laws are as sure as they may be: coverage, width, and a curve to look at.

Shapes and masks are those of `hush.evaluation.forecasts`.
"""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float64
from torch import Tensor

from hush.errors import UserError
from hush.evaluation.forecasts import LEVELS, Mask, Samples, Score, Truth, checked, mean_over
from hush.evaluation.quantiles import quantiles


def coverage(samples: Samples, truth: Truth, mask: Mask = None, level: float = 0.9) -> Score:
    """The share of the truth that lies in the central interval of `level`, which it should be.

    Raises `UserError` for a level outside (0, 1), or one that so few samples cannot tell: n
    samples reach to (n - 1)/(n + 1).
    """
    samples, truth, mask = checked("coverage", samples, truth, mask)
    low, high = _ends("coverage", samples, level)
    return mean_over(((low <= truth) & (truth <= high)).double(), mask)


def interval_width(samples: Samples, truth: Truth, mask: Mask = None, level: float = 0.9) -> Score:
    """The mean width of the central interval of `level`, in the unit of the truth: of two that
    cover alike the narrower is the better. Raises `UserError` as `coverage` does."""
    samples, truth, mask = checked("interval_width", samples, truth, mask)
    low, high = _ends("interval_width", samples, level)
    return mean_over(high - low, mask)


@dataclass(frozen=True)
class Calibration:
    """Of each level, the share of the truth below the told quantile, and its 95 % interval."""

    levels: tuple[float, ...]
    shares: tuple[float, ...]
    intervals: tuple[tuple[float, float], ...]


def calibration(
    samples: Samples,
    truth: Truth,
    mask: Mask = None,
    levels: Sequence[float] = LEVELS,
    seed: int = 0,
) -> Calibration:
    """How often the truth lies at or below each quantile: the distribution function of its ranks.

    On the diagonal the told laws are calibrated; flatter than it in the middle they are too wide,
    steeper too narrow.
    """
    samples, truth, mask = checked("calibration", samples, truth, mask)
    scores = [mean_over((truth <= q).double(), mask) for q in quantiles(samples, levels)]
    intervals = tuple(score.interval(seed) for score in scores)
    return Calibration(tuple(levels), tuple(score.value for score in scores), intervals)


def ranks(samples: Samples, truth: Truth, mask: Mask = None) -> Float64[Tensor, " entry"]:
    """The probability integral transform of every scored entry, (below + ½ (equal + 1))/(n + 1)
    with the numbers of samples below and equal to the truth: even in (0, 1) if all is well.
    """
    samples, truth, mask = checked("ranks", samples, truth, mask)
    truth = truth.unsqueeze(1)
    place = (samples < truth).double().sum(1) + 0.5 * ((samples == truth).double().sum(1) + 1.0)
    return (place / (samples.shape[1] + 1))[mask]


def calibration_plot(
    curves: Mapping[str, Calibration], out: str | os.PathLike[str] | None = None
) -> Any:
    """A matplotlib figure of calibration curves by name, with their intervals; a file if `out`."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.5, 4.5), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="0.6", linewidth=1, label="calibrated")
    for name, curve in curves.items():
        low, high = zip(*curve.intervals, strict=True)
        (line,) = axes.plot(curve.levels, curve.shares, marker=".", label=name)
        axes.fill_between(curve.levels, low, high, color=line.get_color(), alpha=0.2, linewidth=0)
    axes.set(xlabel="level of the quantile", ylabel="share of the truth below it")
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.legend(frameon=False)
    if out is not None:
        figure.savefig(out, dpi=150)
    return figure


def _ends(name: str, samples: Tensor, level: float) -> tuple[Tensor, Tensor]:
    if not 0 < level < 1:
        raise UserError(f"level={level}: expected a share between 0 and 1, such as 0.9.")
    count = samples.shape[1]
    if level > (count - 1) / (count + 1) + 1e-9:
        needed = math.ceil((1 + level) / (1 - level) - 1e-9)
        raise UserError(
            f"{name} got {count} samples, which cannot tell an interval of level={level}; expected "
            f"{needed} or more."
        )
    low, high = quantiles(samples, ((1 - level) / 2, (1 + level) / 2))
    return low, high
