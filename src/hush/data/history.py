"""A picture of series over their stamps: what was observed, the bands of what is told, and what
stands out."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from hush.data.bands import banded, pixels
from hush.data.clock import stamps_of
from hush.data.windows import Windows
from hush.data.words import shown

PANELS = 6  # that are drawn
STAMPS = 300  # of each, at most
DOTS = 150  # stamps whose dots are large
SIZE = (9.0, 2.1)  # inches of a panel, at 100 pixels each


class Panel(NamedTuple):
    """A channel of one series, and the stamp of the table that it is drawn around."""

    item: int
    channel: int
    around: int


def history(
    source: Windows,
    told: Float[Tensor, "share channel stamp"],
    panels: Sequence[Panel],
    marked: Sequence[tuple[int, int, int]] = (),
    stamps: int = STAMPS,
) -> Float[Tensor, "3 height width"]:
    """The first panels, one below the other, of `stamps` each at most: dots and a line observed,
    bands the middle 50 and 90 % of what is `told` (the quantiles `bands.SHARES`, NaN where nothing
    is) around its median, red what is `marked`, (channel, first stamp, one after the last). How
    many panels are left out stands below. In [0, 1]."""
    from matplotlib.figure import Figure

    drawn, moments = panels[:PANELS], _moments(source)
    left = len(panels) - len(drawn)
    figure = Figure((SIZE[0], SIZE[1] * len(drawn) + 0.5), dpi=100, layout="constrained")
    rows = figure.subplots(len(drawn), 1, squeeze=False)[:, 0]
    for axes, panel in zip(rows, drawn, strict=True):
        part = _part(source, panel, stamps)
        shares = told[:, panel.channel, part]
        known = source.table.values[panel.channel, part]
        _panel(axes, moments[part], known, shares)
        for channel, low, high in marked:
            if channel == panel.channel and low < part.stop and high > part.start:
                _mark(axes, moments, max(low, part.start), min(high, part.stop))
        axes.set_title(_title(source, panel, part), loc="left", fontsize=10)
        axes.margins(x=0.01)
    lines = [axes.get_legend_handles_labels() for axes in rows]
    lines = {text: line for pair in lines for line, text in zip(*pair, strict=True)}
    figure.legend(
        lines.values(), lines, loc="outside upper right", ncols=5, fontsize=8, frameon=False
    )
    if left:
        figure.supxlabel(f"{left:,} more panels are left out", fontsize=9, color="0.4")
    return pixels(figure)


def _panel(axes: Any, at: np.ndarray, known: Tensor, shares: Tensor) -> None:
    size = 3.0 if len(at) <= DOTS else 1.5
    axes.plot(at, known, color="0.2", lw=0.8, marker=".", ms=size, label="observed", zorder=3)
    banded(axes, at, _joined(known, shares), labels=True)
    if np.issubdtype(at.dtype, np.datetime64):
        from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

        ticks = AutoDateLocator(maxticks=9)
        axes.xaxis.set_major_locator(ticks)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(ticks))
    axes.tick_params(labelsize=8)
    axes.xaxis.get_offset_text().set_size(8)
    axes.set_ylim(*_held(known, shares))


def _held(known: Tensor, shares: Tensor) -> tuple[float, float]:
    """The range of what is observed and of the bands, these up to half the range of the first
    beyond it: one wild band would leave nothing else to see."""
    seen, told = known[~known.isnan()], shares[~shares.isnan()]
    both = torch.cat((seen, told))
    if not len(both):
        return 0.0, 1.0
    low, high = (seen if len(seen) else told).aminmax()
    reach = 0.5 * (high - low)
    low, high = both.min().maximum(low - reach).item(), both.max().minimum(high + reach).item()
    room = 0.05 * (high - low) or 0.5
    return low - room, high + room


def _joined(known: Tensor, shares: Tensor) -> Tensor:
    """The bands, closed at what is known beside them: a gap of one stamp would show none."""
    told = ~shares[0].isnan()
    beside = torch.nn.functional.pad(told, (1, 1))
    beside = (beside[2:] | beside[:-2]) & ~told & ~known.isnan()
    return torch.where(beside, known, shares)


def _mark(axes: Any, moments: np.ndarray, low: int, high: int) -> None:
    """Half a step beyond either end, so that one stamp is seen."""
    half = np.median(np.diff(moments[max(0, low - 50) : high + 50])) / 2
    ends = moments[low] - half, moments[high - 1] + half
    axes.axvspan(*ends, color="C3", alpha=0.2, lw=0, label="stands out")


def _part(source: Windows, panel: Panel, most: int) -> slice:
    start, end = list(pairwise(source.table.bounds))[panel.item]
    low = max(start, min(panel.around - most // 2, end - most))
    return slice(low, min(low + most, end))


def _title(source: Windows, panel: Panel, part: slice) -> str:
    start, end = list(pairwise(source.table.bounds))[panel.item]
    names = [source.items[panel.item]] if len(source.items) > 1 else []
    title = shown(" · ".join([*names, source.channels[panel.channel]]))
    if (part.start, part.stop) == (start, end):
        return title
    return (
        f"{title}   (stamps {part.start - start + 1:,} to {part.stop - start:,} of {end - start:,})"
    )


def _moments(source: Windows) -> np.ndarray:
    """The stamps as matplotlib takes them: dates as on the wall, or numbers."""
    stamps = stamps_of(source)
    aware = getattr(stamps.dtype, "tz", None) is not None
    return (stamps.dt.tz_localize(None) if aware else stamps).to_numpy()
