"""What each picture system is to be read against, and knows no network.

bicubic         the low resolution, enlarged
replicated      a hole takes its nearest known pixels: uncropping
biharmonic      a hole is bridged as a thin plate would
pca_fill        a hole is what a Gaussian with the training pictures' moments expects there
blur_residual   how far a pixel is from its surroundings: anomalies
difference      how far a pixel is from itself at another date: change
median          each pixel the middle of its surroundings: purification

Pictures are in [0, 1], (count, channel, height, width). A `mask` is true where a pixel is known,
(count, 1, height, width), or (1, 1, height, width) for all pictures alike.
"""

from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from hush.errors import UserError
from hush.evaluation.filters import padded, radius, smooth
from hush.evaluation.principal import Moments

Images = Float[Tensor, "count channel height width"]
Map = Float[Tensor, "count 1 height width"]
Mask = Bool[Tensor, "_ 1 _ _"]


def bicubic(low: Images, factor: int) -> Float[Tensor, "count channel _ _"]:
    """The low resolution, `factor` times as high and wide: cubic convolution with a = -½, exact on
    quadratics within, clipped to [0, 1]. Keys 1981, "Cubic convolution interpolation for digital
    image processing"."""
    # Where torch enlarges, "antialias" changes nothing but a, which else is -¾.
    large = F.interpolate(low, scale_factor=factor, mode="bicubic", antialias=True)
    return large.clamp(0.0, 1.0)


def replicated(images: Images, mask: Mask) -> Images:
    """Each unknown pixel as the known one nearest to it; the edges of a rectangle go on outwards.

    Raises `UserError` for a mask that does not fit or knows nothing of a picture.
    """
    from scipy.ndimage import distance_transform_edt

    answer = images.clone()
    for known, chosen in _by_mask("replicated", images, mask):
        unknown = ~known.cpu().numpy()
        near = distance_transform_edt(unknown, return_distances=False, return_indices=True)
        rows, columns = torch.from_numpy(near).long().to(images.device)
        answer[chosen] = images[chosen][..., rows, columns]
    return answer


def biharmonic(images: Images, mask: Mask) -> Images:
    """The unknown pixels that make Σ (Δu)² least, Δ being the five-point Laplacian with mirrored
    edges: Δ²u = 0 in the hole, exact for cubics, and no edge condition but the mirror's. Clipped,
    channel by channel, to the range of what is known.

    Solved exactly, by a sparse factorisation for each mask. Raises `UserError` for a mask that does
    not fit or knows nothing of a picture. Damelin and Hoang 2018, "On surface completion and image
    inpainting by biharmonic functions: numerical aspects".
    """
    from scipy.sparse.linalg import splu

    answer, plate = images.clone(), _plate(*images.shape[-2:])
    for known, chosen in _by_mask("biharmonic", images, mask):
        seen = known.flatten().cpu().numpy()
        values = images[chosen].flatten(2).double().cpu()
        given, rows = values[..., seen], plate[~seen]
        right = -(rows[:, seen] @ given.flatten(0, 1).T.numpy())
        if len(right):  # there is a hole
            solved = torch.from_numpy(splu(rows[:, ~seen].tocsc()).solve(right))
            low, high = given.amin(2, keepdim=True), given.amax(2, keepdim=True)
            values[..., ~seen] = solved.T.unflatten(0, given.shape[:2]).clamp(low, high)
            answer[chosen] = values.unflatten(2, known.shape).to(images)
    return answer


def pca_fill(images: Images, mask: Mask, train: Float[Tensor, "_ channel height width"]) -> Images:
    """The mean of the unknown pixels given the known ones, of the Gaussian N(m, F Fᵀ + s I) fitted
    to `train` by leading principal components (`Moments`):

    x_u = m_u + F_u (s I + F_kᵀ F_k)⁻¹ F_kᵀ (x_k - m_k), clipped to [0, 1].

    Raises `UserError` for a mask or training pictures that do not fit, or a mask that knows nothing
    of a picture.
    """
    if train.shape[1:] != images.shape[1:]:
        raise UserError(
            f"pca_fill got pictures of {tuple(images.shape[1:])} and training pictures of "
            f"{tuple(train.shape[1:])}; expected the same channels and sides."
        )
    moments = Moments.of(train)
    mean, rest = moments.mean.double(), moments.rest
    factors = moments.axes.double().T * (moments.values - rest).clamp(min=0.0).sqrt()
    answer = images.clone()
    for known, chosen in _by_mask("pca_fill", images, mask):
        seen = known.expand(images.shape[1:]).flatten()
        gaps = (images[chosen].double() - mean).flatten(1)[:, seen]
        share = factors[seen]
        spread = share.T @ share + rest * torch.eye(share.shape[1]).to(share)
        belief = gaps @ torch.linalg.solve(spread, share.T).T @ factors.T
        filled = (mean + belief.reshape(-1, *mean.shape)).clamp(0.0, 1.0).to(images)
        answer[chosen] = torch.where(known, images[chosen], filled)
    return answer


def blur_residual(images: Images, sigma: float = 2.0) -> Map:
    """|x - G_σ * x|, the mean over channels: how far a pixel is from its surroundings within about
    `sigma` pixels."""
    return difference(images, smooth(padded(images, radius(sigma)), sigma))


def difference(images: Images, others: Images) -> Map:
    """|a - b|, the mean over channels."""
    return (images - others).abs().mean(1, keepdim=True)


def median(images: Images, side: int = 3) -> Images:
    """Each pixel as the median of the `side` by `side` ones around it, edges going on outwards.

    Raises `UserError` for an even `side`.
    """
    if side < 1 or side % 2 == 0:
        raise UserError(f"median got side={side}; expected an odd number.")
    around = padded(images, side // 2).unfold(2, side, 1).unfold(3, side, 1)
    return around.flatten(4).median(4).values


def _by_mask(name: str, images: Images, mask: Mask) -> Iterator[tuple[Tensor, Tensor]]:
    """Each mask (height, width) that occurs, and which of the pictures have it."""
    count, _, *sides = images.shape
    if list(mask.shape[1:]) != [1, *sides] or len(mask) not in (1, count):
        raise UserError(
            f"{name} got pictures of {tuple(images.shape)} and a mask of {tuple(mask.shape)}; "
            f"expected a mask of {(count, 1, *sides)}, or {(1, 1, *sides)} for all."
        )
    if not mask.flatten(1).any(1).all():
        raise UserError(f"{name} got a mask without a known pixel; expected one or more in each.")
    masks, which = mask[:, 0].to(images.device).unique(dim=0, return_inverse=True)
    which = which.expand(count)
    for place, known in enumerate(masks):
        yield known, (which == place).nonzero().squeeze(1)


def _plate(height: int, width: int) -> Any:
    """Δ² of a picture row by row, Δ = -∇ᵀ∇, as a sparse matrix."""
    from scipy.sparse import diags_array, eye_array, kron

    down, across = (
        diags_array((-1.0, 1.0), offsets=(0, 1), shape=(side - 1, side)) for side in (height, width)
    )
    laplacian = kron(down.T @ down, eye_array(width)) + kron(eye_array(height), across.T @ across)
    return (laplacian @ laplacian).tocsr()
