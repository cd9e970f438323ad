"""The betas of the named chains: β_1 … β_T of a `Tabulated`."""

import math

import torch
from jaxtyping import Float64
from torch import Tensor

from hush.errors import UserError

Betas = tuple[float, ...]


def linear_betas(steps: int = 1000, first: float = 1e-4, last: float = 0.02) -> Betas:
    """β linear from `first` to `last`, both scaled by 1000/T so that the end is as noisy for any T.

    Ho et al. 2020, "Denoising diffusion probabilistic models", section 4. Raises `UserError` for a
    chain so short that the last β would pass 1.
    """
    scale = 1000.0 / steps
    if last * scale > 1.0:
        raise UserError(
            f"A linear chain of {steps} steps would need β = {last * scale:.3g}, above 1: take at "
            f"least {math.ceil(1000.0 * last)} steps, or a cosine chain."
        )
    betas = torch.linspace(first * scale, last * scale, steps, dtype=torch.float64)
    return tuple(betas.clamp(max=0.999).tolist())


def quadratic_betas(steps: int = 1000, first: float = 0.00085, last: float = 0.012) -> Betas:
    """√β linear from √`first` to √`last`, the ends as given, whatever T.

    The defaults are those of Rombach et al. 2022, "High-resolution image synthesis with latent
    diffusion models", whose code names it linear. Tashiro et al. 2021, "CSDI", go from 1e-4 to 0.5
    in 50 steps and name it quad.
    """
    roots = torch.linspace(math.sqrt(first), math.sqrt(last), steps, dtype=torch.float64)
    return tuple(roots.square().tolist())


def sigmoid_betas(steps: int = 5000, first: float = 1e-7, last: float = 2e-3) -> Betas:
    """β = first + (last - first)·sigmoid(z), z linear from -6 to 6; the ends as given, whatever T.

    Xu et al. 2022, "GeoDiff: a geometric diffusion model for molecular conformation generation".
    """
    rise = torch.linspace(-6.0, 6.0, steps, dtype=torch.float64).sigmoid()
    return tuple((first + (last - first) * rise).tolist())


def absorbing_betas(steps: int = 1000) -> Betas:
    """β_i = 1/(T - i + 1), so that ᾱ_i = 1 - i/T: as much is lost at every step, and all at T.

    Austin et al. 2021, "Structured denoising diffusion models in discrete state-spaces", where ᾱ is
    the chance that a token is not masked yet (their code names it jsd, after Sohl-Dickstein).
    """
    return tuple(1.0 / count for count in range(steps, 0, -1))


def cosine_betas(
    steps: int = 1000, offset: float = 0.008, largest: float = 0.999, power: float = 2.0
) -> Betas:
    """β_i = min(1 - ᾱ_i/ᾱ_{i-1}, largest), ᾱ(u) = cosᵖ((u + m)/(1 + m)·π/2)/cosᵖ(m/(1 + m)·π/2)
    with m = `offset`, p = `power`.

    Nichol and Dhariwal 2021, "Improved denoising diffusion probabilistic models", eq. 17. With
    power 1 it is the cosine of the code of D3PM (Austin et al. 2021), which does not square.
    """
    u = torch.linspace(0, 1, steps + 1, dtype=torch.float64)
    alpha_bar = ((u + offset) / (1 + offset) * math.pi / 2).cos() ** power
    return betas_from_alpha_bar(alpha_bar, largest)


def sqrt_betas(steps: int = 2000, offset: float = 1e-4, largest: float = 0.999) -> Betas:
    """β_i = min(1 - ᾱ_i/ᾱ_{i-1}, largest), ᾱ(u) = (1 - √(u + m))/(1 - √m) with m = `offset`.

    Li et al. 2022, "Diffusion-LM improves controllable text generation", appendix A. The paper's
    1 - √(u + m) is 0.99 at u = 0; its code divides by that, as here, so that ᾱ_0 = 1.
    """
    u = torch.linspace(0, 1, steps + 1, dtype=torch.float64)
    return betas_from_alpha_bar(1.0 - (u + offset).sqrt(), largest)


def polynomial_betas(
    steps: int = 1000, power: float = 2.0, precision: float = 1e-5, smallest: float = 1e-3
) -> Betas:
    """The betas of ᾱ_i = (1 - 2p) f_i + p with f(u) = (1 - uᵏ)², p = `precision`, k = `power`, and
    f_i/f_{i-1} held above `smallest`.

    Hoogeboom et al. 2022, "Equivariant diffusion for molecule generation in 3D". Their ᾱ_0 is
    1 - p; here ᾱ_0 = 1, the first step takes all the noise up to ᾱ_1, and from there the values are
    theirs.
    """
    u = torch.linspace(0, 1, steps + 1, dtype=torch.float64)
    curve = (1.0 - u**power) ** 2
    kept = (curve[1:] / curve[:-1]).clamp(min=smallest).cumprod(0)
    alpha_bar = (1.0 - 2.0 * precision) * kept + precision
    return betas_from_alpha_bar(torch.cat((torch.ones_like(kept[:1]), alpha_bar)))


def betas_from_alpha_bar(alpha_bar: Float64[Tensor, " steps_and_0"], largest: float = 1.0) -> Betas:
    """β_i = min(1 - ᾱ_i/ᾱ_{i-1}, largest) for i = 1 … T, from ᾱ_0 … ᾱ_T up to a common factor."""
    return tuple((1 - alpha_bar[1:] / alpha_bar[:-1]).clamp(max=largest).tolist())
