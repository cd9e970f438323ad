"""The mean and the covariance of few records of many elements."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64
from torch import Tensor

LEAST = 1e-4  # of the mean variance: along no axis are records surer to be alike
TINY = 1e-10  # of the largest variance: what is below is rounding

Rows = Float64[Tensor, "record element"]
Axes = tuple[Float64[Tensor, " axis"], Float64[Tensor, "axis element"]]


@dataclass(frozen=True)
class Moments:
    """N(mean, C), C = U diag(values) Uᵀ + rest (I - U Uᵀ), the rows of `axes` being U's columns.

    Of the Gaussians of this form the one that makes the records most likely: the leading variances
    as they are, all others their mean. Tipping and Bishop 1999, "Probabilistic principal component
    analysis". How many lead is chosen by halves: what one half makes of the other most likely.
    """

    mean: Float[Tensor, "*event"]
    axes: Float[Tensor, "axis element"]
    values: Float64[Tensor, " axis"]
    rest: Float64[Tensor, ""]

    @classmethod
    def of(cls, x: Float[Tensor, " record *event"]) -> "Moments":
        """Those of the records; mean and axes in their type, arithmetic in float64."""
        rows = x.flatten(1).double()
        mean = rows.mean(0)
        values, axes = _principal(rows - mean)
        count = min(_leading(rows[::2], rows[1::2]), len(values))
        size = rows.shape[1]
        total = (rows - mean).square().sum() / len(rows)
        rest = (total - values[:count].sum()) / (size - count)
        least = LEAST * total / size
        return cls(
            mean.reshape(x.shape[1:]).to(x),
            axes[:count].to(x),
            values[:count].clamp(min=least),
            rest.clamp(min=least),
        )

    @property
    def variance(self) -> Float[Tensor, "*event"]:
        """The diagonal of C."""
        beyond = (self.values - self.rest).to(self.axes)
        return (self.rest.to(self.axes) + beyond @ self.axes**2).reshape(self.mean.shape)


def _principal(gaps: Rows) -> Axes:
    """Variances, largest first, and their axes, of rows whose mean is 0: from the smaller of the
    two matrices gapsᵀ gaps and gaps gapsᵀ, less than there are elements, and none that is 0."""
    count, size = gaps.shape
    few = size <= count
    values, vectors = torch.linalg.eigh((gaps.T @ gaps if few else gaps @ gaps.T) / count)
    values, vectors = values.flip(0), vectors.T.flip(0)
    kept = min(size - 1, int((values > TINY * values[0]).sum()))
    values, vectors = values[:kept], vectors[:kept]
    if few:
        return values, vectors
    return values, vectors @ gaps / (values * count).sqrt().unsqueeze(1)


def _leading(rows: Rows, others: Float64[Tensor, "other element"]) -> int:
    """How many axes of some rows to keep so that others are most likely: the least of

    Σ_leading (log λ + v/λ) + (D - q) log s + V/s

    over their number q, λ and s being the variances of the rows along the axes and beyond them, v
    and V those of the others."""
    if not len(others):
        return 0
    mean, size = rows.mean(0), rows.shape[1]
    values, axes = _principal(rows - mean)
    seen = ((others - mean) @ axes.T).square().mean(0)
    total, theirs = ((part - mean).square().sum() / len(part) for part in (rows, others))
    beyond = size - torch.arange(len(values) + 1)
    rest = ((total - _sums(values)) / beyond).clamp(min=LEAST * total / size)
    cost = _sums(values.log() + seen / values) + beyond * rest.log() + (theirs - _sums(seen)) / rest
    return int(cost.argmin())


def _sums(terms: Float64[Tensor, " axis"]) -> Float64[Tensor, " count"]:
    """The sums of the first 0, 1, … terms."""
    return torch.cat((terms.new_zeros(1), terms.cumsum(0)))
