"""Bridges over the truth, beside the exact ones."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from controlled_exact import Linear, Well
from torch import Tensor

from hush.data import Windows
from hush.system import System

CLOSER = 4  # times as many stamps as were learnt
DRAWN, SHOWN = 400, 6


def draw(
    learnt: Mapping[str, System],
    equations: Mapping[str, Linear | Well],
    tested: Mapping[str, Windows],
    lasting: Mapping[str, float],
    hidden: slice,
    out: Path,
) -> None:
    """Of each equation the three windows whose hidden stretch ends farthest from where it began:
    paths, the middle 90 % of them, and that of the exact posterior. A sampling step is `lasting`
    so long."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure((13.0, 3.2 * len(learnt)), dpi=100, layout="constrained")
    canvas, panels = FigureCanvasAgg(figure), figure.subplots(len(learnt), 3, squeeze=False)
    for name, row in zip(learnt, panels, strict=True):
        record = tested[name].read(range(len(tested[name])))
        values = record["series"][:, 0]
        far = (values[:, hidden.stop] - values[:, hidden.start - 1]).abs().argsort(descending=True)
        for axes, window in zip(row, far[:3].tolist(), strict=True):
            truth, given = values[window], values[window].clone()
            given[hidden] = torch.nan
            time = record["time"][window]
            _panel(axes, learnt[name], equations[name], truth, given, time, lasting[name])
            axes.set_title(name)
    canvas.print_png(out)


def _panel(
    axes: Any,
    system: System,
    equation: Linear | Well,
    truth: Tensor,
    given: Tensor,
    time: Tensor,
    lasting: float,
) -> None:
    fine = torch.full((1, 1, CLOSER * (len(given) - 1) + 1), torch.nan)
    fine[0, 0, ::CLOSER] = given
    stamps = torch.from_numpy(
        np.interp(np.arange(fine.shape[2]) / CLOSER, range(len(given)), time.numpy())
    )
    cond = {"series": fine, "time": stamps.float().unsqueeze(0)}
    drawn = system.sample(DRAWN, cond, seed=2, batch=DRAWN)[:, 0].double()
    low, high = drawn.quantile(torch.tensor([0.05, 0.95]).double(), 0)
    stamps, time = stamps * lasting, time * lasting
    axes.fill_between(stamps, low, high, color="C0", alpha=0.25, linewidth=0)
    axes.plot(stamps, drawn[:SHOWN].T, color="C0", linewidth=0.6)
    for edge in equation.quantiles(stamps, fine[0]):
        axes.plot(stamps, edge[0], "k--", linewidth=0.8)
    axes.plot(time, given, "k.", markersize=6)
    axes.plot(time, truth.masked_fill(~given.isnan(), torch.nan), "x", color="C3")
