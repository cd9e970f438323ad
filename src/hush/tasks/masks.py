"""Random masks: the parts of pictures that training hides, true where something is to be made."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from hush.rng import Streams

Mask = Bool[Tensor, "batch 1 height width"]

POINTS = 5  # of a brush stroke
NARROW, WIDE = 0.05, 0.15  # half the width of a stroke, in sides


def boxes(rng: Streams, height: int, width: int) -> Mask:
    """A rectangle of a quarter to three quarters of each side, anywhere (one draw)."""
    u = rng.uniform((4,))
    rows = stretch(0.25 + 0.5 * u[:, 0], u[:, 1], height)
    columns = stretch(0.25 + 0.5 * u[:, 2], u[:, 3], width)
    return (rows.unsqueeze(2) & columns.unsqueeze(1)).unsqueeze(1)


def strokes(rng: Streams, height: int, width: int) -> Mask:
    """A brush drawn through five points anywhere (one draw)."""
    u = rng.uniform((2 * POINTS + 1,))
    places = u[:, 1:].reshape(-1, POINTS, 2)
    reach = (NARROW + (WIDE - NARROW) * u[:, 0]).reshape(-1, 1, 1)
    down = (torch.arange(height, device=u.device) + 0.5) / height
    across = (torch.arange(width, device=u.device) + 0.5) / width
    grid = torch.stack(torch.meshgrid(down, across, indexing="ij"), -1).to(u)
    near = [_apart(grid, places[:, i], places[:, i + 1]) for i in range(POINTS - 1)]
    return (torch.stack(near).amin(0) < reach).unsqueeze(1)


def sides(rng: Streams, height: int, width: int) -> Mask:
    """One half of the picture, or all of it but the middle half of each side (one draw)."""
    kind = (5.0 * rng.uniform((1,))).long().reshape(-1, 1, 1)
    rows, columns = (
        torch.arange(height, device=kind.device),
        torch.arange(width, device=kind.device),
    )
    rows, columns = rows.reshape(1, -1, 1), columns.reshape(1, 1, -1)
    halves = (rows >= height // 2, rows < height // 2, columns >= width // 2, columns < width // 2)
    inner = (rows >= height // 4) & (rows < height - height // 4)
    inner = inner & (columns >= width // 4) & (columns < width - width // 4)
    shape = (len(kind), height, width)
    options = torch.stack([part.expand(shape) for part in (*halves, ~inner)])
    return options.gather(0, kind.expand(shape).unsqueeze(0)).movedim(0, 1)


def stretch(share: Tensor, place: Tensor, length: int) -> Bool[Tensor, "batch length"]:
    """True over `share` of the length, at `place` in the room that is left."""
    size = (share * length).round().clamp(1, length)
    first = (place * (length - size + 1)).floor()
    along = torch.arange(length, device=share.device).unsqueeze(0)
    return (along >= first.unsqueeze(1)) & (along < (first + size).unsqueeze(1))


def _apart(
    grid: Float[Tensor, "height width 2"], start: Tensor, end: Tensor
) -> Float[Tensor, "batch height width"]:
    """How far every place is from the line between two points (batch, 2)."""
    start, end = start.reshape(-1, 1, 1, 2), end.reshape(-1, 1, 1, 2)
    line = end - start
    share = ((grid - start) * line).sum(-1) / (line * line).sum(-1).clamp(min=1e-12)
    return (grid - start - share.clamp(0.0, 1.0).unsqueeze(-1) * line).norm(dim=-1)
