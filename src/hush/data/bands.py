"""A picture of series: what is known of them, what is true, and what is told."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from hush.data.words import shown

DRAWN = 3  # channels that are shown of each window
SIZE = (4.0, 1.8)  # inches of a panel, at 100 pixels each
SHARES = (0.05, 0.25, 0.5, 0.75, 0.95)


def bands(
    known: Float[Tensor, "window channel length"],
    told: Float[Tensor, "window sample channel length"],
    truth: Float[Tensor, "window channel length"] | None = None,
    time: Float[Tensor, "window length"] | None = None,
    names: Sequence[str] = (),
) -> Float[Tensor, "3 height width"]:
    """Windows one below the other, their first channels side by side: dots are known (NaN is not),
    crosses true where nothing was, bands hold the middle 50 and 90 % of the samples around their
    median. `names` of the channels stand above them. In [0, 1], the same to the last bit every
    time.
    """
    from matplotlib.figure import Figure

    windows, channels, length = known.shape
    columns = min(channels, DRAWN)
    figure = Figure((SIZE[0] * columns, SIZE[1] * windows), dpi=100, layout="constrained")
    panels = figure.subplots(windows, columns, squeeze=False)
    shares = told.double().cpu().quantile(torch.tensor(SHARES, dtype=torch.float64), dim=1)
    stamps = torch.arange(length).expand(windows, -1) if time is None else time.cpu()
    for i, row in enumerate(panels):
        for k, axes in enumerate(row):
            at, seen = stamps[i], known[i, k].cpu()
            banded(axes, at, shares[:, i, k])
            axes.plot(at, seen, ".", color="0.2", markersize=4)
            if truth is not None:
                hidden = truth[i, k].cpu().masked_fill(~seen.isnan(), torch.nan)
                axes.plot(at, hidden, "x", color="C3", markersize=4)
    for axes, name in zip(panels[0], names, strict=False):  # of channels that are not drawn too
        axes.set_title(shown(name), loc="left", fontsize=10)
    return pixels(figure)


def banded(axes: Any, at: Any, shares: Float[Tensor, "share stamp"], labels: bool = False) -> None:
    """Draw the bands between the quantiles `SHARES` at the stamps `at`, and their median."""
    low, inner_low, middle, inner_high, high = shares.numpy()
    names = {"90": "middle 90 %", "50": "middle 50 %", "median": "median"} if labels else {}
    axes.fill_between(at, low, high, color="C0", alpha=0.2, lw=0, label=names.get("90"))
    axes.fill_between(at, inner_low, inner_high, color="C0", alpha=0.3, lw=0, label=names.get("50"))
    axes.plot(at, middle, color="C0", linewidth=1, label=names.get("median"))


def pixels(figure: Any) -> Float[Tensor, "3 height width"]:
    """A figure of matplotlib as a picture in [0, 1], the same to the last bit every time."""
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    drawn = np.array(canvas.buffer_rgba())[..., :3]
    return torch.from_numpy(drawn).permute(2, 0, 1).float() / 255.0
