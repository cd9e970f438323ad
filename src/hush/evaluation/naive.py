"""What a series is told from without a model: its last value, a line, its last season.

`values` are (window, channel, length), NaN where a value is missing or hidden; the answer is one
sample, (window, 1, channel, length), the known values as they are. A channel of which a window
knows nothing is told to be its mean over all windows.
"""

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from hush.errors import UserError

Values = Float[Tensor, "window channel length"]
One = Float[Tensor, "window 1 channel length"]


def last_value(values: Values) -> One:
    """The last known value before, or where there is none the first after."""
    before = _known_before(values)
    after = values.shape[-1] - 1 - _known_before(values.flip(-1)).flip(-1)
    place = torch.where(before >= 0, before, after.clamp(max=values.shape[-1] - 1))
    return _whole(values, values.gather(-1, place)).unsqueeze(1)


def linear_interpolation(values: Values, time: Float[Tensor, "window length"]) -> One:
    """The line between the known values on both sides; beyond the outermost, their value."""
    found = values.double().cpu().numpy().copy()
    for row, stamps in zip(found, time.double().cpu().numpy(), strict=True):
        for channel in row:
            known = ~np.isnan(channel)
            if known.any():
                channel[~known] = np.interp(stamps[~known], stamps[known], channel[known])
    return _whole(values, torch.from_numpy(found).to(values)).unsqueeze(1)


def seasonal_naive(values: Values, period: int) -> One:
    """The known value nearest before that lies whole periods away; else the first such after; else
    `last_value`. Raises `UserError` for a period that is no number of stamps."""
    if period < 1:
        raise UserError(f"period={period}: expected a number of stamps, 1 or more.")
    length = values.shape[-1]
    padded = torch.nn.functional.pad(values, (0, -length % period), value=torch.nan)
    # Each phase of the season becomes a series of its own, of which the last value is told.
    phases = padded.unflatten(-1, (-1, period)).movedim(-1, 1).flatten(0, 1)
    told = _within(phases).unflatten(0, (len(values), period)).movedim(1, -1).flatten(-2)
    told = told[..., :length]
    return torch.where(told.isnan(), last_value(values)[:, 0], told).unsqueeze(1)


def _within(values: Tensor) -> Tensor:
    """`last_value`, NaN where a window knows nothing."""
    known = ~values.isnan().all(-1, keepdim=True)
    return torch.where(known, last_value(values)[:, 0], torch.nan)


def _known_before(values: Tensor) -> Int64[Tensor, "window channel length"]:
    """The stamp of the last known value at or before each stamp; -1 where there is none."""
    stamps = torch.arange(values.shape[-1], device=values.device).expand(values.shape)
    return torch.where(values.isnan(), -1, stamps).cummax(-1).values


def _whole(values: Tensor, told: Tensor) -> Tensor:
    mean = values.nanmean((0, 2)).nan_to_num().reshape(1, -1, 1)
    return torch.where(told.isnan(), mean, told)
