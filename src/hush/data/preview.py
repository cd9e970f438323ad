"""What a notebook shows of data, samples and systems: HTML that loads nothing from anywhere."""

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape

import torch
from torch import Tensor

from hush.data.bands import bands
from hush.data.pictures import address, grid, png
from hush.errors import UserError

MOST = 32  # pictures that are shown
PLOTS = 4  # windows of series that are shown


@dataclass(frozen=True)
class Preview:
    """A picture of some data, and a line about them."""

    image: Tensor
    about: str

    def __repr__(self) -> str:
        return self.about

    def _repr_html_(self) -> str:
        return f"{drawn(self.image, self.about)}<br>{escape(self.about)}"


def show(x: Tensor) -> Preview:
    """Samples as a notebook shows them: pictures (count, channel, height, width) in [0, 1] as a
    grid, series (count, channel, length) as lines; the first of them, where there are many.

    Raises `UserError` for what is neither.
    """
    shape = "x".join(map(str, x.shape[1:]))
    about = f"{len(x):,} of {shape}, from {x.min():.3g} to {x.max():.3g}" if x.numel() else ""
    if x.ndim == 4 and x.shape[1] in (1, 3, 4) and len(x):
        return Preview(grid(x[:MOST].detach().cpu().float().clamp(0, 1)), about)
    if x.ndim == 3 and x.numel():
        lines = x[:PLOTS].detach().cpu()
        return Preview(bands(torch.full_like(lines, torch.nan), lines.unsqueeze(1)), about)
    raise UserError(
        f"show got {tuple(x.shape)}; expected pictures (count, channel, height, width) with 1, 3 "
        "or 4 channels, or series (count, channel, length)."
    )


def drawn(image: Tensor, about: str = "") -> str:
    """A picture (channel, height, width) as an <img> that holds it."""
    style = "image-rendering:pixelated;max-width:100%"
    return f'<img alt="{escape(about)}" style="{style}" src="{address(png(image))}">'


def listed(title: str, rows: Iterable[tuple[str, object]]) -> str:
    """A title and rows of (what, value)."""
    lines = (
        f'<tr><td style="text-align:left">{escape(what)}</td>'
        f'<td style="text-align:left"><code>{escape(str(value))}</code></td></tr>'
        for what, value in rows
    )
    return f"<b>{escape(title)}</b><table>{''.join(lines)}</table>"
