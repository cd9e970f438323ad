"""What codecs measure of data."""

from collections.abc import Iterable
from typing import NamedTuple

import torch
from jaxtyping import Float, Float64
from torch import Tensor


class Measured(NamedTuple):
    """Range, mean and standard deviation of every row."""

    low: Float64[Tensor, " row"]
    high: Float64[Tensor, " row"]
    mean: Float64[Tensor, " row"]
    deviation: Float64[Tensor, " row"]


def measured(batches: Iterable[Float[Tensor, "row _"]]) -> Measured:
    """What every row is over all batches, NaN left out; a row of nothing else ranges from ∞ to
    -∞."""
    nothing = torch.zeros(1, dtype=torch.float64)
    low, high = nothing + torch.inf, nothing - torch.inf
    count = total = squares = pivot = nothing
    for rows in batches:
        rows, known = rows.double().cpu(), ~rows.isnan().cpu()
        number = known.sum(1)
        low = low.minimum(rows.where(known, torch.inf).amin(1))
        high = high.maximum(rows.where(known, -torch.inf).amax(1))
        mean = rows.where(known, 0.0).sum(1) / number.clamp(min=1)
        pivot = torch.where(count > 0, pivot, mean)  # keeps the digits of far data
        apart = (rows - pivot.unsqueeze(1)).where(known, 0.0)
        count = count + number
        total, squares = total + apart.sum(1), squares + apart.square().sum(1)
    mean = total / count
    deviation = (squares / count - mean**2).clamp(min=0.0).sqrt()
    return Measured(low, high, pivot + mean, deviation)
