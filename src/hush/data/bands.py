"""A picture of series: what is known of them, what is true, and what is told."""

import torch
from jaxtyping import Float
from torch import Tensor

DRAWN = 3  # channels that are shown of each window
SIZE = (4.0, 1.8)  # inches of a panel, at 100 pixels each
SHARES = (0.05, 0.25, 0.5, 0.75, 0.95)


def bands(
    known: Float[Tensor, "window channel length"],
    told: Float[Tensor, "window sample channel length"],
    truth: Float[Tensor, "window channel length"] | None = None,
    time: Float[Tensor, "window length"] | None = None,
) -> Float[Tensor, "3 height width"]:
    """Windows one below the other, their first channels side by side: dots are known (NaN is not),
    crosses true where nothing was, bands hold the middle 50 and 90 % of the samples around their
    median. In [0, 1], the same to the last bit every time.
    """
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    windows, channels, length = known.shape
    columns = min(channels, DRAWN)
    figure = Figure((SIZE[0] * columns, SIZE[1] * windows), dpi=100, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    panels = figure.subplots(windows, columns, squeeze=False)
    low, inner_low, middle, inner_high, high = (
        told.double().cpu().quantile(torch.tensor(SHARES, dtype=torch.float64), dim=1)
    )
    stamps = torch.arange(length).expand(windows, -1) if time is None else time.cpu()
    for i, row in enumerate(panels):
        for k, axes in enumerate(row):
            at, seen = stamps[i], known[i, k].cpu()
            axes.fill_between(at, low[i, k], high[i, k], color="C0", alpha=0.2, linewidth=0)
            axes.fill_between(
                at, inner_low[i, k], inner_high[i, k], color="C0", alpha=0.3, linewidth=0
            )
            axes.plot(at, middle[i, k], color="C0", linewidth=1)
            axes.plot(at, seen, ".", color="0.2", markersize=4)
            if truth is not None:
                hidden = truth[i, k].cpu().masked_fill(~seen.isnan(), torch.nan)
                axes.plot(at, hidden, "x", color="C3", markersize=4)
    canvas.draw()
    pixels = np.array(canvas.buffer_rgba())[..., :3]
    return torch.from_numpy(pixels).permute(2, 0, 1).float() / 255.0
