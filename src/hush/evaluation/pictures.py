"""How near an answer is to a picture, how true to its question, and how much answers differ: a
number for each picture, all of them in [0, 1] and (count, channel, height, width)."""

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from hush.errors import UserError
from hush.evaluation.filters import radius, smooth
from hush.guidance.operators import Pool
from hush.tensors import per_sample

SIGMA = 1.5  # pixels, of the window of `ssim`
_STEADY = 0.01**2, 0.03**2  # (K₁ L)² and (K₂ L)² with the range L = 1

Images = Float[Tensor, "_ channel height width"]
Each = Float64[Tensor, " _"]


def psnr(answer: Images, truth: Images) -> Each:
    """The peak signal-to-noise ratio -10 log₁₀ mean (answer - truth)², in decibels; ∞ for a copy.

    Raises `UserError` for shapes that differ.
    """
    answer, truth = _alike("psnr", answer, truth)
    return -10.0 * per_sample((answer - truth).square()).log10()


def ssim(answer: Images, truth: Images) -> Each:
    """The structural similarity, 1 for a copy: the mean over places and channels of

    (2 μ_a μ_b + C₁)(2 σ_ab + C₂) / ((μ_a² + μ_b² + C₁)(σ_a² + σ_b² + C₂)),

    moments under a Gaussian window of σ = 1.5 and 11 by 11 pixels, C₁ = 0.01², C₂ = 0.03².
    Places are those where the window lies wholly within the picture, so the outer 5 pixels only
    count through their neighbours. Raises `UserError` for shapes that differ and pictures under
    11x11. Wang et al. 2004, "Image quality assessment: from error visibility to structural
    similarity".
    """
    a, b = _alike("ssim", answer, truth)
    side = 2 * radius(SIGMA) + 1
    if min(a.shape[-2:]) < side:
        raise UserError(
            f"ssim got pictures of {a.shape[-2]}x{a.shape[-1]}; its window needs {side}x{side} or "
            "more. Use psnr for smaller ones."
        )
    mean_a, mean_b = smooth(a, SIGMA), smooth(b, SIGMA)
    squares = mean_a.square() + mean_b.square()
    spreads = smooth(a.square() + b.square(), SIGMA) - squares
    product = mean_a * mean_b
    shared = smooth(a * b, SIGMA) - product
    light, structure = _STEADY
    likeness = (2.0 * product + light) * (2.0 * shared + structure)
    return per_sample(likeness / ((squares + light) * (spreads + structure)))


def consistency(answer: Images, low: Float[Tensor, "_ channel _ _"], factor: int) -> Each:
    """mean (pool(answer) - low)², pool being the mean of `factor` by `factor` pixels: 0 where the
    answer says of the low resolution what was asked.

    Raises `UserError` for sides that `factor` does not divide, or another low resolution.
    """
    pooled, low = _alike("consistency", Pool(factor)(answer.double()), low)
    return per_sample((pooled - low).square())


def diversity(answers: Float[Tensor, "question answer *event"]) -> Float64[Tensor, " question"]:
    """How far apart several answers to one question lie, in the unit of the pictures: the mean over
    pairs of √(mean (x_i - x_j)²); 0 where all are the same.

    Raises `UserError` for fewer than 2 answers.
    """
    count = answers.shape[1]
    if count < 2:
        raise UserError(f"diversity got {count} answers to a question; expected 2 or more.")
    flat = answers.double().flatten(2)
    # From the differences themselves: from a matrix product, equal answers would not be at 0.
    apart = torch.cdist(flat, flat, compute_mode="donot_use_mm_for_euclid_dist")
    return apart.sum((1, 2)) / (count * (count - 1)) / flat.shape[2] ** 0.5


def _alike(name: str, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Both in float64."""
    if a.shape != b.shape:
        raise UserError(
            f"{name} got pictures of {tuple(a.shape)} and {tuple(b.shape)}; expected the same "
            "number, channels and sides."
        )
    return a.double(), b.double()
