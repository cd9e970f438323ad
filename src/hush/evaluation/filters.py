"""Windows that slide over pictures."""

import torch
from jaxtyping import Float, Float64
from torch import Tensor
from torch.nn import functional as F

Images = Float[Tensor, "count channel height width"]
Filtered = Float[Tensor, "count channel _ _"]

_REACH = 3.5  # standard deviations: 11 pixels a side for σ = 1.5, as Wang et al. have it


def radius(sigma: float) -> int:
    """How many pixels a Gaussian of that standard deviation reaches to each side."""
    return int(_REACH * sigma + 0.5)


def padded(images: Images, border: int) -> Filtered:
    """The pictures with `border` more pixels on each side, each as the nearest one within."""
    return F.pad(images, (border,) * 4, mode="replicate")


def smooth(images: Images, sigma: float) -> Filtered:
    """G * x, G ∝ exp(-(i² + j²)/(2σ²)) cut off at 3.5 σ, where it lies wholly within the picture:
    each side is shorter by twice `radius(sigma)`."""
    window = _gaussian(sigma).to(images)
    count, channels, *_ = images.shape
    maps = images.flatten(0, 1).unsqueeze(1)
    across = F.conv2d(maps, window.reshape(1, 1, 1, -1))
    return F.conv2d(across, window.reshape(1, 1, -1, 1)).unflatten(0, (count, channels)).squeeze(2)


def _gaussian(sigma: float) -> Float64[Tensor, " side"]:
    reach = radius(sigma)
    weights = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, dtype=torch.float64) / sigma) ** 2)
    return weights / weights.sum()
