"""Quantiles of samples, by the two rules that forecasts are judged with."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor


def quantiles(
    samples: Float[Tensor, "window sample *event"], levels: Sequence[float]
) -> Float[Tensor, " level window *event"]:
    """The quantiles that another draw of the same law lies below as often as they say: with n
    samples the k-th smallest is the one of level k/(n + 1).

    Levels between are interpolated, those beyond are the smallest and the largest. Hyndman and Fan
    1996, "Sample quantiles in statistical packages", type 6.
    """
    count = samples.shape[1]
    return _at(samples, [level * (count + 1) - 1 for level in levels])


def usual_quantiles(
    samples: Float[Tensor, "window sample *event"], levels: Sequence[float]
) -> Float[Tensor, " level window *event"]:
    """The quantiles of torch and numpy, type 7: the smallest sample is of level 0, the largest of
    level 1. Unlike torch's they take any number of samples."""
    count = samples.shape[1]
    return _at(samples, [level * (count - 1) for level in levels])


def _at(samples: Tensor, places: Sequence[float]) -> Tensor:
    """The sorted samples at places that may lie between two of them."""
    count, ordered = samples.shape[1], samples.sort(1).values
    found = []
    for place in places:
        place = min(max(place, 0.0), count - 1.0)
        below = min(int(place), max(count - 2, 0))
        above = min(below + 1, count - 1)
        found.append(torch.lerp(ordered[:, below], ordered[:, above], place - below))
    return torch.stack(found)
