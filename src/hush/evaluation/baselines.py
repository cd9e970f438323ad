"""What a set of samples is read against: the grey levels, the pixels, the Gaussian of the data."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from hush.errors import UserError
from hush.evaluation.distances import frechet
from hush.rng import derive

_COMPONENTS = 64  # as many as a classifier has features
_FITTED = 2000  # pictures that settle the principal components
_RESAMPLES = 200
_TINY = 1e-12  # in place of a distance of 0, whose logarithm is not a number

Space = Callable[[Tensor], Tensor]  # pictures (count, channel, height, width) to (count, feature)


def quantise(images: Float[Tensor, "*shape"], levels: int | None) -> Float[Tensor, "*shape"]:
    """Values clipped to [0, 1] and moved to the nearest of `levels` even ones; None only clips.

    Raises `UserError` for fewer than 2 levels.

    >>> quantise(torch.tensor([-0.2, 0.3, 0.6, 1.1]), 3)
    tensor([0.0000, 0.5000, 0.5000, 1.0000])
    """
    images = images.clamp(0.0, 1.0)
    if levels is None:
        return images
    if levels < 2:
        raise UserError(f"levels={levels}; expected 2 or more, or None for continuous data.")
    # Divided, not multiplied by the inverse: then equal levels are equal to the last bit.
    return (images * (levels - 1)).round() / (levels - 1)


def fitted_gaussian(
    images: Float[Tensor, " n *event"], count: int, levels: int | None = None, seed: int = 0
) -> Float[Tensor, " count *event"]:
    """`count` draws of the Gaussian that has the mean and covariance of `images`, moved to the
    `levels`, or where there are none held to the range of the images.

    x = μ + Σ_i z_i (x_i - μ)/√(n - 1) with z_i ~ N(0, 1): it has exactly the covariance of the n
    pictures, and a matrix of all pixels against all is never made.
    """
    generator = torch.Generator().manual_seed(derive(seed, "fitted gaussian"))
    flat = images.flatten(1)
    mean = flat.mean(0)
    weights = torch.randn(count, len(flat), generator=generator).to(flat)
    drawn = mean + weights @ (flat - mean) / max(1, len(flat) - 1) ** 0.5
    drawn = drawn.reshape(count, *images.shape[1:])
    return quantise(drawn, levels) if levels else drawn.clamp(images.min(), images.max())


def pixel_space(images: Float[Tensor, " n *event"], seed: int = 0) -> Space:
    """The map to the first 64 principal components of the pixels of `images` (fewer if they have
    fewer), for pictures without classes. Distances keep the unit of the pixels."""
    generator = torch.Generator().manual_seed(derive(seed, "principal components"))
    chosen = torch.randperm(len(images), generator=generator)[:_FITTED]
    flat = images.flatten(1)[chosen].double()
    mean = flat.mean(0)
    axes = torch.linalg.svd(flat - mean, full_matrices=False).Vh[:_COMPONENTS]
    return lambda pictures: (pictures.flatten(1).double() - mean) @ axes.T


def ratio_interval(
    samples: Float[Tensor, "n dim"],
    train: Float[Tensor, "m dim"],
    test: Float[Tensor, "k dim"],
    seed: int = 0,
) -> tuple[float, float]:
    """The 95 % bootstrap interval of frechet(samples, test) / frechet(train, test).

    200 times all three sets are drawn anew with replacement, the test pictures the same for both
    distances. A Fréchet distance of n samples is a sum of squares with a bias, which drawing anew
    doubles together with its spread; so the logarithm of each is moved back to centre on its
    estimate, exp(log F*_b - mean(log F*) + log F). Efron and Tibshirani 1993, "An introduction to
    the bootstrap", sections 10.2 (the bias) and 13.6 (percentiles in a better scale).
    """
    generator = torch.Generator().manual_seed(derive(seed, "ratio interval"))

    def resample(values: Tensor) -> Tensor:
        return values[torch.randint(len(values), (len(values),), generator=generator)]

    pairs = []
    for _ in range(_RESAMPLES):
        held = resample(test)
        pairs.append([frechet(resample(samples), held), frechet(resample(train), held)])
    drawn = torch.tensor(pairs, dtype=torch.float64).clamp_min(_TINY).log()
    estimate = torch.tensor([frechet(samples, test), frechet(train, test)], dtype=torch.float64)
    above, below = (drawn - drawn.mean(0) + estimate.clamp_min(_TINY).log()).unbind(1)
    ends = torch.tensor([0.025, 0.975], dtype=torch.float64)
    low, high = (above - below).exp().quantile(ends).tolist()
    return low, high
